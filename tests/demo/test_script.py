import pytest

from llm_router.demo.behaviour import Behaviour
from llm_router.demo.script import Script
from tests.demo.conftest import GLM, Client
from tests.fakes.upstream import running_upstream


def test_orders_apply_in_turn_and_then_the_prompt_decides() -> None:
    script = Script()
    script.fail(GLM, status=503, times=1)
    script.fail("glm-5", status=429, times=1)
    told = "[[demo status=500]]"
    assert [script.behaviour(GLM, told).status for _ in range(3)] == [503, 429, 500]


def test_orders_for_other_models_do_not_apply() -> None:
    script = Script()
    script.fail("gpt-4o-mini", status=503)
    assert script.behaviour(GLM) == Behaviour()


def test_by_name_only_leaves_wildcards_out() -> None:
    script = Script()
    script.fail(status=503)
    assert script.behaviour(GLM, "[[demo status=500]]", by_name_only=True) == Behaviour()
    script.fail(GLM, status=429)
    assert script.behaviour(GLM, by_name_only=True).status == 429


def test_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(TypeError):
        Script().fail(GLM, frobnicate=True)


def test_counted_prompts_are_forgotten_before_they_fill_the_memory() -> None:
    script = Script()
    for number in range(1_100):
        script.behaviour(GLM, f"{number} [[demo status=500 times=1]]")
    assert script.behaviour(GLM, "0 [[demo status=500 times=1]]").status == 500


async def test_a_call_is_recorded_as_it_came(client: Client) -> None:
    await client.chat("hello", model=GLM)
    (call,) = client.demo.calls()
    assert (call.method, call.path, call.model) == ("POST", "/api/v1/chat/completions", GLM)
    assert call.headers["Authorization"] == "Bearer sk-demo"
    assert call.json()["messages"] == [{"role": "user", "content": "hello"}]
    assert (call.status, call.finished, call.disconnected_at) == (200, True, None)


async def test_calls_are_found_by_model(client: Client) -> None:
    await client.chat(model=GLM)
    await client.chat(model="openai/gpt-4o-mini")
    await client.get("/models")
    demo = client.demo
    assert len(demo.requests) == 3
    assert len(demo.calls()) == 2
    assert [call.model for call in demo.calls("glm-5")] == [GLM]


async def test_clear_forgets_calls_and_orders(client: Client) -> None:
    client.demo.fail(status=503)
    assert (await client.chat()).status == 503
    client.demo.clear()
    assert client.demo.requests == []
    assert (await client.chat()).status == 200


async def test_only_the_latest_calls_are_kept(client: Client) -> None:
    async with running_upstream(keep=2) as demo:
        here = Client(client.session, demo)
        for number in range(5):
            await here.chat(str(number))
        kept = [call.json()["messages"][0]["content"] for call in demo.requests]
    assert kept == ["3", "4"]
