"""Several processes on one port, as they run in production."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_router.tasks import spawn
from tests.fakes.upstream import Upstream
from tests.integration.client import Caller, Reply, calling, chat, chat_body, request
from tests.integration.conftest import PATIENCE_S, eventually, upstream
from tests.oracles import books
from tests.oracles.books import sent_to
from tests.workers.crew import Crew, crew, is_alive

__all__ = ["upstream"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"


async def send(team: Crew, method: str, path: str, body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, team.url + path, json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


async def open_stream(stack: AsyncExitStack, team: Crew, **fields: Any) -> Caller:
    caller = await stack.enter_async_context(calling(team.url))
    caller.writer.write(request(chat_body(stream=True, **fields)))
    await caller.until(b"data: {")
    return caller


async def settled(team: Crew, count: int) -> list[dict[str, Any]]:
    async def are_settled() -> bool:
        return len([row for row in team.server.rows() if row["outcome"]]) == count

    await eventually(are_settled)
    return team.server.rows()


async def assert_sound_books(team: Crew, upstream: Upstream) -> None:
    found: list[str] = []

    async def are_sound() -> bool:
        found[:] = books.faults(team.server.database, sent_to(upstream.everything))
        return not found

    try:
        await eventually(are_sound, 5)
    except TimeoutError:
        assert not found


async def test_clients_that_come_together_are_shared_among_the_workers(
    upstream: Upstream, tmp_path: Path
) -> None:
    """And they keep their connections, so one core would have all the work otherwise.

    So many that a worker whom others keep from its core for a tenth of a second has its share, too.
    """
    ask = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with crew(upstream, tmp_path) as team, AsyncExitStack() as stack:
        opened = (stack.enter_async_context(calling(team.url)) for _ in range(160))
        callers = await asyncio.gather(*opened)
        shares: Counter[int] = Counter()
        for caller in callers:
            caller.writer.write(ask)
            shares[json.loads((await caller.reply()).body)["router"]["pid"]] += 1
        assert sorted(shares) == team.workers
        assert min(shares.values()) >= 20


# Shared truth


async def test_every_worker_knows_what_a_session_stays_with(
    upstream: Upstream, tmp_path: Path
) -> None:
    code, why = "Write a python function that parses json", "Why is the sky blue?"

    def turn(text: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text}], "session_id": "s"}

    async with crew(upstream, tmp_path, LLM_ROUTER_CLASSIFIER__STICKY="session") as team:
        await send(team, "POST", "/v1/chat/completions", turn(code))
        said: dict[int, str] = {}

        async def agree() -> bool:
            # The connection stays on one worker, which says who it is.
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
                async with http.get(team.url + "/metrics") as metrics:
                    pid = (await metrics.json())["router"]["pid"]
                async with http.post(team.url + "/route/explain", json=turn(why)) as shown:
                    said[pid] = (await shown.json())["category"]
            return said == dict.fromkeys(team.workers, "code")

        await eventually(agree)


async def test_what_one_worker_is_told_all_of_them_know(upstream: Upstream, tmp_path: Path) -> None:
    async with crew(upstream, tmp_path, LLM_ROUTER_BREAKER__FAILURES="1") as team:
        body = {"name": "poems", "models": ["glm-5"], "keywords": ["sonnet"]}
        assert (await send(team, "POST", "/config/category", body))["version"] == 2
        upstream.fail(AURORA, status=500)
        assert (await chat(team.url, model=AURORA)).status == 502
        assert (await chat(team.url, model=MINI)).status == 200

        async def agree() -> bool:
            configs = await team.each("/config")
            shut = await team.each("/circuit-breaker")
            states = [
                [b["state"] for b in shown["breakers"] if b["model"] == AURORA]
                for shown in shut.values()
            ]
            return [c["version"] for c in configs.values()] == [2, 2] and states == [["open"]] * 2

        await eventually(agree)
        await settled(team, 2)
        totals = [m["totals"] for m in (await team.each("/metrics?since=1h")).values()]
        assert totals[0] == totals[1]
        assert totals[0]["requests"] == 2
        assert (await send(team, "POST", "/circuit-breaker/reset/all"))["cleared"] == [AURORA]

        async def are_all_in() -> bool:
            shut = await team.each("/circuit-breaker")
            return all(b["state"] == "closed" for s in shut.values() for b in s["breakers"])

        await eventually(are_all_in)
        versions = (await send(team, "GET", "/config/history"))["versions"]
        assert [version["version"] for version in versions] == [2, 1]
        assert (await send(team, "POST", "/config/rollback/1"))["version"] == 3
        await assert_sound_books(team, upstream)
    assert "Traceback" not in team.server.log.read_text()


async def test_what_was_changed_holds_for_the_next_request_whoever_gets_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F80: it used to meet a worker that had not heard of it yet, and got a 404."""
    async with crew(upstream, tmp_path, LLM_ROUTER_BREAKER__FAILURES="1") as team:
        for version in range(2, 8):
            body = {"name": f"poems{version}", "models": ["glm-5"]}
            assert (await send(team, "POST", "/config/category", body))["version"] == version
            shown = await team.each("/config")
            assert {each["version"] for each in shown.values()} == {version}
            await send(team, "POST", f"/circuit-breaker/force/{AURORA}", {"state": "open"})
            await send(team, "POST", f"/circuit-breaker/reset/{AURORA}")
            shut = await team.each("/circuit-breaker")
            assert {b["state"] for s in shut.values() for b in s["breakers"]} == {"closed"}
        for _ in range(8):
            upstream.fail(AURORA, status=429, headers={"Retry-After": "60"})
            assert (await chat(team.url, model=AURORA)).status == 429
            cleared = (await send(team, "POST", "/circuit-breaker/reset/all"))["cleared"]
            assert cleared == [AURORA]


