"""`llm-router demo`: everything in its tour works, with no key and no network."""

import json
import shlex
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_router.cli.demo import tour
from llm_router.settings import Settings
from tests.cli.process import Running, serving

KEY = "sk-or-canary-of-the-operator"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(home: Path) -> Iterator[Running]:
    """A demo in a folder with settings that are none of its business."""
    (home / ".env").write_text("ROUTER_HOST=0.0.0.0\n")
    (home / "config.toml").write_text("[no]\nsense = 1\n")
    environ = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1"}
    with serving(home, "demo", until="In any OpenAI client", **environ) as running:
        yield running


def commands(demo: Running) -> list[list[str]]:
    """Return the curl lines of the tour as their arguments."""
    found = (line[line.find("curl ") :] for line in demo.said.splitlines() if "curl " in line)
    return [shlex.split(line) for line in found]


def send(arguments: list[str]) -> tuple[int, bytes]:
    """Do what curl would do with these arguments."""
    url = next(argument for argument in arguments if argument.startswith("http"))
    body = arguments[arguments.index("-d") + 1].encode() if "-d" in arguments else None
    method = arguments[arguments.index("-X") + 1] if "-X" in arguments else None
    request = urllib.request.Request(url, body, method=method or ("POST" if body else "GET"))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read()


def asked(demo: Running, path: str) -> Any:
    return json.loads(send(["curl", demo.url + path])[1])


def test_every_line_of_its_tour_works(demo: Running) -> None:
    lines = commands(demo)
    assert len(lines) == 7
    for arguments in lines:
        status, body = send(arguments)
        assert status == 200, arguments
        assert body


def test_its_tour_shows_a_fallback_and_an_open_breaker(demo: Running) -> None:
    [failing] = [line for line in commands(demo) if "[[demo fail=" in " ".join(line)]
    for _ in range(3):
        answer = json.loads(send(failing)[1])
        assert answer["model"] != "z-ai/glm-5"
    states = {b["model"]: b["state"] for b in asked(demo, "/circuit-breaker")["breakers"]}
    assert states["z-ai/glm-5"] == "open"
    [resetting] = [line for line in commands(demo) if "-X" in line]
    send(resetting)
    states = {b["model"]: b["state"] for b in asked(demo, "/circuit-breaker")["breakers"]}
    assert states["z-ai/glm-5"] == "closed"


def test_its_ledger_can_be_queried_as_it_says(demo: Running, home: Path) -> None:
    [line] = [line for line in demo.said.splitlines() if "sqlite3" in line]
    _, path, query = shlex.split(line)
    assert Path(path).name == "router.db"
    with closing(sqlite3.connect(home / path)) as database:
        database.execute(query).fetchall()


def test_it_asks_for_nobodys_key_and_says_none(demo: Running) -> None:
    assert KEY not in demo.said
    assert asked(demo, "/config")["mode"] == "hybrid"
    with pytest.raises(urllib.error.HTTPError) as caught:
        asked(demo, "/v1/embeddings")
    caught.value.close()


@pytest.mark.parametrize(
    ("keys", "which"),
    [
        ({"admin_key": "an-admin-key"}, "the admin key"),
        ({"client_keys": ["a-client-key"]}, "a client key"),
        ({"admin_key": "an-admin-key", "client_keys": ["a-client-key"]}, "the admin key"),
    ],
    ids=["admin", "client", "both"],
)
def test_with_keys_every_line_of_the_tour_carries_one_that_is_not_printed(
    keys: dict[str, Any], which: str
) -> None:
    said = tour(Settings.model_validate({"server": keys}), "http://127.0.0.1:1")
    lines = [line for line in said.splitlines() if "curl " in line]
    assert len(lines) == 7
    assert all('-H "Authorization: Bearer $KEY"' in line for line in lines)
    assert f"export KEY=…  ({which})" in said
    assert not any(key in said for key in ("an-admin-key", "a-client-key"))


def test_it_takes_keys_and_mode_from_where_serve_does(tmp_path: Path) -> None:
    environ = {"ROUTING_MODE": "keywords", "ROUTER_CLIENT_KEYS": "a-client-key-for-the-demo"}
    with serving(tmp_path, "demo", until="In any OpenAI client", **environ) as running:
        assert asked(running, "/config")["mode"] == "keywords"
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            asked(running, "/v1/models")
        caught.value.close()
        assert "export KEY=" in running.said


def test_it_ends_when_it_is_told_to(demo: Running) -> None:
    """Last: nothing is left for the others."""
    status, err = demo.stop(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in err
    assert KEY not in err
