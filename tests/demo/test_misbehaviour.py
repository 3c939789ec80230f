"""Everything the demo upstream can be told to do wrong, seen from a client."""

from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from llm_router.demo.behaviour import HEADERS
from llm_router.tasks import spawn
from tests.demo.conftest import GLM, Client

KIMI = "moonshotai/kimi-k2.5"
MINI = "openai/gpt-4o-mini"
PROCESSING = b": OPENROUTER PROCESSING"


@pytest.mark.parametrize(
    "status", [400, 402, 403, 404, 408, 413, 422, 500, 502, 503, 504, 524, 529]
)
async def test_a_status_comes_in_openrouters_shape(client: Client, status: int) -> None:
    """F08 F12 F13: every status OpenRouter documents can be asked for."""
    reply = await client.chat(f"[[demo fail=glm-5:{status}]]")
    error = reply.json()["error"]
    assert (reply.status, error["code"]) == (status, status)
    assert error["metadata"]["provider_name"] == "Z.AI"
    assert (await client.chat(f"[[demo fail=glm-5:{status}]]", model=MINI)).status == 200


async def test_a_rate_limit_says_when_to_come_back(client: Client) -> None:
    """F09: Retry-After as asked for; the platform's own limit carries X-RateLimit headers."""
    reply = await client.chat("[[demo fail=*:429 retry_after=7]]")
    assert reply.headers["Retry-After"] == "7"
    platform = await client.chat("[[demo fail=*:429 platform]]")
    assert platform.headers["X-RateLimit-Remaining"] == "0"
    assert "free-models-per-min" in platform.json()["error"]["message"]
    assert "Retry-After" not in platform.headers


async def test_words_and_codes_of_an_error_are_free(client: Client) -> None:
    text = '[[demo fail=*:599 code=server_error error_type=odd message="no luck"]]'
    error = (await client.chat(text)).json()["error"]
    assert (error["code"], error["message"]) == ("server_error", "no luck")
    assert error["metadata"]["error_type"] == "odd"
    assert "code" not in (await client.chat("[[demo fail=*:500 code=none]]")).json()["error"]
    assert (await client.chat("[[demo fail=*:500 code=529]]")).json()["error"]["code"] == 529


async def test_an_error_can_hide_in_a_200_body(client: Client) -> None:
    """F15: 200 with a JSON error, to a plain request and to a stream."""
    for reply in (
        await client.chat("[[demo fail=*:502 via=body]]"),
        await client.stream("[[demo fail=*:502 via=body]]"),
        await client.chat("[[demo fail=*:502 via=event]]"),
    ):
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.json()["error"]["code"] == 502


async def test_an_error_can_be_the_first_event(client: Client) -> None:
    """F17: the stream begins with comments and an error event."""
    reply = await client.stream("[[demo fail=*:502 via=event]]")
    assert [event["error"]["code"] for event in reply.events] == [502]
    assert reply.events[0]["choices"][0]["finish_reason"] == "error"
    assert reply.error is None


@pytest.mark.parametrize(("choices", "expected"), [("empty", []), ("none", None)])
async def test_an_error_can_come_in_the_middle(
    client: Client, choices: str, expected: list[Any] | None
) -> None:
    """F26: after three chunks, with a string code, with and without choices."""
    text = f"[[demo fail=*:502 via=event after=3 code=server_error choices={choices}]]"
    *chunks, error = (await client.stream(text)).events
    assert len(chunks) == 3
    assert error["error"]["code"] == "server_error"
    assert error.get("choices") == expected


@pytest.mark.parametrize("status", [200, 502])
async def test_html_can_come_instead(client: Client, status: int) -> None:
    """F16: a CDN's page, with 200 or 502."""
    reply = await client.stream(f"[[demo html status={status}]]")
    assert (reply.status, reply.headers["Content-Type"]) == (status, "text/html")
    assert reply.body.startswith(b"<!DOCTYPE html>")


async def test_json_can_answer_a_stream_request(client: Client) -> None:
    reply = await client.stream("[[demo json]]")
    assert reply.json()["object"] == "chat.completion"


async def test_an_error_wins_only_for_its_number_of_times(client: Client) -> None:
    text = "[[demo fail=*:503 times=2]]"
    assert [(await client.chat(text)).status for _ in range(3)] == [503, 503, 200]
    assert (await client.chat(text + " another prompt")).status == 503


async def test_the_next_directive_has_its_turn_after_the_first(client: Client) -> None:
    text = "[[demo fail=*:503 times=1]] [[demo fail=*:502 times=1]]"
    assert [(await client.chat(text)).status for _ in range(3)] == [503, 502, 200]


