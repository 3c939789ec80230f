"""The configuration over HTTP: what is taken, what is refused, and in which words."""

import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import strategies as st
from pydantic import SecretStr

from llm_router import keys
from llm_router.errors import HttpError
from llm_router.routing.catalog import Catalog, CatalogHolder, read_models
from llm_router.routing.config import ConfigHolder
from llm_router.routing.defaults import default_config
from llm_router.routing.document import to_dict
from llm_router.settings import ServerSettings, Settings, UpstreamSettings
from llm_router.storage.config import ConfigStore
from llm_router.storage.sqlite import open_database
from llm_router.web import config as web_config
from llm_router.web.responses import error_answer
from llm_router.web.routes import Handler, Scope
from tests.fakes.effort import drawn

Client = TestClient[web.Request, web.Application]
SECRET = "sk-canary"
JSON = {"Content-Type": "application/json"}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only what is raised on purpose is answered, so that a 500 is somebody's fault."""
    try:
        return await handler(request)
    except HttpError as exc:
        return error_answer(exc, {})


def application(path: Path, *, has_admin_key: bool = True) -> web.Application:
    async def storage(app: web.Application) -> AsyncIterator[None]:
        async with open_database(path, busy_timeout_s=0.05) as database:
            store = ConfigStore(database, app[keys.CONFIG], wall=lambda: 1_800_000_000.0)
            await store.load_or_seed(default_config())
            app[keys.CONFIG_STORE] = store
            yield

    app = web.Application(middlewares=[errors], client_max_size=8 << 20)
    app[keys.SETTINGS] = Settings(
        server=ServerSettings(
            admin_key=SecretStr(SECRET) if has_admin_key else None, client_keys=(SecretStr(SECRET),)
        ),
        upstream=UpstreamSettings(api_key=SecretStr(SECRET)),
    )
    app[keys.CONFIG] = ConfigHolder(default_config())
    app[keys.CATALOG] = CatalogHolder()
    app.cleanup_ctx.append(storage)
    for route in web_config.ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    return app


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
async def client(path: Path) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(path))) as client:
        yield client


async def answer(
    client: Client, method: str, path: str, body: object = None, status: int = 200
) -> Any:
    async with client.request(method, path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def refused(
    client: Client, method: str, path: str, body: object, status: int
) -> tuple[str, str | None]:
    error = (await answer(client, method, path, body, status))["error"]
    assert error["code"] == status
    return error["message"], error.get("param")


def test_every_route_is_the_admins() -> None:
    """T03"""
    assert {route.scope for route in web_config.ROUTES} == {Scope.ADMIN}


async def test_the_configuration_shows_categories_chains_aliases_mode_and_version(
    client: Client,
) -> None:
    shown = await answer(client, "GET", "/config")
    assert shown["version"] == 1
    assert shown["mode"] == "hybrid"
    assert shown["aliases"]["glm-5"] == "z-ai/glm-5"
    assert shown["categories"]["code"]["models"] == ["glm-5", "aurora-alpha", "gpt-4o-mini"]
    assert shown["categories"]["code"]["builtin"] is True
    assert shown["chains"]["code"] == [
        "z-ai/glm-5",
        "openrouter/aurora-alpha",
        "openai/gpt-4o-mini",
    ]
    assert SECRET not in json.dumps(shown)


async def test_a_category_is_added_and_in_force_at_once(client: Client) -> None:
    body = {"name": "poetry", "models": ["glm-5", "a/b"], "keywords": ["rhyme"]}
    answered = await answer(client, "POST", "/config/category", body)
    assert answered == {
        "version": 2,
        "category": {**body, "description": "", "builtin": False},
    }
    shown = await answer(client, "GET", "/config")
    assert shown["categories"]["poetry"]["keywords"] == ["rhyme"]
    assert shown["version"] == 2


async def test_a_model_that_is_not_listed_is_taken_and_named(client: Client) -> None:
    catalog = Catalog(read_models({"data": [{"id": "z-ai/glm-5"}]}), fetched_at=1.0)
    client.app[keys.CATALOG].current = catalog
    body = {"category": "code", "models": ["z-ai/glm-55", "glm-5"]}
    answered = await answer(client, "POST", "/config/model-mapping", body)
    assert answered["category"]["models"] == body["models"]
    assert answered["gone"] == {"z-ai/glm-55": ["z-ai/glm-5"]}
    answered = await answer(
        client, "POST", "/config/category", {"name": "code", "models": ["glm-5"]}
    )
    assert "gone" not in answered


async def test_what_a_change_leaves_out_stays_as_it_is(client: Client) -> None:
    body = {"name": "poetry", "models": ["a/b"], "keywords": ["rhyme"], "description": "Poems"}
    await answer(client, "POST", "/config/category", body)
    changed = {"name": "poetry", "models": ["c/d"], "keywords": []}
    answered = await answer(client, "POST", "/config/category", changed)
    assert answered["category"] == {
        "name": "poetry", "models": ["c/d"], "keywords": [], "description": "Poems",
        "builtin": False,
    }  # fmt: skip
    code = await answer(client, "POST", "/config/category", {"name": "code", "models": ["a/b"]})
    assert code["category"]["description"] == default_config().categories["code"].description


async def test_a_mapping_changes_the_chain_alone(client: Client) -> None:
    body = {"category": "code", "models": ["gpt-4o-mini", "a/b:free"]}
    answered = await answer(client, "POST", "/config/model-mapping", body)
    assert answered["version"] == 2
    assert answered["category"]["models"] == ["gpt-4o-mini", "a/b:free"]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "name", "name: is missing."),
        ({"name": "x"}, "models", "models: is missing."),
        ({"name": "x", "models": []}, "models", "models: must not be empty."),
        ({"name": "X", "models": ["a/b"]}, "name", "a category's name is 1 to 64 of"),
        ({"name": "direct", "models": ["a/b"]}, "name", "name: the name direct is reserved."),
        ({"name": 5, "models": ["a/b"]}, "name", "name: must be text."),
        ({"name": "x", "models": ["a/b", "glm5"]}, "models[1]", "did you mean glm-5 or z-ai"),
        ({"name": "x", "models": ["a/b", "a/b"]}, "models[1]", "a/b is in the chain twice."),
        ({"name": "x", "models": ["a/b"], "keywords": "k"}, "keywords", "must be a list."),
        ({"name": "x", "models": ["a/b"], "weight": 1}, "weight", "weight: unknown field."),
        (
            {"name": "x", "models": ["a/b"], "base_url": "http://evil", "api_key": "k"},
            "base_url",
            "unknown fields: base_url, api_key.",
        ),
        ([], None, "The body must be a JSON object."),
    ],
)
async def test_a_category_body_that_breaks_a_rule_is_400_and_changes_nothing(
    client: Client, body: object, param: str | None, words: str
) -> None:
    """T35, T08: only the listed fields, and none of them is an address."""
    message, named = await refused(client, "POST", "/config/category", body, 400)
    assert words in message
    assert named == param
    assert (await answer(client, "GET", "/config"))["version"] == 1


