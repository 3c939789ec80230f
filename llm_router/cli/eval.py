"""Score the decisions on labelled prompts: how often right, where wrong, how sure, how fast.

FILE has a JSON object a line: {"text": "Fix my loop", "label": "code"}, optionally with "lang" and
"source", which divide the result; "messages" in place of "text" is a whole conversation, "request"
a chat body, which may carry tools. Labels are the categories in force, your own included.

The mode's classifier is built like the server's and asks the same Ollama and OpenRouter, within
[classifier] budget_ms for each prompt; nothing is remembered between prompts. Modes api and hybrid
may cost money: their calls are booked in the ledger, and their cost is shown.

  llm-router eval prompts.jsonl
  llm-router eval prompts.jsonl --mode local --json | jq .macro_f1
  llm-router eval prompts.jsonl --misses wrong.jsonl

Exit status: 0 done, 1 a file or a setting that cannot be used, or a mode that decided nothing.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
from rich.progress import MofNCompleteColumn, Progress

from llm_router.classify.evaluation import Result, evaluate
from llm_router.classify.labelled import TOOLS, BadLine, Labelled, read_labelled
from llm_router.classify.labels import labels_of
from llm_router.cli.config import in_force, stored_catalog
from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import progress, write_json
from llm_router.cli.scores import print_scores
from llm_router.cli.trial import Trial, open_trial
from llm_router.ledger.report import usd
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Mode, Settings
from llm_router.settings_load import require_api_key

# In these a step of the same name has to decide, or nothing was measured.
_ASKING_MODES = ("ollama", "api")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="labelled prompts; - reads stdin")
    parser.add_argument(
        "--mode", choices=get_args(Mode), help="how to decide (default: [classifier] mode)"
    )
    parser.add_argument(
        "--misses", type=Path, metavar="FILE", help="write what was decided wrongly, a line each"
    )
    json_option(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args)
    settings = _in_mode(loaded.settings, args.mode)
    mode = settings.classifier.mode
    if mode == "api":
        require_api_key(settings)
    config = in_force(loaded)
    labels = labels_of(config)
    given = _read(args.file, labels)
    results, trial = asyncio.run(_decide(settings, config, given))
    if any(one.has_tools for one in given):
        labels = (*labels, TOOLS)
    scores = evaluate(results, labels)
    if args.misses is not None:
        _write_misses(args.misses, results)
    if args.json:
        write_json({"file": str(args.file), "mode": mode, **scores.as_json(), **_spent(trial)})
    else:
        print_scores(scores, f"{args.file}, mode {mode}")
        _print_spent(trial)
    if mode in _ASKING_MODES and mode not in scores.decided_by:
        why = ", ".join(scores.skipped) or "no prompt has text"
        sys.stderr.write(f"llm-router: {mode} decided none of the prompts ({why})\n")
        return 1
    return 0


def _in_mode(settings: Settings, mode: Mode | None) -> Settings:
    if mode is None:
        return settings
    classifier = settings.classifier.model_copy(update={"mode": mode})
    return settings.model_copy(update={"classifier": classifier})


def _read(path: Path, labels: Sequence[str]) -> list[Labelled]:
    if str(path) == "-":
        given = list(read_labelled(sys.stdin.buffer, "stdin", labels))
    else:
        try:
            with path.open("rb") as lines:
                given = list(read_labelled(lines, str(path), labels))
        except OSError as exc:
            raise BadLine(f"{path} cannot be read: {exc.strerror}") from exc
    if not given:
        raise BadLine(f"{path} has no prompts")
    return given


async def _decide(
    settings: Settings, config: RoutingConfig, given: Sequence[Labelled]
) -> tuple[list[Result], Trial]:
    catalog = await stored_catalog(settings)
    with progress(*Progress.get_default_columns(), MofNCompleteColumn()) as bar:
        task = bar.add_task("loading", total=None)
        async with open_trial(settings, config, catalog) as trial:
            await trial.until_ready()
            bar.update(task, description="deciding", total=len(given))
            results = await trial.run(given, lambda: bar.advance(task))
    return results, trial


def _write_misses(path: Path, results: Sequence[Result]) -> None:
    try:
        with path.open("wb") as file:
            for result in results:
                if not result.is_right:
                    file.write(msgspec.json.encode(_miss(result)) + b"\n")
    except OSError as exc:
        raise BadLine(f"{path} cannot be written: {exc.strerror}") from exc


def _miss(result: Result) -> dict[str, Any]:
    given, decision = result.given, result.decision
    return {
        "text": given.text,
        "label": given.label,
        "lang": given.lang,
        "source": given.source,
        "category": decision.category,
        "classifier": decision.by,
        "confidence": decision.confidence,
        "rule": decision.rule,
    }


def _spent(trial: Trial) -> dict[str, Any]:
    cost = trial.cost.nanousd
    return {"calls": trial.calls, "cost_usd": None if cost is None else usd(cost)}


def _print_spent(trial: Trial) -> None:
    if trial.calls:
        cost = trial.cost.nanousd
        shown = "unknown so far" if cost is None else f"{usd(cost):.6f} USD"
        sys.stdout.write(f"cost          {trial.calls:,} calls to OpenRouter, {shown}\n")
