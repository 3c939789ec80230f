"""A clock that stands still until a test moves it."""


class Clock:
    def __init__(self, now: float = 5000.0, unix: float = 1_770_000_000.0) -> None:
        self.now = now
        self.unix = unix

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.unix

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.unix += seconds
