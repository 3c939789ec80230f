"""Asking the server that is running on this machine, with the keys it runs with."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llm_router.errors import RouterError, StorageError
from llm_router.settings import Settings
from llm_router.storage.sqlite import running_server

TIMEOUT_S = 30


def server_url(path: Path) -> str | None:
    """Return where the process that writes this database serves; None if nobody writes it.

    StorageError when somebody writes it without serving: then it is neither ours to write nor
    there to be asked.
    """
    facts = running_server(path)
    if facts is None:
        return None
    if "url" not in facts:
        raise StorageError(
            f"database {path} is in use by process {facts.get('pid', '?')}; try again later"
        )
    return str(facts["url"])


def ask(settings: Settings, url: str, method: str, path: str, body: Any = None) -> Any:
    """Return the JSON a running server answers; RouterError says what it said otherwise.

    It goes straight there, past any proxy of the environment: admin routes refuse proxies.
    """
    address = urlsplit(url)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if settings.server.admin_key is not None:
        headers["Authorization"] = f"Bearer {settings.server.admin_key.get_secret_value()}"
    connection = http.client.HTTPConnection(
        address.hostname or "127.0.0.1", address.port, timeout=TIMEOUT_S
    )
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise RouterError(f"the server at {url} did not answer: {exc}") from exc
    finally:
        connection.close()
    if response.status == 401:
        # Its own words say what a program has to send; here the key comes from the settings.
        theirs = "another admin key" if "Authorization" in headers else "an admin key"
        raise RouterError(
            f"the server at {url} has {theirs}: set ROUTER_ADMIN_KEY, "
            "or name its .env with --env-file"
        )
    if response.status >= 400:
        raise RouterError(f"the server at {url} refused: {_words(answer)}")
    return answer


def _words(answer: Any) -> str:
    try:
        return str(answer["error"]["message"])
    except (KeyError, TypeError):
        return "without saying why"
