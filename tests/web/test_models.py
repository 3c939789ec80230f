from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from openai import AsyncOpenAI

from llm_router.errors import ModelNotFound
from llm_router.keys import CATALOG, CONFIG, SETTINGS
from llm_router.routing.catalog import Catalog, CatalogHolder, read_models
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.settings import ModelSettings, Settings
from llm_router.web.models import ROUTES
from llm_router.web.routes import Scope

GLM = {
    "id": "z-ai/glm-5",
    "canonical_slug": "z-ai/glm-5-20260211",
    "name": "Z.ai: GLM 5",
    "created": 1770829182,
    "description": "A model.",
    "context_length": 202752,
    "architecture": {
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "tokenizer": "Other",
    },
    "pricing": {"prompt": "0.0000006", "completion": "0.0000019"},
    "top_provider": {"max_completion_tokens": 65536, "is_moderated": False},
    "supported_parameters": ["tools", "temperature", "reasoning"],
    "knowledge_cutoff": "2025-12-31",
    "expiration_date": None,
}
MINI = {
    **GLM,
    "id": "openai/gpt-4o-mini",
    "canonical_slug": "openai/gpt-4o-mini",
    "name": "GPT-4o mini",
    "created": 1721260800,
    "context_length": 128000,
    "architecture": {"input_modalities": ["file", "text"], "output_modalities": ["text"]},
    "top_provider": {"max_completion_tokens": 16384, "is_moderated": True},
    "supported_parameters": ["tools", "temperature", "logprobs"],
    "pricing": {"prompt": "0.00000015", "completion": "0.0000006"},
    "knowledge_cutoff": "2023-10-31",
}
CONFIGURED = RoutingConfig(
    1,
    {
        "code": Category("code", ("glm-5", "gpt-4o-mini"), description="Programs."),
        "lost": Category("lost", ("aurora-alpha",)),
        "talk": Category("talk", ("aurora-alpha", "openai/gpt-4o-mini")),
    },
    {
        "glm-5": "z-ai/glm-5",
        "gpt-4o-mini": "openai/gpt-4o-mini",
        "aurora-alpha": "openrouter/aurora-alpha",
    },
)

Serve = Callable[..., Any]


def app(
    *entries: dict[str, Any], config: RoutingConfig = CONFIGURED, is_direct: bool = True
) -> web.Application:
    app = web.Application()
    app[CATALOG] = CatalogHolder(Catalog(read_models({"data": list(entries)}), fetched_at=1.0))
    app[CONFIG] = ConfigHolder(config)
    app[SETTINGS] = Settings(models=ModelSettings(direct=is_direct))
    app.add_routes([web.route(route.method, route.path, _shown(route.handler)) for route in ROUTES])
    return app


def _shown(handler: Any) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except ModelNotFound as error:
            return web.json_response(error.body(), status=error.status)
        return response

    return answer


@pytest.fixture
async def get(aiohttp_client: Any) -> Serve:
    async def get(path: str, *entries: dict[str, Any], **options: Any) -> Any:
        client = await aiohttp_client(app(*(entries or (GLM, MINI)), **options))
        async with client.get(path) as response:
            body = await response.json()
            assert response.status == (404 if "error" in body else 200)
            return body

    return get


async def ids(get: Serve, *entries: dict[str, Any], **options: Any) -> list[str]:
    body = await get("/v1/models", *entries, **options)
    return [entry["id"] for entry in body["data"]]


# --- what is listed -------------------------------------------------------------------------------


def test_the_model_list_is_for_clients() -> None:
    assert {route.scope for route in ROUTES} == {Scope.CLIENT}
    assert {route.path for route in ROUTES} >= {"/v1/models", "/models"}


async def test_router_categories_and_aliases_are_listed_unless_everything_is_gone(
    get: Serve,
) -> None:
    assert await ids(get) == ["router", "router/code", "router/talk", "glm-5", "gpt-4o-mini"]


async def test_without_direct_models_there_are_no_aliases(get: Serve) -> None:
    assert await ids(get, is_direct=False) == ["router", "router/code", "router/talk"]


async def test_without_a_list_of_models_everything_configured_is_listed(get: Serve) -> None:
    listed = await ids(get, {})
    assert "router/lost" in listed
    assert "aurora-alpha" in listed


async def test_the_envelope_is_that_of_both_apis(get: Serve) -> None:
    body = await get("/models")
    assert body["object"] == "list"
    assert body["total_count"] == len(body["data"]) == 5
    assert body["links"] == {"next": None}


# --- one entry ------------------------------------------------------------------------------------


