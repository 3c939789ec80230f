"""A model's breaker is one thing, however many processes there are."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from reliability import ledger_file
from reliability.stage import locked
from tests.fakes.upstream import Upstream
from tests.fakes.waiting import until
from tests.integration.client import Reply, chat
from tests.integration.conftest import PATIENCE_S, eventually, upstream
from tests.workers.crew import Crew, crew
from tests.workers.test_workers import assert_sound_books, send

__all__ = ["upstream"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

AURORA = "openrouter/aurora-alpha"
METRICS = "/metrics?since=1h"
HERD = 200


async def shown(team: Crew) -> dict[int, dict[str, object]]:
    """Return how each worker sees the model."""
    told = await team.each("/circuit-breaker")
    return {
        pid: next(view for view in answer["breakers"] if view["model"] == AURORA)
        for pid, answer in told.items()
    }


async def until_all_say(team: Crew, key: str, value: str | None) -> None:
    async def do_they() -> bool:
        return {view[key] for view in (await shown(team)).values()} == {value}

    await eventually(do_they)


async def test_what_an_operator_holds_every_worker_holds(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with crew(upstream, tmp_path) as team:
        path = f"/circuit-breaker/force/{AURORA}"
        await send(team, "POST", path, {"state": "open"})
        await until_all_say(team, "forced", "open")
        assert {(await chat(team.url, model=AURORA)).status for _ in range(8)} == {503}
        await send(team, "POST", path, {"state": "off"})
        await until_all_say(team, "forced", None)
        assert (await chat(team.url, model=AURORA)).status == 200


@pytest.mark.slow
async def test_eight_workers_send_one_probe_a_time(upstream: Upstream, tmp_path: Path) -> None:
    """F82 F83: a herd comes again and again; each time one call arrives, until it has failed."""
    settings = {"LLM_ROUTER_BREAKER__FAILURES": "1", "LLM_ROUTER_BREAKER__OPEN_S": "1"}
    async with crew(upstream, tmp_path, 8, **settings) as team:
        upstream.fail(AURORA, status=500, times=1)
        assert (await chat(team.url, model=AURORA)).status == 502
        for number in range(1, 6):
            await until_all_say(team, "state", "open")
            release = upstream.hold(AURORA, status=500, times=1)
            probe = await until_probed(team, upstream, number)
            herd = await asyncio.gather(*(chat(team.url, model=AURORA) for _ in range(HERD)))
            assert {reply.status for reply in herd} == {503}
            assert len(upstream.calls(AURORA)) == 1 + number
            release.set()
            assert (await probe).status == 502
        await until_all_say(team, "state", "open")
        await assert_sound_books(team, upstream)
        moves = ledger_file.rows(team.server.database, "breaker_transitions")
        assert [(move["from_state"], move["to_state"]) for move in moves] == [
            ("closed", "open"),
            *([("open", "half_open"), ("half_open", "open")] * 5),
        ]


async def until_probed(team: Crew, upstream: Upstream, number: int) -> "asyncio.Task[Reply]":
    """Ask with a small herd until one of it is the probe; return that one, which is still held."""
    asking: list[asyncio.Task[Reply]] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(upstream.calls(AURORA)) == number:
            await asyncio.gather(*(task for task in asking if task.done()))
            asking = [task for task in asking if not task.done()]
            asking += [asyncio.ensure_future(chat(team.url, model=AURORA)) for _ in range(16)]
            await asyncio.sleep(0.1)
        await until(lambda: sum(not task.done() for task in asking) == 1)
    [probe] = [task for task in asking if not task.done()]
    return probe


@pytest.mark.slow
async def test_a_worker_that_is_stopped_loses_its_probe_and_what_it_says_later_counts_for_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F72: the others wait for its lease, and no longer."""
    settings = {
        "LLM_ROUTER_BREAKER__FAILURES": "1",
        "LLM_ROUTER_BREAKER__OPEN_S": "1",
        "LLM_ROUTER_DEADLINES__CONNECT_S": "0.5",
        "LLM_ROUTER_DEADLINES__FIRST_EVENT_S": "0.5",  # so the lease is one of 6 s
    }
    async with crew(upstream, tmp_path, **settings) as team:
        upstream.fail(AURORA, status=500, times=1)
        assert (await chat(team.url, model=AURORA)).status == 502
        await until_all_say(team, "state", "open")
        release = upstream.hold(AURORA, status=500, times=1)
        probe = await until_probed(team, upstream, 1)
        told = await team.each(METRICS)
        busy = {pid: each["router"]["in_flight"] for pid, each in told.items()}
        [stopped] = [pid for pid, in_flight in busy.items() if in_flight]
        os.kill(stopped, signal.SIGSTOP)
        try:
            release.set()
            assert (await chat(team.url, model=AURORA)).status == 503

            async def is_served() -> bool:
                return (await chat(team.url, model=AURORA)).status == 200

            await eventually(is_served)
            assert not probe.done()
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert (await probe).status == 502
        await until_all_say(team, "state", "closed")
        await assert_sound_books(team, upstream)
        moves = ledger_file.rows(team.server.database, "breaker_transitions")
    assert [(move["from_state"], move["to_state"]) for move in moves[-2:]] == [
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


@pytest.mark.slow
async def test_models_come_back_while_somebody_keeps_the_database_locked(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F86: each worker finds out by itself, and in the end the rows are one history."""
    settings = {"LLM_ROUTER_BREAKER__FAILURES": "1", "LLM_ROUTER_BREAKER__OPEN_S": "1"}
    async with crew(upstream, tmp_path, **settings) as team:
        with locked(team.server.database):
            upstream.fail(AURORA, status=500)

            async def is_shut_everywhere() -> bool:
                await asyncio.gather(*(chat(team.url, model=AURORA) for _ in range(8)))
                return {view["state"] for view in (await shown(team)).values()} == {"open"}

            await eventually(is_shut_everywhere)
            upstream.heal()

            async def are_served() -> bool:
                replies = await asyncio.gather(*(chat(team.url, model=AURORA) for _ in range(16)))
                return {reply.status for reply in replies} == {200}

            await eventually(are_served)
        await until_all_say(team, "state", "closed")
        await assert_sound_books(team, upstream)
