"""`report`, `requests` and `prune`, on a real database file."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_router.cli import main
from llm_router.storage.lock import writer_lock
from llm_router.storage.requests import page
from llm_router.storage.sqlite import Database, open_database
from tests.fakes.ledger import (
    GLM,
    IN_FLIGHT,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
)

Fill = Callable[[Database], Awaitable[None]]
EVIL = "=cmd\x1b[2J"


def fill(path: Path, rows: Fill) -> None:
    async def write() -> None:
        async with open_database(path) as database:
            await rows(database)

    asyncio.run(write())


@pytest.fixture
def db(tmp_path: Path) -> str:
    async def rows(database: Database) -> None:
        await add_exchange(database, id="first", started_at="2026-01-10T12:00:00.000Z")
        request = await add_request(
            database,
            id="second",
            started_at="2026-01-11T12:00:00.000Z",
            category="tools",
            outcome="failed",
            error_class="upstream_5xx",
            served_model=None,
            requested_model=EVIL,
            **UNKNOWN_COST,
        )
        await add_attempt(
            database,
            request,
            model=EVIL,
            started_at="2026-01-11T12:00:00.000Z",
            outcome="failed",
            cost_nanousd=0,
        )
        await add_request(
            database,
            id="third",
            started_at="2026-01-12T12:00:00.000Z",
            category=None,
            classifier=None,
            **IN_FLIGHT,
        )

    path = tmp_path / "router.db"
    fill(path, rows)
    return str(path)


def test_a_report_of_nothing_says_so(
    tmp_path: Path, db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nothing(_: Database) -> None: ...

    fill(tmp_path / "empty.db", nothing)
    assert main(["report", "--db", str(tmp_path / "empty.db")]) == 0
    assert lines(capsys) == ["no requests yet"]
    assert main(["report", "--db", db, "--since", "2026-02-01", "--until", "2026-02-02"]) == 0
    assert lines(capsys) == ["no requests in that time"]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("command", [["report"], ["requests"], ["prune", "--before", "90d"]])
def test_without_a_database_a_sentence_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nothing.db"
    assert main([*command, "--db", str(path)]) == 1
    error = capsys.readouterr().err
    assert "does not exist" in error
    assert "Traceback" not in error
    assert not path.exists()


def test_the_database_of_the_settings_is_the_default(
    db: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_DB", db)
    assert main(["report", "--by", "category", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tables"]["category"]) == 3


def test_report_prints_three_tables_with_totals(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--db", db]) == 0
    out = capsys.readouterr().out
    assert [line.rstrip() for line in out.splitlines() if line.startswith("Cost by")] == [
        "Cost by day",
        "Cost by model",
        "Cost by category",
    ]
    assert "2026-01-10" in out
    [total] = [
        line.split() for line in out.split("Cost by model")[0].splitlines() if "total" in line
    ]
    assert total == ["total", "3", "1", "1", "30", "60", "0.001000", "1"]
    assert "\x1b" not in out


def test_report_as_json_is_one_document(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--db", db, "--by", "model,key", "--since", "2026-01-10", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["since"], document["until"]) == ("2026-01-10T00:00:00.000Z", None)
    assert [group["model"] for group in document["tables"]["model"]] == [GLM, EVIL]
    [key] = document["tables"]["key"]
    assert (key["key"], key["requests"], key["cost_usd"]) == ("laptop", 3, 0.001)


def test_report_as_csv_holds_no_formula(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    """T30: the name of a model comes from a client."""
    assert main(["report", "--db", db, "--by", "model,provider", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["by"], row["name"], row["count"], row["cost_usd"]) for row in rows] == [
        ("model", GLM, "1", "0.001"),
        ("model", "'" + EVIL, "1", "0"),
        ("provider", "DeepInfra", "2", "0.001"),
    ]


def test_report_takes_a_period(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    span = ["--since", "2026-01-11", "--until", "2026-01-12"]
    assert main(["report", "--db", db, "--by", "day", "--json", *span]) == 0
    [day] = json.loads(capsys.readouterr().out)["tables"]["day"]
    assert (day["day"], day["failed"]) == ("2026-01-11", 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["report", "--by", "colour"], "day, model, category"),
        (["report", "--by", ","], "one or several of day, model, category"),
        (["report", "--since", "yesterday"], "24h"),
        (["report", "--since", "1h", "--until", "2h"], "must lie before --until"),
        (["report", "--until", "9" * 5000], "24h"),
        (["prune", "--before", "soon"], "24h"),
        (["requests", "-n", "0"], "a number from 1 to"),
    ],
)
def test_a_wrong_value_is_wrong_usage_and_the_right_ones_are_named(
    db: str, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--db", db]) == 2
    assert says in capsys.readouterr().err


def test_requests_prints_the_newest_last(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["requests", "--db", db, "-n", "2"]) == 0
    second, third = lines(capsys)
    assert "failed" in second
    assert "upstream_5xx" in second
    assert "cost unknown" in second
    assert "in_flight" in third
    assert "\x1b" not in second


def test_requests_as_json_lines_can_be_filtered(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["requests", "--db", db, "--json", "--outcome", "completed"]) == 0
    [line] = lines(capsys)
    row = json.loads(line)
    assert (row["id"], row["cost_usd"], row["is_stream"]) == ("first", 0.001, True)


@pytest.mark.parametrize("number", ["0", "1001", "many"])
def test_requests_refuses_a_number_it_cannot_keep(
    db: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["requests", "--db", db, "-n", number]) == 2
    assert "1 to 1000" in capsys.readouterr().err


def test_following_prints_each_request_as_it_ends_until_interrupted(
    db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    async def next_look(_: float) -> None:
        nonlocal looks
        looks += 1
        with closing(sqlite3.connect(db)) as connection, connection:
            if looks == 1:
                connection.execute("UPDATE requests SET outcome = 'lost' WHERE id = 'third'")
            elif looks == 2:
                connection.execute(
                    "INSERT INTO requests (id, started_at, process, outcome) "
                    "VALUES ('fourth', '2026-01-13', 'p', 'completed')"
                )
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("llm_router.cli.requests.asyncio.sleep", next_look)
    assert main(["requests", "--db", db, "--json", "-n", "2", "--follow"]) == 130
    rows = [json.loads(line) for line in lines(capsys)]
    assert [(row["id"], row["outcome"]) for row in rows] == [
        ("second", "failed"),
        ("third", None),
        ("third", "lost"),
        ("fourth", "completed"),
    ]
    assert "rowid" not in rows[-1]


def test_one_that_ends_while_the_first_are_read_is_printed_once(
    db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    async def late_page(*args: Any, **kwargs: Any) -> Any:
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute("UPDATE requests SET outcome = 'lost' WHERE id = 'third'")
        return await page(*args, **kwargs)

    async def next_look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("llm_router.cli.requests.page", late_page)
    monkeypatch.setattr("llm_router.cli.requests.asyncio.sleep", next_look)
    assert main(["requests", "--db", db, "--json", "-n", "1", "--follow"]) == 130
    assert [json.loads(line)["id"] for line in lines(capsys)] == ["third"]


def test_a_dry_run_counts_and_writes_nothing(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    with writer_lock(Path(db)):  # a server is running
        assert main(["prune", "--db", db, "--before", "2026-01-11", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "before": "2026-01-11T00:00:00.000Z",
        "is_dry_run": True,
        "requests": 1,
        "attempts": 1,
    }
    assert main(["requests", "--db", db]) == 0
    assert len(lines(capsys)) == 3


def test_prune_takes_rows_and_leaves_the_report_as_it_was(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--db", db]) == 0
    before = capsys.readouterr().out
    assert main(["prune", "--db", db, "--before", "2026-02-01"]) == 0
    assert "2 requests and 2 calls" in capsys.readouterr().out
    assert main(["report", "--db", db]) == 0
    assert capsys.readouterr().out == before
    assert main(["requests", "--db", db]) == 0
    assert len(lines(capsys)) == 1


def test_prune_takes_what_the_settings_do_not_keep(
    db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", "--db", db]) == 2
    assert "say --before" in capsys.readouterr().err
    monkeypatch.setenv("LLM_ROUTER_LEDGER__RETENTION_DAYS", "1")
    assert main(["prune", "--db", db, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 2


def test_prune_leaves_a_running_server_its_database(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with writer_lock(Path(db)):
        assert main(["prune", "--db", db, "--before", "90d"]) == 1
    error = capsys.readouterr().err
    assert "retention_days" in error
    assert "stop it" in error
