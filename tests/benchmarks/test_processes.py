"""What a program that is measured gets of its surroundings."""

import pytest

from benchmarks.processes import ROOT, clean_environ


@pytest.mark.parametrize(
    "name",
    [
        "ROUTING_MODE",
        "LLM_ROUTER_LOG__LEVEL",
        "HTTPS_PROXY",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONASYNCIODEBUG",
        "AIOHTTP_NO_EXTENSIONS",
        "MALLOC_CHECK_",
        "LD_PRELOAD",
        "SSLKEYLOGFILE",
    ],
)
def test_nothing_of_the_environment_changes_or_slows_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert name not in clean_environ()


def test_it_finds_programs_and_this_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/nginx/sbin:/bin")
    environ = clean_environ()
    assert environ["PATH"] == "/opt/nginx/sbin:/bin"
    assert environ["PYTHONPATH"] == str(ROOT)
