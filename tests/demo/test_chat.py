import json
import re
from decimal import Decimal
from typing import Any

import openai
import pytest

from llm_router.demo.upstream import DemoUpstream
from tests.demo.conftest import GLM, Client
from tests.fakes.upstream import running_upstream

SCHEMA = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": ["code", "reasoning", "conversation"]}},
    "required": ["category"],
}
CLASSIFY = {"type": "json_schema", "json_schema": {"name": "category", "schema": SCHEMA}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


async def test_a_plain_answer_has_openrouters_fields(client: Client) -> None:
    reply = await client.chat("hello")
    answer = reply.json()
    assert reply.status == 200
    assert re.fullmatch(r"gen-\d{10}-[0-9A-Za-z]{20}", answer["id"])
    assert reply.headers["X-Generation-Id"] == answer["id"]
    assert (answer["object"], answer["model"], answer["provider"]) == (
        "chat.completion",
        GLM,
        "Z.AI",
    )
    choice = answer["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "stop")
    assert "demo" in choice["message"]["content"]
    assert '"hello"' in choice["message"]["content"]


async def test_a_cost_is_tokens_times_list_price(client: Client) -> None:
    usage = (await client.chat("hello")).json()["usage"]
    expected = usage["prompt_tokens"] * Decimal("0.0000006")
    expected += usage["completion_tokens"] * Decimal("0.0000019")
    assert Decimal(str(usage["cost"])) == expected > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_same_request_gets_the_same_bytes(client: Client) -> None:
    first, again = await client.stream("hello"), await client.stream("hello")
    other = await client.stream("hello!")
    assert first.body == again.body != other.body


async def test_a_stream_says_what_the_plain_answer_says(client: Client) -> None:
    plain, stream = await client.chat("hello"), await client.stream("hello")
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.body.startswith(b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {")
    assert stream.text == plain.json()["choices"][0]["message"]["content"]


async def test_every_chunk_carries_role_id_and_provider(client: Client) -> None:
    reply = await client.stream("hello")
    *chunks, done = reply.events
    assert done == "[DONE]"
    assert {c["choices"][0]["delta"]["role"] for c in chunks} == {"assistant"}
    assert {c["id"] for c in chunks} == {reply.headers["X-Generation-Id"]}
    assert {c["provider"] for c in chunks} == {"Z.AI"}
    assert [c["choices"][0]["finish_reason"] for c in chunks[-3:]] == [None, "stop", "stop"]
    assert chunks[-1]["usage"]["cost"] > 0


@pytest.mark.parametrize(
    ("shape", "choices", "usages"),
    [
        ("repeat", [{"finish_reason": "stop"}], 1),
        ("empty", [], 1),
        ("blank", [{"finish_reason": None}], 1),
        ("null", [], 1),
        ("twice", [{"finish_reason": "stop"}], 2),
    ],
)
async def test_usage_comes_in_every_shape_seen_in_the_wild(
    client: Client, shape: str, choices: list[Any], usages: int
) -> None:
    *chunks, _ = (await client.stream(f"hi [[demo usage={shape}]]")).events
    assert len([c for c in chunks if c.get("usage")]) == usages
    found = [{"finish_reason": c["finish_reason"]} for c in chunks[-1]["choices"]]
    assert found == choices
    assert ("usage" in chunks[0]) is (shape == "null")


async def test_usage_may_be_absent_or_odd(client: Client) -> None:
    """F38: absent, negative, huge and textual usage are there to be asked for."""
    absent = await client.stream("hi [[demo usage=absent]]")
    assert not any("usage" in event for event in absent.events[:-1])
    assert "usage" not in (await client.chat("hi [[demo usage=absent]]")).json()
    assert (await client.chat("hi [[demo usage=null]]")).json()["usage"] is None
    negative = (await client.stream("hi [[demo usage=negative]]")).events[-2]["usage"]
    assert negative["prompt_tokens"] < 0
    huge = (await client.chat("hi [[demo usage=huge]]")).json()["usage"]
    assert huge["prompt_tokens"] > 2**64
    text = (await client.chat("hi [[demo usage=text]]")).json()["usage"]
    assert text["cost"] == "cheap"
    assert "cost" not in (await client.chat("hi [[demo usage=no_cost]]")).json()["usage"]


async def test_a_reasoning_model_thinks_first(client: Client) -> None:
    *chunks, _ = (await client.stream("why", model="openrouter/aurora-alpha")).events
    first = chunks[0]["choices"][0]["delta"]
    assert first["content"] == ""
    assert first["reasoning"] == first["reasoning_details"][0]["text"] != ""
    assert chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    plain = (await client.chat("why", model="openrouter/aurora-alpha")).json()
    assert plain["choices"][0]["message"]["reasoning"].startswith("A demo has no thoughts")


@pytest.mark.parametrize(
    ("model", "wish", "reasons"),
    [
        pytest.param(GLM, {}, False, id="unasked"),
        pytest.param(GLM, {"reasoning": {"enabled": True}}, True, id="enabled"),
        pytest.param(GLM, {"reasoning": {"effort": "none"}}, False, id="no effort"),
        pytest.param(GLM, {"reasoning_effort": "low"}, True, id="shorthand"),
        pytest.param("openai/gpt-4o-mini", {"reasoning_effort": "low"}, False, id="cannot"),
        pytest.param("openrouter/aurora-alpha", {"reasoning_effort": "none"}, False, id="off"),
        pytest.param(
            "openrouter/aurora-alpha", {"reasoning": {"exclude": True}}, False, id="excluded"
        ),
    ],
)
async def test_reasoning_follows_the_request(
    client: Client, model: str, wish: dict[str, Any], reasons: bool
) -> None:
    answer = (await client.chat("why", model=model, **wish)).json()
    assert (answer["choices"][0]["message"]["reasoning"] is not None) is reasons


async def test_a_tool_call_streams_in_fragments(client: Client) -> None:
    reply = await client.stream("What is the weather in Oslo?", tools=[WEATHER])
    chunks = [e["choices"][0] for e in reply.events[:-1]]
    fragments = [c["delta"]["tool_calls"][0] for c in chunks if "tool_calls" in c["delta"]]
    assert fragments[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert fragments[0]["id"].startswith("call_")
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert json.loads(arguments) == {"city": "Oslo"}
    assert chunks[-1]["finish_reason"] == "tool_calls"


async def test_a_tool_result_is_answered_with_text(client: Client) -> None:
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    called = await client.chat("What is the weather in Oslo?", tools=[WEATHER])
    message = called.json()["choices"][0]["message"]
    assert message["content"] is None
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
    body = {"model": GLM, "tools": [WEATHER], "messages": [question, message, result]}
    reply = await client.post(client.demo.url + "/chat/completions", json=body)
    assert reply.json()["choices"][0]["finish_reason"] == "stop"


async def test_a_schema_is_answered_in_its_shape(client: Client) -> None:
    reply = await client.chat("Write a Python function", response_format=CLASSIFY)
    assert json.loads(reply.json()["choices"][0]["message"]["content"]) == {"category": "code"}
    loose = await client.chat("hi", response_format={"type": "json_object"})
    assert json.loads(loose.json()["choices"][0]["message"]["content"])["demo"] is True


async def test_text_parts_are_read_like_text(client: Client) -> None:
    parts = [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "x"}}]
    body = {"model": GLM, "messages": [{"role": "user", "content": parts}]}
    reply = await client.post(client.demo.url + "/chat/completions", json=body)
    assert '"hello"' in reply.json()["choices"][0]["message"]["content"]


async def test_lone_surrogates_are_survived(client: Client) -> None:
    tool = rb'{"type":"function","function":{"name":"f\ud83d"}}'
    body = rb'{"model":"z-ai/glm-5","messages":[{"role":"user","content":"odd \ud83d"}]'
    url = client.demo.url + "/chat/completions"
    reply = await client.post(url, data=body + b"}")
    assert "odd ?" in reply.json()["choices"][0]["message"]["content"]
    called = await client.post(
        url, data=body + b',"tool_choice":"required","tools":[' + tool + b"]}"
    )
    call = called.json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["name"] == "f?"


async def test_a_load_generator_sets_the_number_of_chunks(client: Client) -> None:
    stream = await client.stream("chunks=100 gap=0 Write code")
    assert stream.body.count(b'"content":"word') == 100
    plain = await client.chat("chunks=100 gap=0 Write code")
    assert (await client.chat("chunks=2000")).json()["usage"]["completion_tokens"] == 2000
    assert "word99" in plain.json()["choices"][0]["message"]["content"]


async def test_chunks_can_be_paced(client: Client, demo: DemoUpstream) -> None:
    assert (await client.stream("chunks=3 gap=1")).text == "word0 word1 word2 "
    assert demo.calls()[0].finished


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param(b"{", 400, "No models provided", id="not JSON"),
        pytest.param(b"[]", 400, "No models provided", id="not an object"),
        pytest.param(b'{"messages":[]}', 400, "No models provided", id="no model"),
        pytest.param(b"[" * 100_000, 400, "No models provided", id="deep"),
        pytest.param(
            b'{"model":"acme/fake-1.0"}', 400, "acme/fake-1.0 is not a valid model ID", id="unknown"
        ),
    ],
)
async def test_an_impossible_request_is_400(
    client: Client, body: bytes, status: int, words: str
) -> None:
    reply = await client.post(client.demo.url + "/chat/completions", data=body)
    assert (reply.status, reply.json()["error"]) == (status, {"message": words, "code": status})


@pytest.mark.parametrize("messages", [None, 5, [], ["odd"], [{"role": "user", "content": 5}]])
async def test_odd_messages_are_answered_all_the_same(client: Client, messages: Any) -> None:
    body = {"model": GLM, "messages": messages}
    reply = await client.post(client.demo.url + "/chat/completions", json=body)
    assert "You asked" not in reply.json()["choices"][0]["message"]["content"]


async def test_a_request_without_key_is_401(client: Client) -> None:
    """F11: the account's own fault can be had without any order."""
    reply = await client.post(
        client.demo.url + "/chat/completions", json={"model": GLM}, headers={"Authorization": ""}
    )
    assert reply.status == 401


async def test_a_given_key_is_the_only_one_accepted(client: Client) -> None:
    async with running_upstream(api_key="sk-right") as strict:
        url = strict.url + "/chat/completions"
        right = {"Authorization": "Bearer sk-right"}
        assert (await client.post(url, json={"model": GLM})).status == 401
        assert (await client.post(url, json={"model": GLM}, headers=right)).status == 200


async def test_a_gone_model_is_404(client: Client) -> None:
    """F14: a model that was retired answers 404 and is not listed."""
    client.demo.models.retire("openrouter/aurora-alpha")
    reply = await client.chat(model="openrouter/aurora-alpha")
    assert reply.status == 404
    assert "No endpoints found" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "model", ["z-ai/glm-5:nitro", "z-ai/glm-5-20260211", "z-ai/glm-4.5-air:free"]
)
async def test_variants_and_dated_slugs_are_served(client: Client, model: str) -> None:
    assert (await client.chat(model=model)).status == 200


async def test_every_prefix_serves_chat(client: Client, demo: DemoUpstream) -> None:
    for prefix in ("/api/v1", "/v1", ""):
        url = demo.ollama_url + prefix + "/chat/completions"
        assert (await client.post(url, json={"model": GLM})).status == 200


async def test_the_openai_sdk_reads_the_stream(demo: DemoUpstream) -> None:
    async with openai.AsyncOpenAI(base_url=demo.url, api_key="sk-demo") as sdk:
        stream = await sdk.chat.completions.create(
            model=GLM, messages=[{"role": "user", "content": "hello"}], stream=True
        )
        texts, usage = [], None
        async for chunk in stream:
            texts += [choice.delta.content or "" for choice in chunk.choices]
            usage = chunk.usage or usage
    assert "This is a demo" in "".join(texts)
    assert usage is not None
    assert usage.total_tokens > 0


async def test_an_upstream_may_have_a_pace_of_its_own(client: Client) -> None:
    async with running_upstream(gap_ms=1, comments=0) as paced:
        reply = await Client(client.session, paced).stream("chunks=3")
    assert reply.text == "word0 word1 word2 "
    assert reply.body.startswith(b"data: ")
