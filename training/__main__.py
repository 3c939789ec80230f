"""`python -m training FILE...`: learn the weights that ship, and say how right they are."""

import argparse
import sys
from pathlib import Path

import msgspec

from llm_router.classify.weights import FILE, Learned
from training.examples import own, read
from training.fit import fit
from training.measure import left_out, report, temperature
from training.modes import by_mode


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="labelled prompts, one JSON a line")
    parser.add_argument("--out", type=Path, default=FILE, help="where the weights go")
    given = parser.parse_args(arguments)
    examples = [*read(given.files), *own()]
    learned = fit(examples)
    found = left_out(examples, learned)
    by = temperature(found)
    for name, part in (
        ("Sources, each judged without it", [j for j in found if not j.example.is_own]),
        ("Our own prompts, each file judged without it", [j for j in found if j.example.is_own]),
    ):
        lines = (name, *report(part, by), "", "By mode", *by_mode(part, by), "")
        sys.stdout.write("\n".join(lines) + "\n")
    given.out.write_bytes(written(msgspec.structs.replace(learned, temperature=by)))
    return 0


def written(learned: Learned) -> bytes:
    """Return the weights as JSON with one entry a line, so that a change can be read."""
    text = msgspec.json.format(msgspec.json.encode(learned), indent=1).decode()
    # Each triple on one line.
    lines, triple = [], ""
    for line in text.splitlines():
        if line.endswith("[") or triple:
            triple += line.strip() if triple else line
            if not line.strip().startswith("]"):
                continue
            line, triple = triple, ""
        lines.append(line)
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
