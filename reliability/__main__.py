"""Run one of the trials."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from reliability import __doc__ as about
from reliability import kills
from reliability.report import Report


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reliability",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trial", choices=["kills"])
    parser.add_argument("--count", type=int, default=1000, help="how often (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="what chance begins with (default: 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        report = asyncio.run(_run(args, Path(folder)))
    sys.stdout.write(f"{report}\n")
    return 1 if report.problems else 0


async def _run(args: argparse.Namespace, folder: Path) -> Report:
    return await kills.run(folder, count=args.count, seed=args.seed)


if __name__ == "__main__":
    sys.exit(main())
