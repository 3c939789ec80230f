"""The loop that a process runs on."""

import asyncio
import sys

import pytest

from llm_router import loop


async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_runs_on_the_fastest_loop_there_is() -> None:
    pytest.importorskip("uvloop")
    modules: list[str] = []

    async def main() -> None:
        modules.append(await loop_module())

    loop.run(main())
    assert modules == ["uvloop"]


def test_without_uvloop_the_standard_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    modules: list[str] = []

    async def main() -> None:
        modules.append(await loop_module())

    loop.run(main())
    assert modules[0].startswith("asyncio.")
