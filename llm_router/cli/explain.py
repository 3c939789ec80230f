"""Say how a prompt would be routed, and why. No model is called for the answer.

A running server is asked, so its breakers and its classifier count. Without one, the saved
configuration decides, with the classifier that needs no model: no cost, no network.
"""

import argparse
import asyncio
import sys
from functools import partial
from typing import Any

import msgspec
from rich.markup import escape

from llm_router.classify.base import NoBook
from llm_router.classify.build import judge_of
from llm_router.classify.hybrid import HybridClassifier
from llm_router.cli.config import in_force, stored_catalog
from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import add_texts, new_table, print_table, write_json
from llm_router.cli.server import ask, server_url
from llm_router.clock import SystemClock
from llm_router.ledger.report import printable
from llm_router.proxy.body import parse_body
from llm_router.proxy.plan import make_plan
from llm_router.settings_load import Loaded
from llm_router.web.explain import explanation

_MANY_TOKENS = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    settings_options(parser)
    parser.add_argument("prompt", help="what a user would write; - reads it from stdin")
    parser.add_argument("--model", default="router", help='as in a request (default: "router")')
    parser.add_argument("--tools", action="store_true", help="as if the request carried tools")
    parser.add_argument("--session", metavar="NAME", help="as if the request had this session_id")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args)
    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    body: dict[str, Any] = {"model": args.model, "messages": [{"role": "user", "content": prompt}]}
    if args.tools:
        body["tools"] = [{"type": "function", "function": {"name": "any"}}]
    if args.session:
        body["session_id"] = args.session
    if url := server_url(loaded.settings.ledger.path):
        shown = ask(loaded.settings, url, "POST", "/route/explain", body)
    else:
        shown = asyncio.run(_offline(loaded, msgspec.json.encode(body)))
    if args.json:
        write_json(shown)
    else:
        _print(shown)
    return 0


async def _offline(loaded: Loaded, body: bytes) -> dict[str, Any]:
    settings = loaded.settings
    parsed = parse_body(body)
    plan = await make_plan(
        parsed,
        None,
        settings=settings,
        config=await asyncio.to_thread(in_force, loaded),
        catalog=await stored_catalog(settings),
        classifier=HybridClassifier(
            settings.classifier,
            (),
            SystemClock(),
            partial(judge_of, settings.classifier.mode),
        ),
        book=NoBook(),
    )
    return explanation(plan, parsed.needs, None)


def _needs(needs: dict[str, Any]) -> str:
    """Return what a model has to be able to do, where that may leave one out."""
    words = [word for word in ("tools", "images", "structured_output") if needs[word]]
    tokens = needs["prompt_tokens"] + (needs["max_tokens"] or 0)
    if tokens >= _MANY_TOKENS:
        words.insert(0, f"a context of about {tokens:,} tokens")
    return ", ".join(words).replace("_", " ")


def _print(shown: dict[str, Any]) -> None:
    sure = f", confidence {shown['confidence']:.2f}" if shown["confidence"] is not None else ""
    sys.stdout.write(f"category   {shown['category']}  (by {shown['classifier']}{sure})\n")
    sys.stdout.write(f"because    {shown['rule'] or '-'}\n")
    if shown["runners_up"]:
        others = ", ".join(f"{r['category']} {r['confidence']:.2f}" for r in shown["runners_up"])
        sys.stdout.write(f"also       {others}\n")
    if needs := _needs(shown["needs"]):
        sys.stdout.write(f"needs      {needs}\n")
    if shown["session"]:
        sys.stdout.write(f"session    {printable(shown['session'])}\n")
    if shown["skipped"]:
        sys.stdout.write(f"skipped    {'; '.join(shown['skipped'])}\n")
    table = new_table()
    add_texts(table, "model", "id", "fate")
    for candidate in shown["chain"]:
        table.add_row(*(escape(candidate[key]) for key in ("name", "model", "fate")))
    print_table(table)
