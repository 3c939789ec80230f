"""What the supervisor and its processes say to each other."""

import socket
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from llm_router.routing.defaults import default_config
from llm_router.settings import (
    LedgerSettings,
    ServerSettings,
    Settings,
    UpstreamSettings,
)
from llm_router.workers.control import Drain, Message, Orders, Ready, open_line, orders

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is one process on Windows")

SETTINGS = Settings(
    server=ServerSettings(
        workers="auto",
        admin_key=SecretStr("canary-admin"),
        client_keys=(SecretStr("laptop:canary-one"), SecretStr("canary-two")),
        allowed_hosts=("router.test",),
    ),
    upstream=UpstreamSettings(api_key=SecretStr("canary-upstream")),
    ledger=LedgerSettings(path=Path("/somewhere/router.db")),
)


async def told(*messages: Message) -> list[Message | None]:
    """Return what the other end hears, up to the end of the line."""
    ours, theirs = socket.socketpair()
    speaker, listener = await open_line(ours), await open_line(theirs)
    for message in messages:
        speaker.say(message)
    speaker.close()
    heard = [await listener.hear() for _ in range(len(messages) + 1)]
    listener.close()
    return heard


async def test_a_process_gets_the_settings_as_they_are_secrets_included() -> None:
    given = orders("worker", SETTINGS, default_config(), is_first=True)
    given = replace(given, sockets=(5, 6), turns=7, place=1)
    heard, end = await told(given)
    assert isinstance(heard, Orders)
    assert heard.read_settings() == SETTINGS
    assert heard.read_seed().categories == default_config().categories
    assert (heard.role, heard.place, heard.is_first) == ("worker", 1, True)
    assert heard.inherited == (5, 6, 7)
    assert end is None


async def test_messages_come_whole_and_in_order_and_then_the_end() -> None:
    assert await told(Ready(), Drain(1800, 75)) == [Ready(), Drain(1800, 75), None]


async def test_who_is_gone_is_not_spoken_to_any_more() -> None:
    ours, theirs = socket.socketpair()
    line = await open_line(ours)
    theirs.close()
    assert await line.hear() is None
    line.close()
    line.say(Ready())
