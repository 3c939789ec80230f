"""Exporting, applying, listing and rolling back, with and without a running server."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llm_router import keys
from llm_router.cli import main
from llm_router.routing.catalog import Catalog, CatalogHolder, read_models
from llm_router.routing.config import ConfigHolder
from llm_router.routing.defaults import default_config
from llm_router.routing.document import from_toml, to_dict, to_toml
from llm_router.settings import Settings
from llm_router.storage.config import ConfigStore
from llm_router.storage.models import ModelStorage
from llm_router.storage.sqlite import Database, open_database
from llm_router.web import config as web_config
from tests.cli.conftest import Run

POETRY = '\n[categories.poetry]\nmodels = ["a/b"]\nkeywords = ["rhyme"]\n'
DEFAULTS = to_toml(default_config())


@pytest.fixture
def poetry(folder: Path) -> str:
    (folder / "poetry.toml").write_text(DEFAULTS + POETRY)
    return "poetry.toml"


def test_without_a_database_the_seed_is_exported(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text('[categories.code]\nmodels = ["a/b"]')
    status, out, _ = run("config", "export")
    assert status == 0
    assert from_toml(out).categories["code"].models == ("a/b",)
    assert not (folder / "router.db").exists()


def test_what_was_applied_is_exported(run: Run, poetry: str) -> None:
    status, out, _ = run("config", "apply", poetry)
    assert status == 0
    assert "categories.poetry.models: none -> a/b\n" in out
    assert out.endswith("version 2 is in force\n")
    exported = run("config", "export")[1]
    assert from_toml(exported) == from_toml(DEFAULTS + POETRY)
    assert json.loads(run("config", "export", "--json")[1]) == to_dict(from_toml(exported))


def test_a_new_model_that_is_not_listed_is_applied_and_pointed_out(
    run: Run, folder: Path, poetry: str
) -> None:
    async def listed() -> None:
        async with open_database(folder / "router.db") as database:
            models = read_models({"data": [{"id": "a/bb"}]})
            await ModelStorage(database).save(Catalog(models, fetched_at=1.0))

    asyncio.run(listed())
    status, out, err = run("config", "apply", poetry)
    assert (status, out.splitlines()[-1]) == (0, "version 2 is in force")
    assert err.splitlines() == [
        "llm-router: warning: a/b is not in OpenRouter's model list, so chains go on without it "
        "(near: a/bb)"
    ]
    assert run("config", "apply", poetry)[2] == ""


def test_applying_an_export_changes_nothing(run: Run, folder: Path, poetry: str) -> None:
    run("config", "apply", poetry)
    (folder / "out.toml").write_text(run("config", "export")[1])
    assert run("config", "apply", "out.toml")[1] == "nothing to change; version 2 stays in force\n"


def test_it_can_be_read_from_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(DEFAULTS + POETRY))
    status, out, _ = run("config", "apply", "-", "--json")
    assert status == 0
    assert json.loads(out)["version"] == 2
    assert "poetry" in json.loads(out)["categories"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[aliases]", "bad.toml: categories: is missing"),
        (DEFAULTS.encode() + b"[server]\nport = 1", "bad.toml: server: unknown field"),
        (b"[", "bad.toml: not valid TOML"),
        (b"\xff", "bad.toml is not UTF-8 text"),
        (None, "bad.toml cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_nothing_changes(
    run: Run, folder: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (folder / "bad.toml").write_bytes(content)
    status, out, err = run("config", "apply", "bad.toml")
    assert (status, out) == (1, "")
    assert words in err
    assert not (folder / "router.db").exists()


def test_history_and_the_way_back(run: Run, poetry: str) -> None:
    assert json.loads(run("config", "history", "--json")[1]) == {"versions": []}
    run("config", "apply", poetry)
    assert run("config", "rollback", "1")[1] == "version 3 is in force, as version 1 was\n"
    versions = json.loads(run("config", "history", "--json")[1])["versions"]
    assert [(v["version"], v["actor"], v["action"]) for v in versions] == [
        (3, "cli", "rollback to 1"),
        (2, "cli", "apply"),
        (1, "start", "seed"),
    ]
    table = run("config", "history")[1]
    assert "categories.poetry.models: a/b -> none" in table
    assert "categories.poetry.description: none -> empty" in table
    assert "glm-5" not in table
    assert len(json.loads(run("config", "history", "--limit", "1", "--json")[1])["versions"]) == 1
    assert json.loads(run("config", "rollback", "2", "--json")[1])["version"] == 4


def test_a_version_that_never_was(run: Run, poetry: str) -> None:
    run("config", "apply", poetry)
    status, _, err = run("config", "rollback", "9")
    assert status == 1
    assert "There is no version 9" in err


def test_an_action_must_be_named(run: Run) -> None:
    assert run("config")[0] == 2


class Server:
    """The admin routes on a database, announced as a running server is."""

    def __init__(self, database: Database, holder: ConfigHolder) -> None:
        self.database = database
        self.holder = holder


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    app = web.Application()
    app[keys.SETTINGS] = Settings()
    app[keys.CONFIG] = ConfigHolder(default_config())
    app[keys.CATALOG] = CatalogHolder()
    for route in web_config.ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    async with open_database(folder / "router.db") as database, TestServer(app) as server:
        store = ConfigStore(database, app[keys.CONFIG])
        app._state[keys.CONFIG_STORE] = store
        await store.load_or_seed(default_config())
        database.announce(str(server.make_url("")))
        yield Server(database, app[keys.CONFIG])


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def test_a_running_server_is_asked_and_has_it_in_force_at_once(
    server: Server, poetry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("config", "apply", poetry) == 0
    assert "poetry" in server.holder.current.categories
    assert await command("config", "export") == 0
    assert "[categories.poetry]" in capsys.readouterr().out
    assert await command("config", "rollback", "1") == 0
    assert "poetry" not in server.holder.current.categories
    assert await command("config", "history") == 0
    assert "loopback" in capsys.readouterr().out


async def test_a_database_that_is_written_by_somebody_without_a_server_is_left_alone(
    folder: Path, poetry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_database(folder / "router.db"):
        assert await command("config", "apply", poetry) == 1
    assert "is in use by process" in capsys.readouterr().err


async def test_without_the_servers_admin_key_it_is_said_where_to_put_it(
    server: Server,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Send it."}}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    async with TestServer(app) as other:
        server.database.announce(str(other.make_url("")))
        assert await command("config", "rollback", "1") == 1
        assert "has an admin key: set ROUTER_ADMIN_KEY, or name" in capsys.readouterr().err
        monkeypatch.setenv("ROUTER_ADMIN_KEY", "another-key-of-some-other-router")
        assert await command("config", "rollback", "1") == 1
        assert "has another admin key: set" in capsys.readouterr().err


async def test_what_a_server_refuses_is_told_in_its_words(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        body: Any = {"error": {"message": "A cross-site request."}}
        return web.json_response(body if "1" in request.path else [], status=403)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    async with TestServer(app) as other:
        server.database.announce(str(other.make_url("")))
        assert await command("config", "rollback", "1") == 1
        assert "refused: A cross-site request." in capsys.readouterr().err
        assert await command("config", "rollback", "2") == 1
        assert "refused: without saying why" in capsys.readouterr().err
    assert await command("config", "rollback", "1") == 1
    assert "did not answer: " in capsys.readouterr().err


async def test_a_server_is_shown_the_admin_key(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def look(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"version": 5, **to_dict(default_config())})

    monkeypatch.setenv("ROUTER_ADMIN_KEY", "secret")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", look)
    async with TestServer(app) as other:
        server.database.announce(str(other.make_url("")))
        assert await command("config", "rollback", "1") == 0
    assert seen == ["Bearer secret"]
