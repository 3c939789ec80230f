"""What is in force, where it comes from, and never a secret."""

import json
from pathlib import Path

import pytest

from llm_router.settings_sources import KEYS
from tests.cli.conftest import Run

SECRET = "sk-or-canary"


def test_it_shows_every_setting_with_its_source(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text("[breaker]\nopen_s = 60")
    (folder / ".env").write_text(f"OPENROUTER_API_KEY={SECRET}\n")
    (folder / ".env").chmod(0o600)
    status, out, err = run("check-config", "--json")
    shown = json.loads(out)
    assert (status, err) == (0, "")
    assert list(shown["settings"]) == list(KEYS)
    assert shown["settings"]["breaker.open_s"] == {
        "value": 60,
        "source": "config.toml, [breaker] open_s",
    }
    assert shown["settings"]["upstream.api_key"] == {
        "value": "***",
        "source": ".env, OPENROUTER_API_KEY",
    }
    assert shown["settings"]["server.port"] == {"value": 3456, "source": "default"}
    assert shown["problems"] == []


def test_settings_that_cannot_be_read_are_a_problem_in_json_too(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text("[breaker]\nopen_s = 'soon'")
    status, out, err = run("check-config", "--json")
    assert (status, err) == (1, "")
    [problem] = json.loads(out)["problems"]
    assert "config.toml, [breaker] open_s" in problem


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_no_secret_is_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """T10"""
    monkeypatch.setenv("OPENROUTER_API_KEY", SECRET)
    monkeypatch.setenv("ROUTER_ADMIN_KEY", SECRET + "1")
    monkeypatch.setenv("ROUTER_CLIENT_KEYS", f"laptop:{SECRET}2,{SECRET}3")
    status, out, err = run("check-config", *arguments)
    assert status == 0
    assert "***" in out
    assert "canary" not in out + err


def test_the_table_names_settings_values_and_places(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", SECRET)
    monkeypatch.setenv("LLM_ROUTER_SERVER__ALLOWED_HOSTS", "a.example,b.example")
    lines = [" ".join(line.split()) for line in run("check-config")[1].splitlines()]
    assert "server.port 3456 default" in lines
    assert "models.direct true default" in lines
    assert "server.client_keys none default" in lines
    assert (
        "server.allowed_hosts a.example, b.example environment, LLM_ROUTER_SERVER__ALLOWED_HOSTS"
        in lines
    )


def test_what_would_stop_serve_is_a_problem(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text(
        "[server]\nhost = '0.0.0.0'\n[ledger]\npath = 'nowhere/router.db'"
    )
    status, out, _ = run("check-config", "--json")
    problems = json.loads(out)["problems"]
    assert status == 1
    assert len(problems) == 3
    assert "ROUTER_ADMIN_KEY" in problems[0]
    assert "OPENROUTER_API_KEY" in problems[1]
    assert "the folder nowhere does not exist" in problems[2]
    status, _, err = run("check-config")
    assert status == 1
    assert problems[0] in err


def test_a_doubt_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", SECRET)
    monkeypatch.setenv("ROUTER_PROT", "1")
    status, out, err = run("check-config", "--json")
    assert status == 0
    assert "llm-router: warning: environment, ROUTER_PROT: not a name of ours" in err
    assert len(json.loads(out)["warnings"]) == 1


def test_other_files_can_be_named(run: Run, folder: Path) -> None:
    (folder / "mine.toml").write_text("[server]\nport = 5")
    (folder / "mine.env").write_text("ROUTER_HOST=::1\n")
    arguments = ("--json", "--config", "mine.toml", "--env-file", "mine.env")
    shown = json.loads(run("check-config", *arguments)[1])["settings"]
    assert shown["server.port"]["value"] == 5
    assert shown["server.host"]["value"] == "::1"
    assert run("check-config", "--config", "missing.toml")[0] == 1
