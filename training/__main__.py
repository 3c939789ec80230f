"""`python -m training FILE...`: learn the weights that ship, and say how right they are."""

import argparse
import sys
from pathlib import Path

import msgspec

from llm_router.classify.weights import FILE, Learned
from training.examples import OWN, read
from training.fit import fit
from training.measure import left_out, report, temperature


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="labelled prompts, one JSON a line")
    parser.add_argument("--out", type=Path, default=FILE, help="where the weights go")
    given = parser.parse_args(arguments)
    examples, own = read(given.files), read([OWN])
    found = left_out(examples, own)
    by = temperature(found)
    for line in report(found, by):
        print(line)  # noqa: T201 - the table is what this command is for
    given.out.write_bytes(written(fit([*examples, *own], by)))
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
