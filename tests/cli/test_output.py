import sys

import pytest

from llm_router.cli.output import (
    add_facts,
    add_numbers,
    add_texts,
    brief_time,
    new_table,
    print_table,
)

MODEL = "some-vendor/a-model-with-a-very-long-name-of-2026:free"


def test_a_narrow_terminal_breaks_texts_and_keeps_amounts_and_times_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """USD once read `0.0003…` at 80 columns, and the end of a model's rest `2026-11-23…`."""
    monkeypatch.setenv("TERM", "dumb")  # 80 columns, no colours
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table = new_table()
    add_texts(table, "model")
    add_facts(table, "since")
    add_numbers(table, "requests", "completed", "USD")
    table.add_row(MODEL, "17:07:51Z", "1,234", "1,234", "1.234567")
    print_table(table)
    _, head, _, *rows = capsys.readouterr().out.splitlines()
    assert len(head) <= 80
    assert rows[0].split()[1:] == ["17:07:51Z", "1,234", "1,234", "1.234567"]
    assert "".join(row.split()[0] for row in rows) == MODEL


def test_a_pipe_gets_whole_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = new_table()
    add_texts(table, "model")
    table.add_row(MODEL)
    print_table(table)
    assert MODEL in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        pytest.param("2026-01-31T12:34:56.789Z", "12:34:56Z", id="today"),
        pytest.param("2026-01-30T12:34:56.789Z", "2026-01-30 12:34Z", id="another day"),
        pytest.param(None, "", id="none"),
    ],
)
def test_a_time_of_today_goes_without_its_date(stamp: str | None, shown: str) -> None:
    assert brief_time(stamp, "2026-01-31T23:00:00.000Z") == shown
