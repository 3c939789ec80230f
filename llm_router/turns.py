"""How many connections each of several workers has, so that they can take them in turns."""

import mmap
import os


class Turns:
    """How many connections the worker at each place has, in memory that all of them share.

    A number may be a moment old. The worst that comes of it is an uneven share.
    """

    def __init__(self, fd: int, place: int = 0) -> None:
        self.fd = fd
        self._place = place
        self._have = memoryview(mmap.mmap(fd, 0)).cast("i")  # one more than that; 0: nobody there

    @classmethod
    def among(cls, workers: int) -> "Turns":
        """Make the memory; its descriptor is for the workers to inherit."""
        fd = os.memfd_create("llm-router-turns")
        os.ftruncate(fd, workers * 4)
        return cls(fd)

    def has(self, connections: int) -> None:
        """Tell the others how many this worker has."""
        self._have[self._place] = connections + 1

    def has_taken_one(self) -> None:
        self._have[self._place] += 1

    def leaves(self, place: int) -> None:
        """Note that nobody is at that place any more."""
        self._have[place] = 0

    def is_ours(self) -> bool:
        """Return whether nobody has clearly fewer; an eighth less is as good as equal."""
        fewest = min((have for have in self._have if have), default=0)
        return self._have[self._place] <= fewest + fewest // 8
