"""`llm-router eval`, on files and, where a mode asks somebody, on the embedded upstream."""

import asyncio
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_router.clock import SystemClock
from llm_router.ledger.ingest import Ingestor
from llm_router.settings import LedgerSettings
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import open_database
from tests.cli.conftest import Run
from tests.cli.process import start

PROMPTS = [
    {"text": "Write a python function that parses json", "label": "code", "lang": "en"},
    {"text": "Why is the sky blue? Explain.", "label": "reasoning", "lang": "en"},
    {"text": "Bonjour !", "label": "conversation", "lang": "fr"},
    {"text": "Hello there", "label": "code", "lang": "en", "source": "wrong"},
]


@pytest.fixture
def prompts(folder: Path) -> Path:
    return write(folder / "prompts.jsonl", *PROMPTS)


def write(path: Path, *prompts: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts), encoding="utf-8")
    return path


def scored(run: Run, *arguments: str) -> dict[str, Any]:
    status, out, err = run("eval", "--json", *arguments)
    assert (status, err) == (0, "")
    shown: dict[str, Any] = json.loads(out)
    return shown


def test_people_get_tables(run: Run, prompts: Path) -> None:
    status, out, err = run("eval", "prompts.jsonl", "--mode", "keywords")
    assert (status, err) == (0, "")
    assert out.startswith("prompts.jsonl, mode keywords: 4 prompts, accuracy 0.750, macro-F1 0.")
    for word in ("precision", "label ↓", "confidence", "calibration error", "decided by", "fr"):
        assert word in out
    assert "milliseconds  mean " in out
    assert "OpenRouter" not in out


def test_programs_get_json(run: Run, prompts: Path) -> None:
    shown = scored(run, "prompts.jsonl", "--mode", "keywords")
    assert (shown["mode"], shown["prompts"], shown["accuracy"]) == ("keywords", 4, 0.75)
    assert shown["confusion"]["code"] == {"code": 1, "reasoning": 0, "conversation": 1}
    assert shown["by_lang"]["fr"]["prompts"] == 1
    assert (shown["calls"], shown["cost_usd"]) == (0, 0)


def test_nothing_is_left_behind_by_a_mode_that_asks_nobody(
    run: Run, folder: Path, prompts: Path
) -> None:
    run("eval", "prompts.jsonl", "--mode", "keywords")
    assert list(folder.iterdir()) == [prompts]


def test_what_was_wrong_can_be_written_down(run: Run, folder: Path, prompts: Path) -> None:
    run("eval", "prompts.jsonl", "--mode", "keywords", "--misses", "wrong.jsonl")
    [line] = (folder / "wrong.jsonl").read_text(encoding="utf-8").splitlines()
    miss = json.loads(line)
    assert (miss["text"], miss["label"], miss["category"], miss["source"]) == (
        "Hello there",
        "code",
        "conversation",
        "wrong",
    )


def test_prompts_may_come_from_stdin(
    run: Run, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(prompts.read_bytes())))
    assert scored(run, "-", "--mode", "keywords")["prompts"] == 4


def test_requests_with_tools_are_decided_by_them(run: Run, folder: Path) -> None:
    request = {"messages": [{"role": "user", "content": "What time is it?"}], "tools": [{}]}
    write(
        folder / "tools.jsonl",
        {"request": request, "label": "tools"},
        {"text": "Hello!", "label": "conversation"},
    )
    shown = scored(run, "tools.jsonl", "--mode", "keywords")
    assert shown["accuracy"] == 1
    assert shown["decided_by"]["tools"]["prompts"] == 1
    assert shown["confusion"]["tools"]["tools"] == 1


