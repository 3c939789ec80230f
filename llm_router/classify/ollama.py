"""A small model on a local Ollama, its answer constrained to the labels.

Facts about its API are from https://docs.ollama.com/api and from the server's source: `stream`
defaults to true, `keep_alive` is a number of seconds (negative: for ever), thinking is on unless
refused, a different `num_ctx` reloads the model, and a request that is cancelled while the model
loads aborts the load. So requests are served without it until a warm-up of its own, which no
request's budget can cancel, has loaded it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from llm_router.classify.base import By, CallBook, Decision, Prompt, StepFault
from llm_router.classify.labels import labels_of, messages_for, read_label, schema_for
from llm_router.classify.logprobs import ALTERNATIVES, confidence_in
from llm_router.routing.config import RoutingConfig
from llm_router.settings import DeadlineSettings
from llm_router.tasks import spawn
from llm_router.upstream.origin import tls_context

log = logging.getLogger(__name__)

WARM_UP_S = 600.0
RETRY_S = 10.0
_MAX_RETRY_S = 160.0
_PROBE_S = 5.0
# Ollama works on one request at a time by default; more would only queue up behind each other.
_MAX_IN_FLIGHT = 4
_RESPONSE_LIMIT = 64 * 1024
_OPTIONS = {"temperature": 0, "seed": 42, "num_predict": 24, "num_ctx": 4096}


class OllamaStep:
    """Decides once the model is loaded; until then, and after it got lost, StepFault."""

    name: By = "ollama"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        model: str,
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._session = session
        self._base = URL(base_url.rstrip("/"))
        self._model = full_name(model)
        self._retry_s = retry_s
        self._status = "loading"
        self._said = ""
        self._in_flight = 0
        self._doubt = asyncio.Event()  # something went wrong: look whether the model is there
        self._warming: asyncio.Task[None] | None = None

    def status(self) -> str:
        """Return "ok", "loading", "down" or "model missing"."""
        return self._status

    async def start(self) -> None:
        self._warming = spawn(self._keep_warm(), name="ollama-warm-up")

    async def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)

    async def decide(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, limit_s: float
    ) -> Decision:
        if self._status != "ok":
            raise StepFault(self._status, is_failure=False)
        if self._in_flight >= _MAX_IN_FLIGHT:
            raise StepFault("busy", is_failure=False)
        self._in_flight += 1
        try:
            async with asyncio.timeout(limit_s):
                return await self._ask(prompt, config)
        except TimeoutError:
            self._doubt.set()
            raise StepFault("timeout") from None
        finally:
            self._in_flight -= 1

    async def _ask(self, prompt: Prompt, config: RoutingConfig) -> Decision:
        labels = labels_of(config)
        status, answer = await self._post(
            {
                "model": self._model,
                "stream": False,
                "think": False,
                "keep_alive": -1,
                "messages": messages_for(prompt, config, labels),
                "format": schema_for(labels),
                "options": _OPTIONS,
                "logprobs": True,  # an older Ollama does not know it and answers without
                "top_logprobs": ALTERNATIVES,
            }
        )
        if status != 200:
            self._doubt.set()
            raise StepFault("model missing" if status == 404 else f"HTTP {status}")
        message = answer.get("message") if isinstance(answer, dict) else None
        if not isinstance(message, dict) or answer.get("error"):
            raise StepFault("not an answer")
        label = read_label(message.get("content"), labels)
        if label is None:
            raise StepFault("wrong label")
        confidence, others = confidence_in(answer.get("logprobs"), label, labels) or (None, ())
        return Decision(label, "ollama", confidence, f"{self._model} says so", others)

    async def _keep_warm(self) -> None:
        wait_s = self._retry_s
        while True:
            self._doubt.clear()
            self._status = await self._warm_up()
            if self._status == "ok":
                wait_s = self._retry_s
                await self._doubt.wait()
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _MAX_RETRY_S)

    async def _warm_up(self) -> str:
        """Load the model unless it is loaded; return what became of it."""
        try:
            async with asyncio.timeout(_PROBE_S):
                if await self._is_loaded():
                    return "ok"
            self._status = "loading"
            async with asyncio.timeout(WARM_UP_S):
                status, _ = await self._post(
                    {
                        "model": self._model,
                        "messages": [],
                        "stream": False,
                        "keep_alive": -1,
                        "options": _OPTIONS,
                    }
                )
        except (StepFault, TimeoutError):
            return self._found(
                "down", f"Ollama does not answer at {self._base}; deciding without it"
            )
        if status == 404:
            hint = f"Ollama has no model {self._model}; run: ollama pull {self._model}"
            return self._found("model missing", hint)
        if status != 200:
            return self._found("down", f"Ollama could not load {self._model} (HTTP {status})")
        return self._found("ok", f"Ollama has loaded {self._model}")

    async def _is_loaded(self) -> bool:
        status, answer = await self._exchange("GET", "api/ps", None)
        models = answer.get("models") if status == 200 and isinstance(answer, dict) else None
        if not isinstance(models, list):
            return False
        names = (entry.get("model") for entry in models if isinstance(entry, dict))
        return any(isinstance(name, str) and full_name(name) == self._model for name in names)

    async def _post(self, body: dict[str, Any]) -> tuple[int, Any]:
        return await self._exchange("POST", "api/chat", msgspec.json.encode(body))

    async def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        """Return status and decoded body, None where it is no JSON."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            async with self._session.request(
                method,
                self._base / path,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),  # the callers' deadlines rule
            ) as response:
                raw = b""
                while block := await response.content.readany():
                    raw += block
                    if len(raw) > _RESPONSE_LIMIT:
                        raise StepFault("answer too long")
                status = response.status
        except (aiohttp.ClientError, OSError) as exc:
            self._doubt.set()
            raise StepFault("unreachable") from exc
        try:
            return status, msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            return status, None

    def _found(self, status: str, message: str) -> str:
        """Return the status, and say so once when it has changed."""
        if status != self._said:
            log.log(logging.INFO if status == "ok" else logging.WARNING, message)
            self._said = status
        return status


def full_name(model: str) -> str:
    """Return the name with its tag, as Ollama lists it: `llama3.2` is `llama3.2:latest`."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


@asynccontextmanager
async def open_session(
    base_url: str, deadlines: DeadlineSettings
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session for Ollama, which is on this machine or near it: no proxy, no redirects.

    No total timeout here: loading a model takes its time, and callers have deadlines of their own.
    SettingsError when it talks TLS and SSL_CERT_FILE cannot be used.
    """
    trusted = tls_context() if URL(base_url).scheme == "https" else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=deadlines.connect_s),
    ) as session:
        yield session
