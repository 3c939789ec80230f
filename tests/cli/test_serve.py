"""`llm-router serve` as a process, and every reason not to start."""

import json
import signal
import socket
import stat
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.process import finished, serving

KEY = "sk-or-canary-of-the-operator"
NOWHERE = "http://127.0.0.1:9/api/v1"
ENVIRON = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": NOWHERE, "ROUTING_MODE": "keywords"}
READY = "llm-router serves at "


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_says_where_it_serves_and_ends_when_it_is_told_to(
    folder: Path, how: signal.Signals
) -> None:
    """F66, T25, T38"""
    doubtful = {"LLM_ROUTER_LOG__FORMAT": "json", "ROUTER_ADMIN_KEY": "short"}
    with serving(folder, "serve", until=READY, **ENVIRON, **doubtful) as server:
        assert server.said == f"{READY}{server.url}\n"
        with urllib.request.urlopen(server.url + "/health/live", timeout=10) as answer:
            assert answer.status == 200
        assert stat.S_IMODE((folder / "router.db").stat().st_mode) == 0o600
        status, err = server.stop(how)
    assert status == 0
    assert "Traceback" not in err
    assert KEY not in err
    assert "ROUTER_ADMIN_KEY: a key of fewer than 20 characters" in err
    assert all({"at", "level", "message"} <= json.loads(line).keys() for line in err.splitlines())
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    """F79"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = finished(folder, "serve", **ENVIRON, ROUTER_PORT=str(port))
    assert (status, out) == (1, "")
    assert err == (
        f"llm-router: cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Stop what uses it, or choose another with --port or ROUTER_PORT.\n"
    )
    assert list(folder.iterdir()) == [], "nothing had begun"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_the_strict_parser_it_does_not_begin(workers: str, folder: Path) -> None:
    """T15: the other one takes for one request what a proxy takes for two."""
    environ = {**ENVIRON, "LLM_ROUTER_SERVER__WORKERS": workers}
    status, out, err = finished(folder, "serve", **environ, AIOHTTP_NO_EXTENSIONS="1")
    assert (status, out) == (1, "")
    assert err.startswith("llm-router: aiohttp runs without its C parser")
    assert err.count("\n") == 1


def test_a_database_that_another_server_writes_is_one_clear_line(folder: Path) -> None:
    with serving(folder, "serve", until=READY, **ENVIRON) as server:
        status, out, err = finished(folder, "serve", **ENVIRON, ROUTER_PORT="0")
        assert server.process.poll() is None
    assert (status, out) == (1, "")
    assert err.startswith("llm-router: ")
    assert err.count("\n") == 1
    assert "router.db" in err


def test_what_a_demo_wrote_is_set_aside(folder: Path) -> None:
    (folder / "router.db-journals").mkdir()
    (folder / "router.db-journals" / "demo").touch()
    with serving(folder, "serve", until=READY, **ENVIRON) as server:
        first, _ = server.said.splitlines()
    assert first.endswith("demo-router.db now, and real books begin empty")
    assert (folder / "router.db").exists()


# Reasons not to start, each found before anything is opened


def refused(run: Run, folder: Path, *options: str) -> str:
    """Return the one line that `serve` says instead of serving."""
    before = set(folder.iterdir())
    status, out, err = run("serve", *options)
    assert (status, out) == (1, "")
    assert err.startswith("llm-router: ")
    assert err.count("\n") == 1
    assert set(folder.iterdir()) == before
    return err


def test_without_a_key_it_says_where_to_put_one_and_how_to_do_without(
    run: Run, folder: Path
) -> None:
    err = refused(run, folder)
    for words in ("OPENROUTER_API_KEY", ".env", "`make demo`"):
        assert words in err


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "ROUTER_ADMIN_KEY and ROUTER_CLIENT_KEYS"),
        ({"ROUTER_ADMIN_KEY": "the-admin-key-of-this-test"}, "ROUTER_CLIENT_KEYS"),
        ({"ROUTER_CLIENT_KEYS": "a-client-key-of-this-test"}, "ROUTER_ADMIN_KEY"),
    ],
    ids=["no key", "no client key", "no admin key"],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "router.example"])
def test_it_listens_to_others_only_with_all_keys(
    host: str,
    given: dict[str, str],
    missing: str,
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """T02"""
    for name, value in {**ENVIRON, "ROUTER_HOST": host, **given}.items():
        monkeypatch.setenv(name, value)
    err = refused(run, folder)
    assert f"environment, ROUTER_HOST: {host} can be reached from other machines" in err
    assert f"set {missing}, or listen on 127.0.0.1" in err


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[server]\nprot = 1\n", "[server] prot: unknown key; did you mean port?"),
        ("[server]\nport = 70000\n", "[server] port: must be a whole number from 0 to 65535"),
        ("[breaker]\nfailures = 'many'\n", "[breaker] failures: must be a whole number"),
        ("not toml", "config.toml"),
    ],
    ids=["unknown", "out of bounds", "wrong type", "no TOML"],
)
def test_a_bad_setting_is_named(
    toml: str, words: str, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    (folder / "config.toml").write_text(toml)
    err = refused(run, folder)
    assert words in err
    assert "config.toml" in err
    assert KEY not in err


def test_the_command_line_says_where_to_listen_whatever_else_is_written_down(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.toml").write_text("[server]\nport = 1111\n")
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("LLM_ROUTER_SERVER__PORT", "2222")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: " in refused(run, folder, "--port", str(port))
    err = refused(run, folder, "--host", "0.0.0.0")
    assert err.startswith("llm-router: --host: 0.0.0.0 can be reached from other machines")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_crash_leaves_no_memory_on_the_disk(folder: Path) -> None:
    """T10: keys and prompts are in there."""
    with serving(folder, "serve", until=READY, **ENVIRON) as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()
        [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
