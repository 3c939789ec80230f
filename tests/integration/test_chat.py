"""A chat request from end to end."""

import json

from llm_router.demo.upstream import DemoUpstream
from tests.integration.conftest import Router, Start


async def test_a_plain_answer_comes_back_as_upstream_wrote_it(
    router: Router, upstream: DemoUpstream
) -> None:
    async with router.chat("Write a python function that adds two numbers") as response:
        answer = await response.json()
    assert response.status == 200
    assert response.headers["x-router-category"] == "code"
    assert response.headers["x-router-classifier"] == "keywords"
    assert response.headers["x-router-model"] == "z-ai/glm-5" == answer["model"]
    assert response.headers["x-router-attempts"] == "1"
    assert response.headers["x-generation-id"] == answer["id"]
    [row] = await router.rows()
    assert row["id"] == response.headers["x-router-request-id"]
    assert (row["outcome"], row["http_status"], row["served_model"]) == (
        "completed",
        200,
        "z-ai/glm-5",
    )
    assert row["cost_nanousd"] == round(answer["usage"]["cost"] * 1e9)
    assert row["cost_source"] == "provider"
    [attempt] = await router.rows("attempts")
    assert attempt["generation_id"] == answer["id"]
    assert attempt["provider"] == answer["provider"]


async def test_the_body_travels_as_it_came_but_for_the_model(
    router: Router, upstream: DemoUpstream
) -> None:
    raw = (
        b'{ "zebra": [1, 2.50,{"k":"\\u00e9"}], "model" : "router/code",\n'
        b' "messages":[{"content":"hi","role":"user"}],"models":["a/b"],"route":"fallback",'
        b'"provider":{"sort":"price"}, "last":null}'
    )
    async with router.http.post(f"{router.url}/chat/completions", data=raw) as response:
        assert response.status == 200
    [call] = upstream.calls()
    assert call.body == (
        b'{"zebra": [1, 2.50,{"k":"\\u00e9"}],"model":"z-ai/glm-5",'
        b'"messages":[{"content":"hi","role":"user"}],'
        b'"provider":{"sort":"price"},"last":null}'
    )


async def test_private_headers_stay_here_and_ours_go_out(
    router: Router, upstream: DemoUpstream
) -> None:
    """T16: headers to upstream are written anew, never copied."""
    headers = {
        "Authorization": "Bearer sk-the-clients-own",
        "Cookie": "a=b",
        "X-Forwarded-For": "10.0.0.1",
        "x-session-id": "s-1",
        "Connection": "keep-alive, x-secret",
        "x-secret": "hidden",
    }
    async with router.chat(headers=headers) as response:
        assert response.status == 200
    sent = {name.lower(): value for name, value in upstream.calls()[0].headers.items()}
    assert sent["authorization"] == "Bearer sk-or-canary-upstream"
    assert sent["accept-encoding"] == "identity"
    assert sent["x-session-id"] == "s-1"
    assert not {"cookie", "x-forwarded-for", "x-secret"} & sent.keys()
    [row] = await router.rows()
    assert row["session"] == "s-1"


async def test_a_stream_is_relayed_byte_by_byte(router: Router, upstream: DemoUpstream) -> None:
    async with router.chat("Hello", stream=True) as response:
        body = await response.read()
    assert response.headers["content-type"] == "text/event-stream"
    async with router.http.post(
        f"{upstream.url}/chat/completions",
        data=upstream.calls()[0].body,
        headers={"Authorization": "Bearer x"},
    ) as direct:
        assert body == await direct.read()
    [row] = await router.rows()
    assert row["outcome"] == "completed"
    assert row["is_stream"] == 1
    assert row["completion_tokens"] > 0
    assert row["time_to_first_chunk_ms"] is not None


async def test_tools_go_to_the_tools_chain(router: Router) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    async with router.chat("What is the weather in Paris?", tools=[tool]) as response:
        assert response.headers["x-router-category"] == "tools"
        assert response.headers["x-router-classifier"] == "tools"
        assert response.headers["x-router-model"] == "openrouter/aurora-alpha"
        assert (await response.json())["choices"][0]["message"]["tool_calls"]


async def test_a_failing_model_is_replaced_before_the_client_sees_anything(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.fail("z-ai/glm-5", status=503)
    async with router.chat("hi", model="router/code", stream=True) as response:
        body = await response.read()
    assert response.headers["x-router-model"] == "openrouter/aurora-alpha"
    assert response.headers["x-router-attempts"] == "2"
    assert body.endswith(b"data: [DONE]\n\n")
    first, second = await router.rows("attempts")
    assert (first["outcome"], first["http_status"], first["error_class"]) == (
        "failed",
        503,
        "upstream_5xx",
    )
    assert (first["cost_nanousd"], first["cost_source"]) == (0, "computed")
    assert second["outcome"] == "completed"
    [row] = await router.rows()
    assert (row["attempts"], row["outcome"]) == (2, "completed")


async def test_every_stream_chunk_is_valid_json_and_usage_passes(router: Router) -> None:
    async with router.chat("Hello", stream=True) as response:
        lines = [line async for line in response.content]
    chunks = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    assert chunks[-1]["usage"]["cost"] >= 0


async def test_a_decision_can_be_forced(router: Router) -> None:
    async with router.chat("hi", headers={"x-router-category": "reasoning"}) as response:
        assert response.headers["x-router-category"] == "reasoning"
        assert response.headers["x-router-classifier"] == "forced"


async def test_a_named_model_is_called_alone_and_booked(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.fail("openai/gpt-4o-mini", status=500)
    async with router.chat("hi", model="gpt-4o-mini") as response:
        assert response.status == 502
        assert response.headers["x-router-category"] == "direct"
        assert response.headers["x-should-retry"] == "false"
        error = (await response.json())["error"]
    assert error["type"] == "upstream_failed"
    assert error["metadata"]["candidates"] == [
        {"model": "openai/gpt-4o-mini", "error_class": "upstream_5xx", "http_status": 500}
    ]
    [row] = await router.rows()
    assert (row["category"], row["outcome"], row["error_class"]) == (
        "direct",
        "failed",
        "upstream_failed",
    )


async def test_a_restart_keeps_rows_and_open_breakers(start: Start, upstream: DemoUpstream) -> None:
    upstream.fail("z-ai/glm-5", status=500)
    async with start(breaker={"failures": 1}) as router, router.chat(model="router/code"):
        pass
    upstream.clear()
    async with start(breaker={"failures": 1}) as router:
        async with router.chat("hi", model="router/code") as response:
            assert response.headers["x-router-model"] == "openrouter/aurora-alpha"
            assert response.headers["x-router-attempts"] == "1"
        assert len(await router.rows()) == 2


async def test_monitors_may_ask_with_head(router: Router) -> None:
    for path in ("/", "/health", "/health/ready", "/v1/models"):
        async with router.http.head(f"{router.url}{path}") as response:
            assert response.status == 200
            assert await response.read() == b""
