import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from llm_router.cli import demo_upstream
from llm_router.errors import RouterError

COMMAND = "import sys; from llm_router.cli import main; sys.exit(main(sys.argv[1:]))"


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo_upstream.configure(parser)
    return parser.parse_args(words)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_leaves_cleanly(number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "demo-upstream",
        "--port",
        "0",
        "--gone",
        "z-ai/glm-5",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/api/v1", line)
            assert address is not None
            with urllib.request.urlopen(address[0] + "/models") as response:
                listed = response.read()
            assert b"openai/gpt-4o-mini" in listed
            assert b'"z-ai/glm-5"' not in listed
            process.send_signal(number)
            assert process.wait(10) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def test_a_taken_port_is_told_in_one_line() -> None:
    """F79: the port is in use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RouterError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            demo_upstream.run(arguments("--port", str(port)))


@pytest.mark.parametrize("port", ["99999", "1e3", "many"])
def test_an_impossible_port_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        arguments("--port", port)
    assert f"{port!r} is not a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_signal_right_after_the_first_line_is_heard(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loop == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)

    class Out:
        def write(self, text: str) -> None:
            assert "/api/v1" in text
            os.kill(os.getpid(), signal.SIGTERM)

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stdout", Out())
    assert demo_upstream.run(arguments("--port", "0")) == 0


def test_an_interrupt_without_signal_handlers_is_a_clean_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows, where Ctrl-C is a KeyboardInterrupt."""
    monkeypatch.setattr(sys, "platform", "win32")

    class Out:
        def write(self, text: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", Out())
    assert demo_upstream.run(arguments("--port", "0")) == 0
