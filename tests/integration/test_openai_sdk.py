"""What OpenAI's own SDK makes of the router's answers, whole, streamed and broken."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llm_router.demo.upstream import DemoUpstream
from tests.integration.conftest import Router

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "Hello there"}]
WEATHER: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS: list[Any] = [
    {
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
]


@pytest.fixture
async def client(router: Router) -> AsyncIterator[AsyncOpenAI]:
    """With the SDK's own two retries, which some answers must keep it from."""
    async with AsyncOpenAI(base_url=f"{router.url}/v1", api_key="sk-any") as client:
        yield client


@pytest.fixture
def sync_client(router: Router) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{router.url}/v1", api_key="sk-any") as client:
        yield client


async def said_by_upstream(router: Router, upstream: DemoUpstream) -> ChatCompletion:
    """Return the whole answer to the router's first call, asked for once more without it."""
    body = upstream.calls()[0].body.replace(b'"stream":true', b'"stream":false')
    async with router.http.post(
        f"{upstream.url}/chat/completions", data=body, headers={"Authorization": "Bearer x"}
    ) as response:
        return ChatCompletion.model_validate(await response.json())


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


async def collect(
    stream: AsyncStream[ChatCompletionChunk],
) -> tuple[list[ChatCompletionChunk], Exception | None]:
    """Return what came of a stream, and what it was broken off with."""
    chunks: list[ChatCompletionChunk] = []
    try:
        async for chunk in stream:
            chunks.append(chunk)
    except openai.OpenAIError as exc:
        return chunks, exc
    return chunks, None


async def test_a_plain_answer(
    client: AsyncOpenAI, sync_client: OpenAI, router: Router, upstream: DemoUpstream
) -> None:
    answer = await client.chat.completions.create(model="router", messages=HELLO)
    whole = await said_by_upstream(router, upstream)
    assert answer.model_dump() == whole.model_dump()
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    again = await asyncio.to_thread(
        sync_client.chat.completions.create, model="router", messages=HELLO
    )
    assert again.model_dump() == answer.model_dump()


async def test_headers_are_there_for_who_asks(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="router/code", messages=HELLO
    )
    assert raw.headers["x-router-category"] == "code"
    assert raw.headers["x-router-model"] == GLM == raw.parse().model


async def test_a_streamed_answer(
    client: AsyncOpenAI, sync_client: OpenAI, router: Router, upstream: DemoUpstream
) -> None:
    stream = await client.chat.completions.create(model="router", messages=HELLO, stream=True)
    chunks, error = await collect(stream)
    assert error is None
    whole = await said_by_upstream(router, upstream)
    assert text_of(chunks) == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert (usage.model_extra or {})["cost"] > 0

    def read() -> list[ChatCompletionChunk]:
        return list(
            sync_client.chat.completions.create(model="router", messages=HELLO, stream=True)
        )

    assert await asyncio.to_thread(read) == chunks


async def test_a_tool_call(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="router", messages=WEATHER, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}


async def test_a_streamed_tool_call(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="router", messages=WEATHER, tools=TOOLS, stream=True
    )
    chunks, error = await collect(stream)
    assert error is None
    choices = [c.choices[0] for c in chunks if c.choices]
    parts = [call for choice in choices for call in choice.delta.tool_calls or []]
    functions = [part.function for part in parts if part.function is not None]
    assert {part.index for part in parts} == {0}
    assert parts[0].id
    assert functions[0].name == "get_weather"
    assert json.loads("".join(f.arguments or "" for f in functions)) == {"city": "Paris"}
    assert choices[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("how", "model", "raised", "status", "kind", "calls"),
    [
        ({"status": 500}, "router/code", openai.InternalServerError, 502, "upstream_failed", 3),
        ({"status": 401}, "router/code", openai.InternalServerError, 503, "upstream_account", 1),
        ({"status": 402}, "router/code", openai.InternalServerError, 503, "upstream_account", 1),
        ({"status": 422}, "router", openai.UnprocessableEntityError, 422, "upstream_refused", 1),
        ({}, "gpt-5o", openai.NotFoundError, 404, "model_not_found", 0),
    ],
    ids=["chain failed", "our key", "our credit", "request at fault", "unknown model"],
)  # fmt: skip
async def test_an_error_before_the_answer_has_our_type_and_is_not_asked_for_again(
    client: AsyncOpenAI,
    upstream: DemoUpstream,
    how: dict[str, Any],
    model: str,
    raised: type[openai.APIStatusError],
    status: int,
    kind: str,
    calls: int,
    is_stream: bool,
) -> None:
    """`x-should-retry: false` is obeyed: the SDK's two retries would triple every failed chain."""
    upstream.fail(**how)
    with pytest.raises(raised) as caught:
        await client.chat.completions.create(model=model, messages=HELLO, stream=is_stream)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == status
    assert caught.value.type == kind
    assert len(upstream.calls()) == calls


