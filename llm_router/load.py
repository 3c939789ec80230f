"""What a serving process has in hand, as numbers that add up over processes."""

from msgspec import Struct


class Load(Struct, frozen=True, array_like=True):
    in_flight: int = 0
    journal_backlog_bytes: int = 0
    journal_dropped: int = 0
    loop_blocks: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.in_flight + other.in_flight,
            self.journal_backlog_bytes + other.journal_backlog_bytes,
            self.journal_dropped + other.journal_dropped,
            self.loop_blocks + other.loop_blocks,
        )
