"""Measure what the router adds, against a proxy of the same stack that does nothing.

Everything runs on 127.0.0.1 with a fake upstream. Programs under test get a core of their own and
carry the same load in turn, round after round. Every answer is compared with what the upstream
sent, and the ledger with the answers. What the figures mean: docs/benchmarks.md
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from benchmarks import machine, memory, soak, starts
from benchmarks.entrants import Tools, tools_of_this_machine
from benchmarks.processes import Failed, cores_of_this_machine
from benchmarks.rounds import Pace, Run, play
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.summary import Summary, summarise
from benchmarks.table import Table, compared, render

_PARTS = {
    **{scenario.name: scenario.title for scenario in SCENARIOS},
    starts.NAME: starts.TITLE,
    memory.NAME: memory.TITLE,
    soak.NAME: soak.TITLE,
}
_OPT_IN = {scenario.name for scenario in SCENARIOS if scenario.needs_litellm}
_FULL = Pace(rounds=5, seconds=2)
_QUICK = Pace(rounds=2, seconds=0.6)
_SOAK_S, _QUICK_SOAK_S = 180.0, 12.0


class Report(msgspec.Struct):
    """What `--json` writes."""

    machine: dict[str, str]
    summaries: list[Summary]
    runs: list[Run]
    tables: list[Table]
    unbooked: int = 0

    @property
    def is_sound(self) -> bool:
        return not self.unbooked and not any(run.result.bad for run in self.runs)


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if sys.platform == "win32":
        sys.stderr.write("This needs Linux or macOS.\n")
        return 2
    pace = _QUICK if args.quick else _FULL
    pace = Pace(args.rounds or pace.rounds, args.seconds or pace.seconds)
    soak_s = args.soak or (_QUICK_SOAK_S if args.quick else _SOAK_S)
    tools = tools_of_this_machine(args.litellm)
    if not (args.litellm or _OPT_IN.isdisjoint(args.only or ())):
        parser.error("LiteLLM takes part if --litellm names its command")
    names = args.only or [name for name in _PARTS if args.litellm or name not in _OPT_IN]
    signal.signal(signal.SIGTERM, _leave)
    try:
        report = _measure(names, pace, soak_s, tools)
    except Failed as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    if args.json is not None:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    if not report.is_sound:
        bad = sum(run.result.bad for run in report.runs)
        sys.stderr.write(f"{bad} answers were not right, {report.unbooked} are not in the ledger\n")
    return 0 if report.is_sound else 1


def _measure(names: Sequence[str], pace: Pace, soak_s: float, tools: Tools) -> Report:
    report = Report(machine.facts(tools), [], [], [])
    for doubt in machine.doubts(tools):
        sys.stderr.write(f"{doubt}\n")
    _say("\n".join(f"{name}: {fact}" for name, fact in report.machine.items()))
    _say(f"{pace.rounds} rounds of {pace.seconds:g} s; medians (lowest to highest round)\n")
    for scenario in SCENARIOS:
        if scenario.name in names:
            outcome = play(scenario, pace, tools, _progress(scenario, pace))
            report.runs += outcome.runs
            report.unbooked += outcome.unbooked
            summaries = summarise(scenario, outcome.runs)
            report.summaries += summaries
            _show(report, compared(scenario, summaries))
    cores = cores_of_this_machine()
    if starts.NAME in names:
        _show(report, starts.run(pace.rounds))
    if memory.NAME in names and cores is not None:
        _show(report, memory.run(min(pace.rounds, 2), cores))
    if soak.NAME in names and cores is not None:
        _show(report, soak.run(soak_s, cores))
    return report


def _show(report: Report, table: Table) -> None:
    report.tables.append(table)
    _say(render(table))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"{name:16}{title}" for name, title in _PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="how many turns each has")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="how long a turn counts")
    parser.add_argument("--soak", type=_seconds, metavar="S", help="how long the soak lasts")
    parser.add_argument(
        "--litellm", type=_command, metavar="FILE", help="its command, which takes part then"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--only", type=_names, metavar="NAMES", help="of these, with commas:")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in _PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(_PARTS)}")
    return names


def _command(text: str) -> Path:
    if not os.access(text, os.X_OK) or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be run")
    return Path(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _seconds(text: str) -> float:
    try:
        if 0 < (seconds := float(text)) <= 36_000:
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 36000")


def _progress(scenario: Scenario, pace: Pace) -> Callable[[Run], None]:
    def tell(run: Run) -> None:
        units = run.result.chunks if scenario.unit == "chunk" else run.result.requests
        rate = units / run.result.seconds
        where = f"{scenario.name}, round {run.round} of {pace.rounds}"
        sys.stderr.write(f"{where}: {run.contestant} {rate:,.0f} {scenario.unit}s/s\n")

    return tell


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C does, through every `finally`, and let nobody interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