async def test_everybody_who_changes_the_configuration_at_once_gets_a_version(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F81: one after the other, whichever worker was asked."""
    async with crew(upstream, tmp_path) as team:
        bodies = [{"name": f"poems-{n}", "models": ["glm-5"]} for n in range(20)]
        answers = await asyncio.gather(
            *(send(team, "POST", "/config/category", body) for body in bodies)
        )
        assert sorted(answer["version"] for answer in answers) == list(range(2, 22))

        async def are_there() -> bool:
            configs = (await team.each("/config")).values()
            return all({b["name"] for b in bodies} <= c["categories"].keys() for c in configs)

        await eventually(are_there)


async def test_one_request_of_a_herd_at_two_workers_has_the_probe(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F82 F83"""
    settings = {"LLM_ROUTER_BREAKER__FAILURES": "1", "LLM_ROUTER_BREAKER__OPEN_S": "0.5"}
    async with crew(upstream, tmp_path, **settings) as team:
        upstream.fail(AURORA, status=500, times=1)
        assert (await chat(team.url, model=AURORA)).status == 502

        async def is_open_everywhere() -> bool:
            shut = (await team.each("/circuit-breaker")).values()
            states = [b["state"] for s in shut for b in s["breakers"] if b["model"] == AURORA]
            return states == ["open", "open"]

        await eventually(is_open_everywhere)
        release = upstream.hold(AURORA)
        upstream.requests.clear()
        asking: list[asyncio.Task[Reply]] = []

        async def is_probed() -> bool:
            """Wait until each of another herd has its answer, but for the one that probes."""
            asking.extend(spawn(chat(team.url, model=AURORA), name="ask") for _ in range(40))
            async with asyncio.timeout(PATIENCE_S):
                while waiting := [asked for asked in asking if not asked.done()]:
                    if len(waiting) == 1 and upstream.calls(AURORA):
                        return True
                    await asyncio.wait(waiting, timeout=0.01)
            return False

        await eventually(is_probed)
        assert await is_probed()  # with those who come meanwhile
        assert len(upstream.calls(AURORA)) == 1
        release.set()
        statuses = Counter([(await asked).status for asked in asking])
        assert statuses == {200: 1, 503: len(asking) - 1}

        async def moves() -> list[tuple[str, str]]:
            transitions = (await send(team, "GET", "/circuit-breaker"))["transitions"]
            return [(t["from"], t["to"]) for t in reversed(transitions) if t["model"] == AURORA]

        async def is_closed() -> bool:
            is_served = (await chat(team.url, model=AURORA)).status == 200
            return is_served and (await moves())[-1] == ("half_open", "closed")

        await eventually(is_closed)
        first, *tries, probe, _ = await moves()
        assert (first, probe) == (("closed", "open"), ("open", "half_open"))
        # A claim that a busy machine does not decide in time is given back and made again.
        assert tries == [("open", "half_open"), ("half_open", "open")] * (len(tries) // 2)


# Deaths


async def test_a_worker_that_is_killed_is_replaced_and_its_calls_are_lost_not_forgotten(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F69 F74: the others serve on, and every call that was sent has its row."""
    upstream.hold(GLM, at=2)
    async with crew(upstream, tmp_path) as team, AsyncExitStack() as stack:
        streams = [await open_stream(stack, team, model=GLM) for _ in range(16)]
        victim, survivor = team.workers
        os.kill(victim, signal.SIGKILL)
        await team.gone(victim)
        assert (await chat(team.url, model=MINI)).status == 200
        await team.until_complete()
        assert survivor in team.workers
        assert victim not in team.workers

        async def are_settled() -> bool:
            outcomes = Counter(row["outcome"] for row in team.server.rows())
            return outcomes["lost"] + outcomes[None] == len(streams)

        await eventually(are_settled)
        upstream.clear()
        for pid in team.workers:
            assert is_alive(pid)
        await assert_sound_books(team, upstream)
    assert f"process {victim}, ended with signal 9" in team.server.log.read_text()


async def test_without_the_ledger_process_requests_go_on_and_rows_come_later(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with crew(upstream, tmp_path) as team:
        former = team.ledger
        os.kill(former, signal.SIGKILL)
        for _ in range(20):
            assert (await chat(team.url, model=MINI)).status == 200
        await team.until_complete()
        assert team.ledger != former
        await settled(team, 20)
        body = {"name": "poems", "models": ["glm-5"]}

        async def is_changed() -> bool:
            async with (
                aiohttp.ClientSession() as http,
                http.post(team.url + "/config/category", json=body) as response,
            ):
                return response.status == 200

        await eventually(is_changed)
        await assert_sound_books(team, upstream)


@pytest.mark.slow
async def test_a_worker_that_dies_again_and_again_takes_nobody_along(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F71: the other one serves, /health/ready says that one is missing, and then it is there."""
    async with crew(upstream, tmp_path) as team:
        _, survivor = team.workers
        for _ in range(3):
            [victim] = set(team.workers) - {survivor}
            os.kill(victim, signal.SIGKILL)
            await team.gone(victim)

            async def is_missed() -> bool:
                return bool((await send(team, "GET", "/health/ready"))["status"] == "degraded")

            await eventually(is_missed)
            assert (await chat(team.url, model=MINI)).status == 200
            await team.until_complete()
        assert survivor in team.workers
        assert is_alive(team.supervisor)
        await assert_sound_books(team, upstream)
    assert team.server.log.read_text().count("ended with signal 9") == 3


@pytest.mark.slow
async def test_a_ledger_process_that_is_stopped_delays_rows_and_nothing_else(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F72: everybody says so meanwhile."""
    async with crew(upstream, tmp_path) as team:

        async def say_all(state: str) -> bool:
            told = (await team.each("/health")).values()
            return {health["database"]["state"] for health in told} == {state}

        await eventually(partial(say_all, "ok"))
        ledger = team.ledger
        os.kill(ledger, signal.SIGSTOP)
        try:
            for _ in range(20):
                assert (await chat(team.url, model=MINI)).status == 200
            await eventually(partial(say_all, "failing"))
            assert len(team.server.rows()) < 20
        finally:
            os.kill(ledger, signal.SIGCONT)
        await eventually(partial(say_all, "ok"))
        await settled(team, 20)
        await assert_sound_books(team, upstream)
        assert team.ledger == ledger
    log = team.server.log.read_text()
    for words in ("the ledger process is silent", "the ledger process answers again"):
        assert log.count(words) == team.wanted


async def test_without_a_supervisor_streams_end_and_nobody_stays(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F70: no orphan holds the port, and no row is missing."""
    release = upstream.hold(GLM, at=2)
    async with crew(upstream, tmp_path) as team, AsyncExitStack() as stack:
        everybody = [*team.workers, team.ledger]
        streams = [await open_stream(stack, team, model=GLM) for _ in range(4)]
        os.kill(team.supervisor, signal.SIGKILL)
        await eventually(team.server.is_refusing)
        assert is_alive(everybody[-1])
        release.set()
        for stream in streams:
            assert (await stream.rest()).is_whole
        for pid in everybody:
            await team.gone(pid)
        assert [row["outcome"] for row in team.server.rows()] == ["completed"] * 4
        await assert_sound_books(team, upstream)


# Ends and restarts


async def test_sighup_replaces_everybody_and_loses_no_request(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F66: streams that began before it end with the worker that they began with."""
    release = upstream.hold(GLM, at=2)
    (tmp_path / "config.toml").write_text("[server]\nkeepalive_s = 20\n")
    async with crew(upstream, tmp_path) as team:
        stack = AsyncExitStack()
        before = {*team.workers, team.ledger}
        streams = [await open_stream(stack, team, model=GLM) for _ in range(4)]
        is_over = asyncio.Event()

        async def keep_asking() -> list[int]:
            statuses = []
            async with aiohttp.ClientSession() as http:
                while not is_over.is_set():
                    url, body = team.url + "/v1/chat/completions", chat_body(model=MINI)
                    async with http.post(url, json=body) as response:
                        await response.read()
                        statuses.append(response.status)
            return statuses

        asking = [spawn(keep_asking(), name="ask") for _ in range(4)]
        os.kill(team.supervisor, signal.SIGHUP)

        async def are_all_new() -> bool:
            log = team.server.log.read_text()
            return "every process has been restarted" in log

        await eventually(are_all_new)
        assert not before & set(team.workers[-2:])
        is_over.set()
        statuses = [status for asked in asking for status in await asked]
        assert set(statuses) == {200}
        release.set()
        for stream in streams:
            assert (await stream.rest()).is_whole
        await stack.aclose()
        for pid in before:
            await team.gone(pid)
        await assert_sound_books(team, upstream)
    assert "Traceback" not in team.server.log.read_text()


async def test_settings_that_cannot_be_used_leave_everybody_where_they_are(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F80"""
    async with crew(upstream, tmp_path) as team:
        before = [*team.workers, team.ledger]
        (tmp_path / "config.toml").write_text("[server]\nkeepalive_s = 'long'\n")
        os.kill(team.supervisor, signal.SIGHUP)

        async def is_said() -> bool:
            return "the restart goes no further" in team.server.log.read_text()

        await eventually(is_said)
        assert [*team.workers, team.ledger] == before
        assert (await chat(team.url, model=MINI)).status == 200


async def test_sigterm_ends_everybody_after_what_they_have_begun(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F66"""
    release = upstream.hold(GLM, at=2)
    async with crew(upstream, tmp_path) as team, AsyncExitStack() as stack:
        everybody = [*team.workers, team.ledger]
        streams = [await open_stream(stack, team, model=GLM) for _ in range(4)]
        team.server.stop()
        await eventually(team.server.is_refusing)
        release.set()
        for stream in streams:
            assert (await stream.rest()).is_whole
        assert await team.server.exit_code() == 0
        assert not any(map(is_alive, everybody))
        assert [row["outcome"] for row in team.server.rows()] == ["completed"] * 4
        await assert_sound_books(team, upstream)
    assert "Traceback" not in team.server.log.read_text()


async def test_a_second_signal_cuts_everywhere(upstream: Upstream, tmp_path: Path) -> None:
    """F68"""
    upstream.hold(GLM, at=2)
    async with crew(upstream, tmp_path) as team, AsyncExitStack() as stack:
        streams = [await open_stream(stack, team, model=GLM) for _ in range(4)]
        team.server.stop()
        await eventually(team.server.is_refusing)
        team.server.stop()
        for stream in streams:
            assert (await stream.rest()).last_words["type"] == "server_draining"
        assert await team.server.exit_code() == 0
        rows = team.server.rows()
        assert {(row["outcome"], row["error_class"]) for row in rows} == {("truncated", "draining")}


async def test_a_start_that_cannot_be_says_why_in_one_line(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "router.db").write_text("this is no database, but long enough to look like one")
    with pytest.raises(AssertionError) as caught:
        async with crew(upstream, tmp_path):
            pass
    assert "is not a SQLite database" in str(caught.value)
    assert "Traceback" not in str(caught.value)
