"""Runs a scenario: its contestants carry the same load in turn, round after round."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.contestants import Contestant, Name, Stage, present
from benchmarks.load import arguments
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
    contestant: Name
    round: int
    result: Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """`unbooked` counts answers that a router gave and its ledger does not have."""

    runs: tuple[Run, ...]
    unbooked: int


def play(scenario: Scenario, pace: Pace, tell: Callable[[Run], None]) -> Outcome:
    """Run all rounds of a scenario on programs of its own, which have ended when this returns."""
    cores = cores_of_this_machine()
    runs = []
    with TemporaryDirectory(prefix="llm-router-benchmark-") as name:
        folder = Path(name)
        with Processes(folder) as processes:
            stage = Stage(processes, cores, folder)
            contestants = [stage.start(name) for name in present(scenario.contestants)]
            for number in range(1, pace.rounds + 1):
                for contestant in contestants:
                    result = _measure(scenario, contestant, pace.seconds, cores)
                    runs.append(Run(scenario.name, contestant.name, number, result))
                    tell(runs[-1])
        unbooked = sum(_unbooked(contestant, runs) for contestant in contestants)
    return Outcome(tuple(runs), unbooked)


def _measure(
    scenario: Scenario, contestant: Contestant, seconds: float, cores: Cores | None
) -> Result:
    warm_s = scenario.warm_s(seconds)
    command = [
        *(sys.executable, "-m", "benchmarks.load", contestant.url),
        *(f"--conns={scenario.conns}", f"--warm={warm_s}", f"--seconds={seconds}"),
        *arguments(scenario.shape),
        *([f"--pid={contestant.pid}"] if contestant.pid else []),
    ]
    try:
        done = subprocess.run(
            on_core(cores.load if cores else None, command),
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


def _unbooked(contestant: Contestant, runs: list[Run]) -> int:
    """Compare a router's ledger with what it answered; it has stopped, so its books are closed."""
    if contestant.ledger is None:
        return 0
    answered = sum(run.result.answered for run in runs if run.contestant == contestant.name)
    query = "SELECT count(*) FROM requests WHERE outcome = 'completed'"
    try:
        with closing(sqlite3.connect(contestant.ledger)) as database:
            [booked] = database.execute(query).fetchone()
    except sqlite3.Error as exc:
        raise Failed(f"the ledger of {contestant.name} cannot be read: {exc}") from exc
    return abs(answered - int(booked))