async def test_a_mapping_for_a_category_that_is_not_there_is_400(client: Client) -> None:
    message, param = await refused(
        client, "POST", "/config/model-mapping", {"category": "coed", "models": ["a/b"]}, 400
    )
    assert message == "There is no category coed. Did you mean code?"
    assert param == "category"


async def test_a_custom_category_can_be_deleted(client: Client) -> None:
    await answer(client, "POST", "/config/category", {"name": "poetry", "models": ["a/b"]})
    deleted = await answer(client, "DELETE", "/config/category/poetry")
    assert deleted == {"deleted": "poetry", "version": 3}
    assert "poetry" not in (await answer(client, "GET", "/config"))["categories"]


@pytest.mark.parametrize("name", ["tools", "code", "reasoning", "conversation"])
async def test_a_built_in_category_cannot(client: Client, name: str) -> None:
    message, _ = await refused(client, "DELETE", f"/config/category/{name}", None, 409)
    assert message.startswith(f"{name} is built in")


@pytest.mark.parametrize("name", ["poetry", "%00", "a%20b", "%ED%A0%80", "x" * 200, "' OR 1=1--"])
async def test_nor_one_that_is_not_there(client: Client, name: str) -> None:
    """T01"""
    message, _ = await refused(client, "DELETE", f"/config/category/{name}", None, 404)
    assert message.startswith("There is no category ")
    assert len(message) < 200


async def test_history_and_the_way_back(client: Client) -> None:
    body = {"category": "code", "models": ["a/b"]}
    await answer(client, "POST", "/config/model-mapping", body)
    [newest, first] = (await answer(client, "GET", "/config/history"))["versions"]
    assert newest == {
        "version": 2,
        "at": "2027-01-15T08:00:00.000Z",
        "actor": "admin",
        "action": "model-mapping code",
        "changes": [
            {
                "path": "categories.code.models",
                "from": ["glm-5", "aurora-alpha", "gpt-4o-mini"],
                "to": ["a/b"],
            }
        ],
    }
    assert first["version"] == 1
    back = await answer(client, "POST", "/config/rollback/1")
    assert back == {"version": 3, **to_dict(default_config())}
    assert len((await answer(client, "GET", "/config/history?limit=1"))["versions"]) == 1


async def test_without_an_admin_key_the_actor_is_loopback(path: Path) -> None:
    async with TestClient(TestServer(application(path, has_admin_key=False))) as client:
        await answer(client, "POST", "/config/category", {"name": "x", "models": ["a/b"]})
        versions = (await answer(client, "GET", "/config/history"))["versions"]
        assert versions[0]["actor"] == "loopback"