async def test_an_odd_directive_is_explained(client: Client) -> None:
    reply = await client.chat("[[demo frobnicate]]")
    assert reply.status == 400
    assert "unknown word 'frobnicate'" in reply.json()["error"]["message"]


@pytest.mark.parametrize("word", ["drop", "close"])
@pytest.mark.parametrize("chunks", [0, 1, 5])
async def test_a_stream_can_break_after_so_many_chunks(
    client: Client, word: str, chunks: int
) -> None:
    """F20 F22 F23: reset or FIN; what was sent before it arrives."""
    reply = await client.stream(f"[[demo {word}={chunks}]]")
    assert len(reply.events) == chunks
    assert reply.error is not None
    assert ("Connection reset" in str(reply.error)) is (word == "drop")
    assert client.demo.calls()[0].dropped


async def test_a_reset_can_follow_a_role_only_chunk(client: Client) -> None:
    """F20: the role, then nothing."""
    reply = await client.stream("[[demo role drop=0]]")
    assert [e["choices"][0]["delta"] for e in reply.events] == [
        {"role": "assistant", "content": ""}
    ]
    assert reply.error is not None


@pytest.mark.parametrize("word", ["drop", "close"])
async def test_a_connection_can_break_before_the_status(client: Client, word: str) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.chat(f"[[demo {word}=headers]]")


@pytest.mark.parametrize("word", ["drop", "close", "end"])
async def test_a_plain_answer_breaks_in_the_middle(client: Client, word: str) -> None:
    reply = await client.chat(f"[[demo {word}=1]]")
    assert reply.status == 200
    assert 0 < len(reply.body) < int(reply.headers["Content-Length"])
    assert reply.error is not None


async def test_a_stream_can_end_well_formed_but_too_early(client: Client) -> None:
    """F23: a clean end without finish and without [DONE]."""
    reply = await client.stream("[[demo end=2]]")
    assert reply.error is None
    assert len(reply.events) == 2


async def test_a_place_beyond_the_answer_is_its_end(client: Client) -> None:
    reply = await client.stream("chunks=3 [[demo end=99]]")
    assert reply.text == "word0 word1 word2 "
    assert len(reply.events) == 3


async def test_done_and_finish_can_be_missing(client: Client) -> None:
    """F24: finish without [DONE], and the other way round."""
    assert "[DONE]" not in (await client.stream("[[demo no_done]]")).events
    *chunks, done = (await client.stream("[[demo no_finish]]")).events
    assert done == "[DONE]"
    assert {c["choices"][0]["finish_reason"] for c in chunks} == {None}
    plain = (await client.chat("[[demo no_finish]]")).json()
    assert plain["choices"][0]["finish_reason"] is None


async def test_a_completion_can_be_empty(client: Client) -> None:
    *chunks, _ = (await client.stream("[[demo empty]]")).events
    assert chunks[0]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == chunks[-1]["usage"]["cost"] == 0


async def test_framing_can_be_odd(client: Client) -> None:
    """F29: CRLF, one byte at a time; the events are the same."""
    usual = await client.stream("[[demo comments=1 chunks=2]]")
    crlf = await client.stream("[[demo comments=1 chunks=2 crlf]]")
    bytewise = await client.stream("[[demo comments=1 chunks=2 bytewise]]")
    assert b"\r\n\r\n" in crlf.body
    assert crlf.body.count(b"\r\n") == crlf.body.count(b"\n")
    assert usual.text == crlf.text == bytewise.text == "word0 word1 "
    assert bytewise.body.count(PROCESSING) == 1


async def test_one_event_can_be_huge(client: Client) -> None:
    """F28: a line of a megabyte."""
    reply = await client.stream("[[demo huge=1048576]]")
    assert len(reply.events[0]["choices"][0]["delta"]["content"]) == 1_048_576


async def test_the_answer_can_come_from_elsewhere(client: Client) -> None:
    """F39: a model and a provider other than asked for."""
    text = "[[demo served=z-ai/glm-5-20260211 provider=Parasail finish=length text=short]]"
    answer = (await client.chat(text)).json()
    assert (answer["model"], answer["provider"]) == ("z-ai/glm-5-20260211", "Parasail")
    assert answer["choices"][0]["message"]["content"] == "short"
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_raw_bytes_and_headers_can_be_slipped_in(client: Client) -> None:
    """F27: garbage after the first chunk, under a wrong content type."""
    headers = {"Content-Type": "text/plain", "X-Odd": "1"}
    client.demo.fail(GLM, insert=b"data: {not json\n\n", after=1, headers=headers)
    reply = await client.stream("chunks=2")
    assert reply.body.index(b'"word0 "') < reply.body.index(b"{not json")
    assert reply.body.index(b"{not json") < reply.body.index(b'"word1 "')
    assert (reply.headers["Content-Type"], reply.headers["X-Odd"]) == ("text/plain", "1")