async def test_a_request_that_is_at_fault_gets_upstreams_words(
    client: AsyncOpenAI, upstream: DemoUpstream
) -> None:
    """F13"""
    upstream.fail(status=400, message="temperature must be below 2", error_type="invalid_request")
    with pytest.raises(openai.BadRequestError, match="temperature must be below 2"):
        await client.chat.completions.create(model="router", messages=HELLO, temperature=9)
    assert len(upstream.calls()) == 1


async def test_a_body_that_is_refused_here_is_a_bad_request(
    client: AsyncOpenAI, upstream: DemoUpstream
) -> None:
    """F57"""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="router", messages=[])
    assert (caught.value.type, caught.value.param) == ("invalid_request", "messages")
    assert not upstream.calls()


async def test_a_rate_limit_is_one(client: AsyncOpenAI, upstream: DemoUpstream) -> None:
    """F10"""
    upstream.fail(status=429, retry_after=7)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.with_options(max_retries=0).chat.completions.create(
            model="router", messages=HELLO
        )
    assert caught.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(("wait_s", "retries"), [(1, 2), (300, 0)], ids=["short", "long"])
async def test_a_rate_limit_is_waited_for_while_that_is_bearable(
    client: AsyncOpenAI, upstream: DemoUpstream, wait_s: int, retries: int
) -> None:
    """F10"""
    upstream.fail(status=429, retry_after=wait_s)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="router", messages=HELLO)
    assert caught.value.request.headers["x-stainless-retry-count"] == str(retries)


async def test_a_stream_that_breaks_upstream_raises_after_what_came(
    client: AsyncOpenAI, upstream: DemoUpstream
) -> None:
    """F22: a reset is never taken for the end of an answer."""
    upstream.fail(GLM, drop=5)
    stream = await client.chat.completions.create(model="router/code", messages=HELLO, stream=True)
    chunks, error = await collect(stream)
    assert len(chunks) == 5
    assert isinstance(error, openai.APIError)
    assert not isinstance(error, openai.APIConnectionError)
    assert isinstance(error.body, dict)
    assert (error.body["code"], error.type) == (502, "upstream_reset")
    assert len(upstream.calls()) == 1


@pytest.mark.parametrize("choices", ["present", "empty", "none"])
async def test_upstreams_own_error_in_the_middle_raises(
    client: AsyncOpenAI, upstream: DemoUpstream, choices: str
) -> None:
    """F26"""
    upstream.fail(
        GLM, status=502, via="event", after=3, message="Provider fell over", choices=choices
    )
    stream = await client.chat.completions.create(model="router/code", messages=HELLO, stream=True)
    chunks, error = await collect(stream)
    assert len(chunks) == 3
    assert isinstance(error, openai.APIError)
    assert error.message == "Provider fell over"


async def test_a_broken_connection_raises_the_sdks_own_exception(
    client: AsyncOpenAI, router: Router, upstream: DemoUpstream
) -> None:
    upstream.hold(GLM, at=3)
    stream = await client.chat.completions.create(model="router/code", messages=HELLO, stream=True)
    first = await anext(stream)
    for connection in router.runner.clients():
        if connection.transport is not None:
            connection.transport.abort()
    chunks, error = await collect(stream)
    assert len([first, *chunks]) <= 3
    assert isinstance(error, openai.APIConnectionError)


async def test_models_can_be_listed_looked_up_and_called(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert {"router", "router/code", "glm-5"} <= set(listed)
    for name in listed:
        assert (await client.models.retrieve(name)).id == name
        answer = await client.chat.completions.create(model=name, messages=HELLO)
        assert answer.choices[0].message.content
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-5o")
    assert caught.value.type == "model_not_found"