def test_the_mode_and_the_categories_are_those_of_the_settings(run: Run, folder: Path) -> None:
    """Categories of the user's own are labels like any other."""
    (folder / "config.toml").write_text(
        '[classifier]\nmode = "keywords"\n'
        '[categories.legal]\nmodels = ["z-ai/glm-5"]\nkeywords = ["contract"]\n',
        encoding="utf-8",
    )
    write(folder / "own.jsonl", {"text": "Read my contract", "label": "legal"})
    shown = scored(run, "own.jsonl")
    assert (shown["mode"], shown["macro_f1"]) == ("keywords", 1)
    assert shown["classes"]["legal"]["share"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "label": "code"}\n{"text": "b"}\n', "f.jsonl, line 2: "),
        ('{"text": "a", "label": "cod"}', "did you mean code?"),
        ("\n\n", "f.jsonl has no prompts"),
        (None, "f.jsonl cannot be read: No such file or directory"),
    ],
    ids=["line", "label", "empty", "missing"],
)
def test_a_file_that_cannot_be_used_is_one_line(
    run: Run, folder: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (folder / "f.jsonl").write_text(content, encoding="utf-8")
    status, out, err = run("eval", "f.jsonl", "--mode", "keywords")
    assert (status, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_misses_that_cannot_be_written_are_one_line(run: Run, prompts: Path) -> None:
    status, _, err = run("eval", "prompts.jsonl", "--mode", "keywords", "--misses", "no/such/file")
    assert status == 1
    assert err == "llm-router: no/such/file cannot be written: No such file or directory\n"


def test_a_mode_that_does_not_exist_is_wrong_usage(run: Run, prompts: Path) -> None:
    status, _, err = run("eval", "prompts.jsonl", "--mode", "guess")
    assert status == 2
    assert "invalid choice: 'guess'" in err


# Modes that ask somebody


@pytest.fixture
def upstream(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    process = start(folder, "demo-upstream", "--port", "0")
    assert process.stdout is not None
    found = re.search(r"OpenRouter at (\S+), Ollama at (\S+)", process.stdout.readline())
    assert found
    monkeypatch.setenv("OPENROUTER_BASE_URL", found[1])
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-demo")
    monkeypatch.setenv("OLLAMA_BASE_URL", found[2])
    monkeypatch.setenv("LLM_ROUTER_CLASSIFIER__BUDGET_MS", "20000")
    yield
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("upstream", "prompts")
def test_ollama_is_asked_once_it_is_loaded(run: Run) -> None:
    shown = scored(run, "prompts.jsonl", "--mode", "ollama")
    assert shown["decided_by"]["ollama"]["prompts"] == 4
    assert (shown["skipped"], shown["calls"]) == ({}, 0)


@pytest.mark.usefixtures("upstream", "prompts")
def test_calls_to_openrouter_are_booked_and_their_cost_is_shown(run: Run, folder: Path) -> None:
    shown = scored(run, "prompts.jsonl", "--mode", "api")
    assert shown["decided_by"]["api"]["prompts"] == shown["calls"] == 4
    assert shown["cost_usd"] > 0
    booked = asyncio.run(attempts(folder / "router.db"))
    assert [(row["kind"], row["outcome"]) for row in booked] == [("classifier", "completed")] * 4
    assert sum(row["cost_nanousd"] for row in booked) == round(shown["cost_usd"] * 1e9)


async def attempts(path: Path) -> list[dict[str, Any]]:
    """Return the calls that the next process to serve finds in the journals."""
    async with open_database(path) as database:
        journals = LedgerSettings(path=path).journals
        await Ingestor(SqliteLedger(database), journals, SystemClock()).recover()
        return [dict(row) for row in await database.read("SELECT * FROM attempts")]


def test_a_mode_that_decided_nothing_says_why(
    run: Run, prompts: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", f"http://127.0.0.1:{unused_tcp_port}")
    status, out, err = run("eval", "prompts.jsonl", "--mode", "ollama")
    assert status == 1
    assert "skipped       ollama: down (4)" in out
    assert "ollama decided none of the prompts (ollama: down)" in err


def test_asking_openrouter_takes_a_key(run: Run, prompts: Path) -> None:
    status, _, err = run("eval", "prompts.jsonl", "--mode", "api")
    assert status == 1
    assert "OPENROUTER_API_KEY is not set" in err
