"""`llm-router explain`, with and without a server to ask."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_router.cli import explain
from tests.cli.conftest import Run


def test_a_prompt_is_explained_without_a_server_or_a_database(run: Run, folder: Path) -> None:
    status, out, err = run("explain", "Write a python function that adds two numbers")
    assert (status, err) == (0, "")
    assert out.startswith("category   code  (by local, confidence ")
    assert "\nbecause    " in out
    assert "z-ai/glm-5" in out
    assert "first" in out
    assert "fallback" in out
    assert list(folder.iterdir()) == []


def explained(run: Run, *arguments: str) -> Any:
    status, out, err = run("explain", "--json", *arguments)
    assert (status, err) == (0, "")
    return json.loads(out)


def test_programs_get_json(run: Run) -> None:
    shown = explained(run, "Write a python function")
    assert (shown["category"], shown["classifier"], shown["model"]) == (
        "code",
        "local",
        "z-ai/glm-5",
    )
    assert shown["chain"][0] == {"name": "glm-5", "model": "z-ai/glm-5", "fate": "first"}


def test_a_request_may_carry_tools_or_name_a_model(run: Run) -> None:
    assert explained(run, "hi", "--tools")["classifier"] == "tools"
    assert explained(run, "hi", "--model", "router/reasoning")["classifier"] == "forced"
    named = explained(run, "hi", "--model", "gpt-4o-mini")
    assert (named["category"], named["model"]) == ("direct", "openai/gpt-4o-mini")


def test_what_a_model_has_to_be_able_to_do_is_said(run: Run) -> None:
    _, out, _ = run("explain", "hi " * 4000, "--tools")
    assert "\nneeds      a context of about 2,0" in out
    assert " tokens, tools\n" in out
    assert "needs" not in run("explain", "hi")[1]


def test_a_prompt_may_come_from_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Write a python function"))
    assert explained(run, "-")["category"] == "code"


def test_a_model_that_does_not_exist_is_one_line(run: Run) -> None:
    status, out, err = run("explain", "hi", "--model", "gtp-4o-mini")
    assert (status, out) == (1, "")
    assert "gpt-4o-mini" in err


def test_the_saved_configuration_counts(run: Run, folder: Path) -> None:
    exported = run("config", "export")[1]
    first, other = '"glm-5",\n    "aurora', '"kimi-k2.5",\n    "aurora'
    (folder / "all.toml").write_text(exported.replace(first, other))
    assert run("migrate")[0] == 0
    status, _, err = run("config", "apply", "all.toml")
    assert status == 0, err
    assert explained(run, "Write a python function")["model"] == "moonshotai/kimi-k2.5"


def test_a_running_server_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So its breakers and its classifier count."""
    asked: list[Any] = []
    shown = {
        "category": "code",
        "classifier": "ollama",
        "confidence": None,
        "rule": "",
        "runners_up": [{"category": "reasoning", "confidence": 0.25}],
        "skipped": ["local: unsure", "api: timeout"],
        "session": "s-1",
        "needs": {
            "prompt_tokens": 1,
            "max_tokens": 4000,
            "tools": True,
            "images": False,
            "structured_output": True,
        },
        "model": "a/one",
        "chain": [{"name": "[one]", "model": "a/one", "fate": "skipped: upstream_5xx"}],
    }

    def ask(settings: object, url: str, method: str, path: str, body: Any) -> Any:
        asked.append((url, method, path, body))
        return shown

    monkeypatch.setattr(explain, "server_url", lambda path: "http://127.0.0.1:3456")
    monkeypatch.setattr(explain, "ask", ask)
    status, out, _ = run("explain", "Hello", "--tools", "--session", "s-1")
    assert status == 0
    [(url, method, path, body)] = asked
    assert (url, method, path) == ("http://127.0.0.1:3456", "POST", "/route/explain")
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert (bool(body["tools"]), body["session_id"]) == (True, "s-1")
    assert out.startswith("category   code  (by ollama)\nbecause    -\n")
    assert "also       reasoning 0.25\n" in out
    assert "session    s-1\nskipped    local: unsure; api: timeout\n" in out
    assert "needs      a context of about 4,001 tokens, tools, structured output\n" in out
    assert "[one]" in out