@pytest.mark.parametrize(
    ("version", "status"), [("99", 404), ("0", 404), ("x", 404), ("-1", 404), ("9" * 30, 404)]
)
async def test_going_back_to_what_never_was_is_404(
    client: Client, version: str, status: int
) -> None:
    await refused(client, "POST", f"/config/rollback/{version}", None, status)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "key=secret"])
async def test_other_questions_to_the_history_are_400(client: Client, query: str) -> None:
    """T39: `?key=` is no way to send one."""
    await refused(client, "GET", f"/config/history?{query}", None, 400)


async def test_a_whole_document_takes_the_place_of_everything(client: Client) -> None:
    document = to_dict(default_config())
    document["categories"]["poetry"] = {"models": ["a/b"]}
    put = await answer(client, "PUT", "/config", document)
    assert put["version"] == 2
    assert put["categories"]["poetry"] == {"models": ["a/b"], "keywords": [], "description": ""}
    again = await answer(client, "PUT", "/config", {"version": 2, **to_dict(default_config())})
    assert "poetry" not in again["categories"]


async def test_a_document_for_another_version_is_409(client: Client) -> None:
    """T36: who read version 1 does not overwrite what somebody else made of it."""
    await answer(client, "POST", "/config/category", {"name": "x", "models": ["a/b"]})
    document = {"version": 1, **to_dict(default_config())}
    message, _ = await refused(client, "PUT", "/config", document, 409)
    assert message.startswith("Version 2 is in force, not 1")


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({}, "categories"),
        ({"categories": {}}, "categories.tools"),
        ({"version": "1", **to_dict(default_config())}, "version"),
        ({"version": True, **to_dict(default_config())}, "version"),
        ({**to_dict(default_config()), "server": {}}, "server"),
        ({**to_dict(default_config()), "aliases": {}}, "categories.tools.models[0]"),
    ],
)
async def test_a_document_that_breaks_a_rule_is_400_and_the_old_one_stays(
    client: Client, document: object, param: str
) -> None:
    """F80"""
    _, named = await refused(client, "PUT", "/config", document, 400)
    assert named == param
    assert (await answer(client, "GET", "/config"))["version"] == 1


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
@pytest.mark.parametrize("route", ["/config/category", "/config/model-mapping"])
async def test_what_a_web_page_can_send_unasked_is_415(
    client: Client, route: str, content_type: str
) -> None:
    """T05: a cross-site form has no JSON content type."""
    body = b'{"name": "x", "category": "code", "models": ["a/b"]}'
    headers = {"Content-Type": content_type}
    async with client.post(route, data=body, headers=headers) as response:
        assert response.status == 415
    assert (await answer(client, "GET", "/config"))["version"] == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        ("{}".encode("utf-16"), "not valid JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"name": "x", "name": "y"}', "name stands twice"),
        (b'{"\\ud800": 1, "\\ud800": 2}', "stands twice"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=["empty", "cut", "no text", "utf-16", "nan", "twice", "surrogate", "number", "deep"],
)
async def test_a_body_that_is_no_sound_json_is_400(client: Client, body: bytes, words: str) -> None:
    async with client.post("/config/category", data=body, headers=JSON) as response:
        assert response.status == 400
        assert words in (await response.json())["error"]["message"]


async def test_a_body_beyond_the_bound_is_413(client: Client) -> None:
    body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    sent = io.BytesIO(body)
    async with client.post("/config/category", data=sent, headers=JSON) as response:
        assert response.status == 413


async def test_a_database_that_refuses_is_503_and_the_old_configuration_serves(
    client: Client, path: Path
) -> None:
    """F86"""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        body = {"name": "x", "models": ["a/b"]}
        message, _ = await refused(client, "POST", "/config/category", body, 503)
        assert "the configuration in force stays" in message
        await refused(client, "POST", "/config/rollback/1", None, 503)
        assert (await answer(client, "GET", "/config"))["version"] == 1
    finally:
        blocker.close()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text() | st.sampled_from(["x", "code", "direct"]) | values,
        "category": st.sampled_from(["code", "nothing"]) | values,
        "models": st.lists(st.text() | st.sampled_from(["glm-5", "a/b"]), max_size=3) | values,
        "keywords": st.lists(st.text(), max_size=3) | values,
        "description": st.text() | values,
        "categories": values,
        "version": values,
    },
)
ADMIN_BODIES = (
    ("POST", "/config/category"),
    ("POST", "/config/model-mapping"),
    ("PUT", "/config"),
)


async def test_no_body_makes_an_admin_route_fail(client: Client) -> None:
    """T04, T35: whatever is sent, it is applied or refused on purpose."""

    async def send(body: bytes) -> None:
        for method, path in ADMIN_BODIES:
            async with client.request(method, path, data=body, headers=JSON) as response:
                assert response.status in (200, 400, 409)
                assert aiohttp.hdrs.CONTENT_TYPE in response.headers
                await response.json()

    for body in drawn(bodies.map(json.dumps).map(str.encode) | st.binary(max_size=40), 60):
        await send(body)
