"""Run one of the trials and print what it found."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

from reliability import __doc__ as about
from reliability import crew, kills, nth, powercut, restarts, soak
from reliability.report import Report


class Trial(Protocol):
    def __call__(self, folder: Path, *, count: int, seed: int) -> Awaitable[Report]:
        """Do it `count` times with what chance `seed` gives, in an empty folder."""


TRIALS: dict[str, tuple[Trial, int]] = {
    "kills": (kills.run, 1000),
    "crew": (crew.run, 300),
    "powercut": (powercut.run, 200),
    "restarts": (restarts.run, 20),
    "nth": (nth.run, 300),
    "soak": (soak.run, 30),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reliability",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trial", choices=TRIALS)
    often = ", ".join(f"{name} {count}" for name, (_, count) in TRIALS.items())
    parser.add_argument("--count", type=int, help=f"times, or minutes of soak (default: {often})")
    parser.add_argument("--seed", type=int, default=1, help="what chance begins with (default: 1)")
    args = parser.parse_args()
    trial, count = TRIALS[args.trial]
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        report = asyncio.run(_run(trial, Path(folder), args.count or count, args.seed))
    sys.stdout.write(f"{report}\n")
    return 1 if report.problems else 0


async def _run(trial: Trial, folder: Path, count: int, seed: int) -> Report:
    return await trial(folder, count=count, seed=seed)


if __name__ == "__main__":
    sys.exit(main())
