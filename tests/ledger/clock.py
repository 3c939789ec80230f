"""A clock that tests move."""

from tests.ledger.entries import T0


class MovableClock:
    """Stands an hour after the entries of `tests.ledger.entries`; `now` moves both its hands."""

    def __init__(self) -> None:
        self.now = 3600.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return T0 + self.now