async def test_a_stall_before_the_first_event_is_busy_with_comments(client: Client) -> None:
    """F18: comments only, until the stall is over."""
    release = client.demo.hold(GLM, at=0, beat=1)
    body = {"model": GLM, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    url = client.demo.url + "/chat/completions"
    async with client.session.post(url, json=body) as response:
        came = b""
        while came.count(PROCESSING) < 9:  # more than it sends without a stall
            came += await response.content.readany()
        assert b"data: " not in came
        release.set()
        came += await response.content.read()
    assert came.endswith(b"data: [DONE]\n\n")


async def test_a_stall_elsewhere_is_silent(client: Client) -> None:
    """F21: nothing at all comes until the stall is over."""
    reply = await client.stream("[[demo stall=2 stall_ms=5 comments=0]]")
    assert reply.body.count(PROCESSING) == 0
    assert reply.events[-1] == "[DONE]"


@pytest.mark.parametrize("place", [HEADERS, 0, 2])
async def test_an_answer_can_be_held_and_let_go(client: Client, place: int) -> None:
    """F19: nothing beyond the place arrives before the event is set."""
    demo = client.demo
    release = demo.hold(GLM, at=place, beat=0)
    asking = spawn(client.stream("chunks=5"), name="asking")
    await demo.until(lambda: bool(demo.calls(GLM)) and demo.calls(GLM)[0].chunks == max(place, 0))
    assert not asking.done()
    assert not demo.calls(GLM)[0].is_over
    release.set()
    assert (await asking).text == "word0 word1 word2 word3 word4 "


async def test_a_plain_answer_is_held_too(client: Client) -> None:
    release = client.demo.hold(GLM, at=1)
    asking = spawn(client.chat(), name="asking")
    await client.demo.until(
        lambda: client.demo.calls(GLM)[0].status == 200 if client.demo.calls() else False
    )
    release.set()
    assert (await asking).error is None


@pytest.mark.parametrize(
    ("model", "completion_tokens"),
    [pytest.param(MINI, 2, id="stops billing"), pytest.param(KIMI, 9, id="bills to the end")],
)
async def test_a_client_that_leaves_is_seen_and_billed(
    client: Client, model: str, completion_tokens: int
) -> None:
    """F48: the moment is recorded, and what the provider charges for it."""
    demo = client.demo
    demo.hold(model, at=2)
    asking = spawn(client.stream("chunks=9", model=model), name="asking")
    await demo.until(lambda: bool(demo.calls()) and demo.calls()[0].chunks == 2)
    asking.cancel()
    (call,) = demo.calls()
    await demo.until(lambda: call.is_over)
    assert call.disconnected_at is not None
    assert call.disconnected_at >= call.started
    assert not call.finished
    assert call.generation_id is not None
    await client.get("/generation", params={"id": call.generation_id})
    facts = (await client.get("/generation", params={"id": call.generation_id})).json()["data"]
    assert facts["cancelled"] is True
    assert facts["native_tokens_completion"] == completion_tokens
    assert Decimal(str(facts["total_cost"])) == call.billed_usd == demo.billed_usd > 0


async def test_a_client_that_leaves_before_the_first_byte_is_seen(client: Client) -> None:
    """F47: nothing was streamed, nothing is charged by a provider that stops."""
    demo = client.demo
    demo.hold(MINI)
    asking = spawn(client.stream(model=MINI), name="asking")
    await demo.until(lambda: bool(demo.calls()))
    asking.cancel()
    await demo.until(lambda: demo.calls()[0].is_over)
    assert demo.calls()[0].billed_usd == 0


async def test_a_streamed_error_is_free_and_a_break_costs_what_came(client: Client) -> None:
    await client.stream("[[demo fail=*:502 via=event after=3]]")
    await client.stream("[[demo drop=3]]")
    failed, broken = client.demo.calls()
    assert failed.billed_usd == 0
    assert broken.billed_usd == broken_cost(broken.body)


def broken_cost(body: bytes) -> Decimal:
    return len(body) // 4 * Decimal("0.0000006") + 3 * Decimal("0.0000019")
