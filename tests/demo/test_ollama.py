import json
import math
from typing import Any

import pytest

from tests.demo.conftest import Client
from tests.fakes.upstream import running_upstream

QWEN = "qwen2.5:0.5b"
FORMAT = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": ["tools", "code", "reasoning"]}},
    "required": ["category"],
}


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": QWEN, "messages": [{"role": "user", "content": text}], **more}


async def get(client: Client, path: str) -> Any:
    async with client.session.get(client.demo.ollama_url + path) as response:
        return await response.json()


async def test_it_says_that_it_is_running(client: Client) -> None:
    for method in ("GET", "HEAD"):
        async with client.session.request(method, client.demo.ollama_url + "/") as response:
            assert response.status == 200
            assert await response.text() == ("Ollama is running" if method == "GET" else "")


async def test_small_endpoints_have_ollamas_shapes(client: Client) -> None:
    assert "version" in await get(client, "/api/version")
    names = [model["name"] for model in (await get(client, "/api/tags"))["models"]]
    assert names == [QWEN, "llama3.2:latest"]
    assert (await get(client, "/api/ps")) == {"models": []}


async def test_an_empty_chat_loads_and_unloads(client: Client) -> None:
    loaded = await client.ollama(model=QWEN, messages=[], keep_alive=-1)
    assert loaded.json()["done_reason"] == "load"
    assert [m["name"] for m in (await get(client, "/api/ps"))["models"]] == [QWEN]
    unloaded = await client.ollama(model=QWEN, messages=[], keep_alive=0)
    assert unloaded.json()["done_reason"] == "unload"
    assert (await get(client, "/api/ps"))["models"] == []


@pytest.mark.parametrize(
    ("text", "label"),
    [("Write a Python function", "code"), ("Why?", "reasoning"), ("weather in Oslo", "tools")],
)
async def test_a_format_is_answered_with_a_category(client: Client, text: str, label: str) -> None:
    reply = await client.ollama(**asking(text, stream=False, format=FORMAT))
    answer = reply.json()
    assert json.loads(answer["message"]["content"]) == {"category": label}
    assert (answer["done"], answer["done_reason"]) == (True, "stop")
    assert answer["total_duration"] > 0
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_log_probabilities_are_listed_on_demand(client: Client) -> None:
    more = {"stream": False, "format": FORMAT}
    assert "logprobs" not in (await client.ollama(**asking("Why?", **more))).json()
    asked = asking("Why?", **more, logprobs=True, top_logprobs=2)
    answer = (await client.ollama(**asked)).json()
    listed = answer["logprobs"]
    assert "".join(entry["token"] for entry in listed) == answer["message"]["content"]
    label = listed[-1]
    assert [other["token"] for other in label["top_logprobs"]] == ['"reasoning"}', '"tools"}']
    assert math.exp(label["logprob"]) == pytest.approx(0.9)
    plain = (await client.ollama(**asking("Oh.", **more, logprobs=True))).json()
    assert math.exp(plain["logprobs"][-1]["logprob"]) == pytest.approx(0.4)
    assert plain["logprobs"][-1]["top_logprobs"] == []


async def test_streaming_is_the_default(client: Client) -> None:
    reply = await client.ollama(**asking("hello"))
    lines = [json.loads(line) for line in reply.body.splitlines()]
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    assert [line["done"] for line in lines[-2:]] == [False, True]
    assert "demo" in "".join(line["message"]["content"] for line in lines)


async def test_json_format_is_any_object(client: Client) -> None:
    reply = await client.ollama(**asking("hello", stream=False, format="json"))
    assert json.loads(reply.json()["message"]["content"]) == {"demo": True}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param(b"", 400, "missing request body", id="no body"),
        pytest.param(b"{", 400, "Expecting", id="not JSON"),
        pytest.param(b"[]", 400, "model is required", id="not an object"),
        pytest.param(b"{}", 400, "model is required", id="no model"),
        pytest.param(b'{"model":"nope"}', 404, "model 'nope' not found", id="unknown"),
        pytest.param(
            b'{"model":"qwen2.5:0.5b","think":true}', 400, "does not support thinking", id="think"
        ),
        pytest.param(
            b'{"model":"qwen2.5:0.5b","keep_alive":"-1"}', 400, "missing unit", id="keep_alive"
        ),
        pytest.param(b'{"model":"llama3.2","format":"xml"}', 400, "invalid format", id="format"),
    ],
)
async def test_faults_are_told_in_ollamas_shape(
    client: Client, body: bytes, status: int, words: str
) -> None:
    reply = await client.post(client.demo.ollama_url + "/api/chat", data=body)
    assert reply.status == status
    assert words in reply.json()["error"]


async def test_it_misbehaves_only_by_name(client: Client) -> None:
    """F42: queue full, out of memory and pages, while `*` is about OpenRouter's models."""
    demo = client.demo
    demo.fail("*", status=500)
    assert (await client.ollama(**asking("[[demo fail=*:503]]"))).status == 200
    demo.fail(QWEN, status=503, times=1)
    demo.fail(QWEN, status=500, times=1)
    demo.fail(QWEN, html=True, times=1)
    demo.fail(QWEN, text="nonsense", times=1)
    demo.fail(QWEN, empty=True, times=1)
    replies = [await client.ollama(**asking("hi", stream=False)) for _ in range(5)]
    assert [reply.status for reply in replies] == [503, 500, 200, 200, 200]
    assert replies[0].json()["error"].startswith("server busy, please try again.  maximum")
    assert replies[2].headers["Content-Type"] == "text/html"
    assert [reply.json()["message"]["content"] for reply in replies[3:]] == ["nonsense", ""]


async def test_small_endpoints_misbehave_by_path(client: Client) -> None:
    client.demo.fail("/api/tags", status=500)
    async with client.session.get(client.demo.ollama_url + "/api/tags") as response:
        assert response.status == 500


async def test_an_odd_directive_is_left_to_the_chat_endpoint(client: Client) -> None:
    reply = await client.ollama(**asking("Why? [[demo frob]]", stream=False, format=FORMAT))
    assert json.loads(reply.json()["message"]["content"]) == {"category": "reasoning"}


async def test_its_models_can_be_chosen(client: Client) -> None:
    async with running_upstream(ollama_models=["tiny:latest"]) as demo:
        here = Client(client.session, demo)
        assert (await here.ollama(model="tiny", messages=[])).status == 200
        assert (await here.ollama(model=QWEN, messages=[])).status == 404
