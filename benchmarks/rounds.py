"""Runs a scenario: its contestants carry the same load in turn, round after round."""

import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.contestants import Contestant, Stage
from benchmarks.entrants import Tools
from benchmarks.load import command
from benchmarks.processes import (
    ROOT,
    Cores,
    Failed,
    Processes,
    clean_environ,
    cores_of_this_machine,
    on_core,
)
from benchmarks.result import Result
from benchmarks.scenarios import Scenario

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    rounds: int
    seconds: float


class Run(msgspec.Struct, frozen=True):
    """One measurement: who carried the load of which scenario, in which round."""

    scenario: str
    contestant: str
    round: int
    result: Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """`unbooked` counts answers that a router gave and its ledger does not have."""

    runs: tuple[Run, ...]
    unbooked: int


def play(scenario: Scenario, pace: Pace, tools: Tools, tell: Callable[[Run], None]) -> Outcome:
    """Run all rounds of a scenario on programs of its own, which have ended when this returns."""
    cores = cores_of_this_machine()
    runs = []
    with TemporaryDirectory(prefix="llm-router-benchmark-") as name:
        folder = Path(name)
        with Processes(folder) as processes:
            stage = Stage(processes, cores, folder, tools)
            contestants = [stage.start(one) for one in scenario.contestants if tools.can_run(one)]
            for number in range(1, pace.rounds + 1):
                for contestant in contestants:
                    result = _measure(scenario, contestant, pace.seconds, cores)
                    runs.append(Run(scenario.name, contestant.name, number, result))
                    tell(runs[-1])
        answered: Counter[str] = Counter()
        for run in runs:
            answered[run.contestant] += run.result.answered
        unbooked = sum(missing_rows(one, answered[one.name]) for one in contestants)
    return Outcome(tuple(runs), unbooked)


def _measure(
    scenario: Scenario, contestant: Contestant, seconds: float, cores: Cores | None
) -> Result:
    warm_s = scenario.warm_s(seconds)
    ask = [
        *command(contestant.url, scenario.shape, scenario.conns, warm_s, seconds),
        *([f"--pid={contestant.pid}"] if contestant.pid else []),
        *(["--rewritten"] if contestant.entrant.rewrites else []),
    ]
    try:
        done = subprocess.run(
            on_core(cores.load if cores else None, ask),
            cwd=ROOT,
            env=clean_environ(),
            capture_output=True,
            timeout=warm_s + seconds + _PATIENCE_S,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise Failed(f"{contestant.name} did not get through {scenario.name}") from exc
    except subprocess.CalledProcessError as exc:
        raise Failed(f"the load generator failed: {exc.stderr.decode()}") from exc
    return msgspec.json.decode(done.stdout, type=Result)


def missing_rows(contestant: Contestant, answered: int) -> int:
    """Compare the ledger of one that has stopped with what it answered; 0 if it has none."""
    if contestant.ledger is None:
        return 0
    query = "SELECT count(*) FROM requests WHERE outcome = 'completed'"
    try:
        with closing(sqlite3.connect(contestant.ledger)) as database:
            [booked] = database.execute(query).fetchone()
    except sqlite3.Error as exc:
        raise Failed(f"the ledger of {contestant.name} cannot be read: {exc}") from exc
    return abs(answered - int(booked))
