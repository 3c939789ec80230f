"""The scores of `eval` as tables: by category, what was taken for what, how sure, by source."""

import sys
from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from llm_router.classify.evaluation import Evaluation, Part
from llm_router.cli.output import add_numbers, add_texts, new_table, print_table
from llm_router.ledger.report import printable


def print_scores(scores: Evaluation, title: str) -> None:
    prompts = "1 prompt" if scores.prompts == 1 else f"{scores.prompts:,} prompts"
    sys.stdout.write(
        f"{title}: {prompts}, accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}\n"
    )
    print_table(_classes(scores))
    print_table(_confusion(scores))
    if scores.bands:
        print_table(_calibration(scores))
    for heading, parts in (
        ("decided by", scores.decided_by),
        ("language", scores.languages),
        ("source", scores.sources),
    ):
        if parts:
            print_table(_divided(heading, parts))
    times = "  ".join(f"{name} {ms:.2f}" for name, ms in scores.latency_ms.items())
    sys.stdout.write(f"\nmilliseconds  {times}\n")
    if scores.skipped:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in scores.skipped.items())
        sys.stdout.write(f"skipped       {reasons}\n")


def _classes(scores: Evaluation) -> Table:
    table = _table("category", "prompts", "precision", "recall", "F1", "sent there", "share")
    for name, score in scores.classes.items():
        shares = (f"{value:.3f}" for value in (score.precision, score.recall, score.f1))
        share = f"{score.predicted / scores.prompts:.1%}"
        table.add_row(escape(name), f"{score.support:,}", *shares, f"{score.predicted:,}", share)
    return table


def _confusion(scores: Evaluation) -> Table:
    table = _table("label ↓  decided →", *map(escape, scores.confusion))
    for label, row in scores.confusion.items():
        table.add_row(escape(label), *(f"{count:,}" for count in row.values()))
    return table


def _calibration(scores: Evaluation) -> Table:
    table = _table("confidence", "prompts", "mean", "accuracy")
    for band in scores.bands:
        shares = (f"{value:.3f}" for value in (band.confidence, band.accuracy))
        table.add_row(f"{band.low:g} to {band.high:g}", f"{band.prompts:,}", *shares)
    table.caption = f"calibration error (ECE) {scores.calibration_error:.3f}"
    return table


def _divided(heading: str, parts: Mapping[str, Part]) -> Table:
    table = _table(heading, "prompts", "accuracy", "macro-F1")
    for name, part in parts.items():
        shares = (f"{value:.3f}" for value in (part.accuracy, part.macro_f1))
        table.add_row(escape(printable(name)), f"{part.prompts:,}", *shares)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = new_table()
    add_texts(table, first)
    add_numbers(table, *numbers)
    return table
