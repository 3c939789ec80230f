"""Serve on an embedded upstream: no key, no Ollama, no network, no cost.

Prints what to open and what to curl. From the environment it takes ROUTING_MODE, ROUTER_HOST,
ROUTER_PORT, ROUTER_DB, ROUTER_ADMIN_KEY, ROUTER_CLIENT_KEYS and LLM_ROUTER_*; .env and config.toml
are left alone.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from llm_router.cli.demo_ledger import own_ledger
from llm_router.cli.options import address_options, load
from llm_router.demo.upstream import DemoUpstream
from llm_router.demo.upstream import serve as serve_upstream
from llm_router.logs import set_up_logging
from llm_router.loop import run as run_loop
from llm_router.settings import Settings
from llm_router.settings_load import Loaded, check_start
from llm_router.workers.run import serve as serve_router

_TAKEN = {"ROUTING_MODE", "ROUTER_HOST", "ROUTER_PORT", "ROUTER_DB"}
_TAKEN |= {"ROUTER_ADMIN_KEY", "ROUTER_CLIENT_KEYS"}
_CHUNK_GAP_MS = 30  # a stream that a person can see streaming

_TOUR = """\
llm-router demo serves at {url}; everything it answers is made up and costs nothing.
{export}
  Open     {url}/
  Stream   curl{auth} -iN {url}/v1/chat/completions -d '{{"model":"router","stream":true,"messages":[{{"role":"user","content":"Write a python function that adds two numbers"}}]}}'
  Tools    curl{auth} -i {url}/v1/chat/completions -d '{{"model":"router","messages":[{{"role":"user","content":"What is the weather in Paris?"}}],"tools":[{{"type":"function","function":{{"name":"get_weather","parameters":{{"type":"object","properties":{{"city":{{"type":"string"}}}}}}}}}}]}}'
  Fall back (the first model of `code` answers 503)
           curl{auth} -i {url}/v1/chat/completions -d '{{"model":"router/code","messages":[{{"role":"user","content":"Hi [[demo fail=z-ai/glm-5:503]]"}}]}}'
  Open a breaker: run the line above three times, then
           curl{auth} {url}/circuit-breaker
           curl{auth} -X POST {url}/circuit-breaker/reset/glm-5
  Explain  curl{auth} {url}/route/explain -d '{{"model":"router","messages":[{{"role":"user","content":"Why is the sky blue?"}}]}}'
  Numbers  curl{auth} {url}/metrics
           sqlite3 {database} "select * from cost_by_model"

In any OpenAI client: base_url="{url}/v1", model="router", {key}. Ctrl-C ends the demo.
"""  # noqa: E501 - lines to copy and paste are whole
_AUTH = ' -H "Authorization: Bearer $KEY"'  # keys stay out of what is printed
_EXPORT = """
Keys are configured, so first: export KEY=…  ({which})
"""


def configure(parser: argparse.ArgumentParser) -> None:
    address_options(parser)


def run(args: argparse.Namespace) -> int:
    environ = {k: v for k, v in os.environ.items() if k in _TAKEN or k.startswith("LLM_ROUTER_")}
    loaded = load(args, base_dir=Path(os.devnull), environ=environ)
    check_start(loaded.settings, loaded.sources)
    set_up_logging(loaded.settings.log)
    run_loop(_serve(loaded))
    return 0


async def _serve(loaded: Loaded) -> None:
    database = own_ledger(loaded.settings.ledger.path)
    async with serve_upstream(DemoUpstream(gap_ms=_CHUNK_GAP_MS, keep=100)) as upstream:
        settings = _on(loaded.settings, upstream, database)
        await serve_router(settings, loaded.seed, partial(_ready, settings))


def _on(settings: Settings, upstream: DemoUpstream, database: Path) -> Settings:
    return settings.model_copy(
        update={
            "upstream": settings.upstream.model_copy(
                update={"base_url": upstream.url, "api_key": SecretStr("sk-or-demo")}
            ),
            "ollama": settings.ollama.model_copy(update={"base_url": upstream.ollama_url}),
            "ledger": settings.ledger.model_copy(update={"path": database}),
        }
    )


def _ready(settings: Settings, url: str) -> None:
    sys.stdout.write(tour(settings, url))
    sys.stdout.flush()


def tour(settings: Settings, url: str) -> str:
    """Return what to open and to curl; its lines carry a key if any is asked for."""
    server = settings.server
    # The admin key opens every route; without one, a client key does no harm on the others.
    which = "the admin key" if server.admin_key is not None else "a client key"
    has_keys = server.admin_key is not None or bool(server.client_keys)
    return _TOUR.format(
        url=url,
        database=settings.ledger.path,
        auth=_AUTH if has_keys else "",
        export=_EXPORT.format(which=which) if has_keys else "",
        key="your client key" if server.client_keys else "any key",
    )
