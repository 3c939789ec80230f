from decimal import Decimal

from llm_router.demo.models import DemoModel
from tests.demo.conftest import GLM, Client
from tests.fakes.upstream import running_upstream

DEFAULTS = ("openrouter/aurora-alpha", "moonshotai/kimi-k2.5", GLM, "openai/gpt-4o-mini")


async def test_the_model_list_needs_no_key_and_is_complete(client: Client) -> None:
    listing = (await client.get("/models", headers={"Authorization": ""})).json()
    assert listing["total_count"] == len(listing["data"])
    assert listing["links"] == {"next": None}
    models = {model["id"]: model for model in listing["data"]}
    assert {*DEFAULTS, "qwen/qwen3-1.7b", "z-ai/glm-4.5-air:free", "openrouter/auto"} <= set(models)
    glm = models[GLM]
    assert Decimal(glm["pricing"]["prompt"]) == Decimal("0.0000006")
    assert {"tools", "response_format", "structured_outputs"} <= set(glm["supported_parameters"])
    assert glm["architecture"]["input_modalities"] == ["text"]
    assert glm["per_request_limits"] is glm["supported_voices"] is None
    assert glm["default_parameters"] == {}
    assert models["openrouter/auto"]["pricing"]["prompt"] == "-1"


async def test_gone_models_are_not_listed_and_extra_ones_are(client: Client) -> None:
    """F14: the list shrinks and grows, at start and later."""
    own = DemoModel("acme/two", "Two", provider="Acme", slug="acme/two-2026")
    async with running_upstream(gone=[GLM], extra=["acme/one", own]) as demo:
        here = Client(client.session, demo)
        listed = [m["id"] for m in (await here.get("/models")).json()["data"]]
        assert GLM not in listed
        assert listed[-2:] == ["acme/one", "acme/two"]
        assert (await here.chat(model="acme/one")).status == 200
        assert (await here.chat(model="acme/two-2026")).status == 200
        demo.models.add(GLM)
        assert (await here.chat(model=GLM)).status == 200


async def test_a_router_model_costs_what_nobody_knows(client: Client) -> None:
    usage = (await client.chat(model="openrouter/auto")).json()["usage"]
    assert usage["cost"] == 0


async def test_a_generation_is_known_after_the_first_poll(client: Client) -> None:
    reply = await client.stream()
    params = {"id": reply.headers["X-Generation-Id"]}
    first = await client.get("/generation", params=params)
    second = await client.get("/generation", params=params)
    assert (first.status, second.status) == (404, 200)
    facts, usage = second.json()["data"], reply.events[-2]["usage"]
    assert facts["total_cost"] == usage["cost"] > 0
    assert facts["native_tokens_prompt"] == usage["prompt_tokens"]
    assert facts["native_tokens_completion"] == usage["completion_tokens"]
    assert (facts["streamed"], facts["cancelled"]) == (True, False)
    assert (await client.get("/generation", params={"id": "gen-0-nope"})).status == 404


async def test_old_generations_make_room(client: Client) -> None:
    async with running_upstream(generation_polls=0, keep=1) as demo:
        here = Client(client.session, demo)
        ids = [(await here.chat(text)).headers["X-Generation-Id"] for text in ("a", "b")]
        found = [(await here.get("/generation", params={"id": i})).status for i in ids]
    assert found == [404, 200]


async def test_the_key_tells_its_limits_and_credits_are_forbidden(client: Client) -> None:
    assert (await client.get("/key")).json()["data"]["limit_remaining"] is None
    assert (await client.get("/credits")).status == 403
    assert (await client.get("/key", headers={"Authorization": ""})).status == 401


async def test_an_unknown_route_says_so(client: Client) -> None:
    assert (await client.get("/nowhere")).json()["error"]["code"] == 404
    reply = await client.post(client.demo.url + "/embeddings", json={})
    assert reply.status == 404


async def test_lookups_fail_when_told_by_path(client: Client) -> None:
    """F46: the price list can be unreachable, malformed or a page; chat is not affected."""
    demo = client.demo
    demo.fail("/models", status=500, times=1)
    demo.fail("/models", html=True, times=1)
    demo.fail("/models", text="{not json", times=1)
    demo.fail("*", status=503, times=1)
    replies = [await client.get("/models") for _ in range(4)]
    assert [reply.status for reply in replies] == [500, 200, 200, 200]
    assert replies[1].headers["Content-Type"] == "text/html"
    assert replies[2].body == b"{not json"
    assert replies[3].json()["total_count"] > 0
    assert (await client.chat()).status == 503
