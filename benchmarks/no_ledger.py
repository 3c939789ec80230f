"""The router as it is, but for one thing: nothing that it appends to its journal gets there.

    python -m benchmarks.no_ledger serve

There is no such setting, because the books are what the router promises. This shows what they
cost: entries are still made, then dropped. Without them the database has no rows to take in.
"""

import sys

from llm_router.cli import main
from llm_router.ledger.entry import Entry
from llm_router.ledger.journal import Journal


def _drop(self: Journal, *entries: Entry) -> None:
    """Stand in for `Journal.append`."""


if __name__ == "__main__":
    Journal.append = _drop  # type: ignore[method-assign]  # the one place where it is left out
    sys.exit(main())
