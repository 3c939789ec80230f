"""The system's own resolver, as it behaves when its server does not."""

import json
import sys
from pathlib import Path

import pytest

from tests.fakes.isolated import run_isolated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]

# A DNS server that answers as it is told to, a router on a name that it is asked for, and chats.
PROGRAM = """
import asyncio, json, os, sys, time
from pathlib import Path
import aiohttp
from llm_router.routing.defaults import default_config
from llm_router.serving import running
from llm_router.settings import Settings

folder, behaviour = Path(sys.argv[1]), sys.argv[2]
CODES = {"nxdomain": 3, "servfail": 2}


class Dns(asyncio.DatagramProtocol):
    asked = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, address):
        Dns.asked += 1
        if behaviour in CODES:
            flags = (0x8180 | CODES[behaviour]).to_bytes(2, "big")
            self.transport.sendto(query[:2] + flags + query[4:6] + bytes(6) + query[12:], address)


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Dns, local_addr=("127.0.0.1", 53))
    settings = Settings.model_validate({
        "server": {"port": 0}, "classifier": {"mode": "keywords"},
        "upstream": {"base_url": "http://provider.test/v1", "api_key": "x"},
        "deadlines": {"connect_s": 0.5}, "ledger": {"path": folder / "router.db"},
    })
    body = {"model": "router/code", "messages": [{"role": "user", "content": "Hi"}]}
    async with running(settings, default_config()) as (_, url), aiohttp.ClientSession() as http:
        async def chat():
            async with http.post(url + "/v1/chat/completions", json=body) as answer:
                return answer.status, (await answer.json())["error"]["type"]
        chats = [asyncio.ensure_future(chat()) for _ in range(30)]
        rounds = 0
        while not all(task.done() for task in chats):
            async with http.get(url + "/health/live") as answer:
                assert answer.status == 200
            # What other parts do in threads goes on beside the lookups.
            await asyncio.to_thread(time.sleep, 0.01)
            rounds += 1
        said = sorted({await task for task in chats})
        async with http.get(url + "/circuit-breaker") as answer:
            gates = {gate["gate"]: gate["state"] for gate in (await answer.json())["gates"]}
        print(json.dumps([said, gates["gate:transport"], Dns.asked, rounds]))
        sys.stdout.flush()
        os._exit(0)  # the thread of a lookup that hangs is not waited for

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("nxdomain", {(502, "upstream_failed"), (503, "no_candidate")}),
        ("servfail", {(502, "upstream_failed"), (503, "no_candidate")}),
        ("hang", {(504, "upstream_timeout"), (503, "no_candidate")}),
    ],
)
def test_a_name_that_does_not_resolve_holds_nobody_up(
    tmp_path: Path, behaviour: str, said: set[tuple[int, str]]
) -> None:
    """F03: thirty requests at a time ask once, and everything else goes on."""
    printed = run_isolated(PROGRAM, tmp_path, str(tmp_path), behaviour)
    answers, gate, asked, rounds = json.loads(printed)
    assert {tuple(each) for each in answers} <= said
    assert gate == "open"
    if behaviour == "hang":
        assert asked <= 4  # for IPv4 and IPv6, however often those who ask give up
        assert rounds > 10