async def test_a_category_promises_what_its_whole_chain_can_do(get: Serve) -> None:
    entry = await get("/v1/models/router/code")
    assert entry == {
        "id": "router/code",
        "object": "model",
        "created": 1770829182,
        "owned_by": "llm-router",
        "canonical_slug": "router/code",
        "name": "Router: code",
        "description": "Programs. Asks z-ai/glm-5, then openai/gpt-4o-mini.",
        "context_length": 128000,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Router",
            "instruct_type": None,
        },
        "pricing": GLM["pricing"],
        "top_provider": {
            "context_length": 128000,
            "max_completion_tokens": 16384,
            "is_moderated": True,
        },
        "per_request_limits": None,
        "supported_parameters": ["temperature", "tools"],
        "default_parameters": {},
        "supported_voices": None,
        "knowledge_cutoff": "2023-10-31",
        "expiration_date": None,
        "links": {"details": "/v1/models/router/code"},
    }


async def test_a_model_that_is_gone_does_not_count_in_its_chain(get: Serve) -> None:
    entry = await get("/v1/models/router/talk")
    assert entry["description"] == "Prompts of the kind talk. Asks openai/gpt-4o-mini."
    assert entry["pricing"] == MINI["pricing"]


async def test_an_alias_is_its_model_under_another_name(get: Serve) -> None:
    entry = await get("/v1/models/glm-5")
    assert (entry["id"], entry["owned_by"]) == ("glm-5", "z-ai")
    assert (entry["name"], entry["description"]) == ("Z.ai: GLM 5", "A model.")
    assert entry["canonical_slug"] == "z-ai/glm-5-20260211"
    assert entry["architecture"]["tokenizer"] == "Other"
    assert entry["architecture"]["modality"] == "text+image->text"
    assert entry["context_length"] == 202752


@pytest.mark.parametrize("name", ["router", "auto", "openrouter/router"])
async def test_the_router_has_no_price_of_its_own(get: Serve, name: str) -> None:
    entry = await get(f"/v1/models/{name}")
    assert entry["id"] == name
    assert entry["owned_by"] == "llm-router"
    assert entry["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert entry["context_length"] == 128000


async def test_what_is_not_known_is_not_promised(get: Serve) -> None:
    entry = await get("/v1/models/router/code", {})
    assert entry["context_length"] is None
    assert entry["top_provider"]["max_completion_tokens"] is None
    assert entry["supported_parameters"] == []
    assert entry["architecture"]["input_modalities"] == ["text"]
    assert entry["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert entry["created"] == 0


async def test_a_broken_entry_of_the_provider_still_gives_a_whole_one(get: Serve) -> None:
    broken = {"id": "z-ai/glm-5", "pricing": {"prompt": 1}, "architecture": 5, "top_provider": []}
    entry = await get("/v1/models/glm-5", broken)
    assert entry["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert entry["architecture"]["tokenizer"] == "Other"
    assert entry["top_provider"]["is_moderated"] is False
    assert entry["description"] == "z-ai/glm-5"


# --- looking one up -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "model_id"),
    [
        ("/models/z-ai/glm-5", "z-ai/glm-5"),
        ("/v1/models/z-ai%2Fglm-5", "z-ai/glm-5"),
        ("/v1/models/z-ai/glm-5:nitro", "z-ai/glm-5:nitro"),
        ("/v1/models/~z-ai/glm-latest", "~z-ai/glm-latest"),
    ],
)
async def test_a_models_own_id_can_be_looked_up(get: Serve, path: str, model_id: str) -> None:
    assert (await get(path))["id"] == model_id


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("router/cod", ["router/code"]),
        ("gpt-4o-mni", ["openai/gpt-4o-mini", "gpt-4o-mini"]),
        ("zzz", []),
        ("aurora-alpha", []),
        ("router/lost", []),
        ("openrouter/aurora-alpha", []),
        ("z-ai/glm-55", ["z-ai/glm-5"]),
        ("z-ai/", []),
    ],
)
async def test_an_unknown_model_is_not_found_and_near_names_are_told(
    get: Serve, name: str, near: list[str]
) -> None:
    error = (await get(f"/v1/models/{name}"))["error"]
    assert error["type"] == "model_not_found"
    assert sorted(error.get("metadata", {"near": []})["near"]) == sorted(near)
    assert all(other in error["message"] for other in near)


@pytest.mark.parametrize("name", ["z-ai/glm-5", "glm-5"])
async def test_without_direct_models_none_can_be_looked_up(get: Serve, name: str) -> None:
    error = (await get(f"/v1/models/{name}", is_direct=False))["error"]
    assert error["type"] == "model_not_found"
    assert "router/code" in error["metadata"]["near"]


# --- a real SDK -----------------------------------------------------------------------------------


@pytest.fixture
async def openai() -> AsyncIterator[AsyncOpenAI]:
    async with (
        TestServer(app(GLM, MINI)) as server,
        AsyncOpenAI(
            api_key="any", base_url=str(server.make_url("/v1")), _strict_response_validation=True
        ) as client,
    ):
        yield client


async def test_openais_sdk_reads_the_list_and_every_entry(openai: AsyncOpenAI) -> None:
    listed = [model async for model in openai.models.list()]
    assert [model.id for model in listed] == [
        "router", "router/code", "router/talk", "glm-5", "gpt-4o-mini"
    ]  # fmt: skip
    for model in listed:
        assert (await openai.models.retrieve(model.id)).created == model.created
