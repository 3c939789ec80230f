"""What was found, as Markdown: it reads as well in a terminal as in the documentation."""

from collections.abc import Callable, Sequence

import msgspec

from benchmarks.entrants import DIRECT
from benchmarks.scenarios import Scenario
from benchmarks.summary import Spread, Summary

Column = tuple[str, Callable[[Summary], str]]


class Table(msgspec.Struct):
    """The first column says what a row is about; the others are figures."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def compared(scenario: Scenario, summaries: Sequence[Summary]) -> Table:
    """Return a table with a row for each contestant."""
    columns = _columns(scenario)
    rows = [[show(summary) for _, show in columns] for summary in summaries]
    return Table(scenario.name, scenario.title, [title for title, _ in columns], rows)


def render(table: Table) -> str:
    """Return a heading, the aligned table, and its note."""
    rows = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    lines.insert(1, rule.replace(":", "-", 1))
    note = [table.note, ""] if table.note else []
    return "\n".join([f"### {table.name}: {table.title}", "", *lines, "", *note])


def _columns(scenario: Scenario) -> list[Column]:
    name: Column = ("", lambda summary: summary.contestant)
    if scenario.against == DIRECT:
        return [
            name,
            ("p50 ms", lambda summary: f"{summary.p50_ms:.2f}"),
            ("p99 ms", lambda summary: f"{summary.p99_ms:.2f}"),
            ("added p50 ms", lambda summary: _added(summary.added_p50_ms)),
            ("added p99 ms", lambda summary: _added(summary.added_p99_ms)),
        ]
    columns: list[Column] = [
        name,
        (f"CPU µs per {scenario.unit}", lambda summary: _number(summary.cpu_us)),
        (f"to {scenario.against.name}", lambda summary: _ratio(summary.ratio)),
        (f"{scenario.unit}s/s", lambda summary: f"{summary.per_s:,.0f}"),
        ("first byte p50 ms", lambda summary: f"{summary.p50_ms:.2f}"),
        ("p99 ms", lambda summary: f"{summary.p99_ms:.2f}"),
        ("memory MB", lambda summary: _number(summary.memory_mb)),
    ]
    if scenario.cores > 1:
        columns.append((f"on {scenario.cores} cores", lambda summary: _ratio(summary.scaling)))
    if scenario.shape.prompts == "mixed":
        columns.append(("decided by", _decided))
    return columns


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "| " + " | ".join(padded) + " |"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(ratio: Spread | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio.of_medians:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})"


def _added(added: Spread) -> str:
    return f"{added.of_medians:+.2f} ({added.lowest:+.2f} to {added.highest:+.2f})"


def _decided(summary: Summary) -> str:
    return ", ".join(f"{by} {share:.0%}" for by, share in summary.decided_by.items()) or "-"
