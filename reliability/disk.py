"""What a disk holds after the power has gone: only what it was asked to keep, and perhaps more.

Reads what shims/record.c wrote down. A file's content is sure from the moment that a sync of it
has ended, up to what had been written when that sync began; a name (its creation, removal, change)
is sure once the folder was synced. What lies in between the disk may have kept or not.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Literal

# `nothing`: only what is sure. `some`: a part of the rest. `all`: as if only the process had died.
Luck = Literal["nothing", "some", "all"]
_MAKING = 100  # steps, about

_HEAD = Struct("=cIQQQQQ")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to the file system; `at` is on the monotonic clock, in seconds."""

    what: bytes
    thread: int
    at: float
    inode: int
    number: int
    path: Path
    data: bytes


def read(record: Path) -> list[Step]:
    content, offset, steps = record.read_bytes(), 0, []
    while offset < len(content):
        what, thread, ns, inode, number, path_size, size = _HEAD.unpack_from(content, offset)
        path_at = offset + _HEAD.size
        data_at = path_at + path_size
        path = Path(content[path_at:data_at].decode())
        offset = data_at + size
        data = content[data_at:offset]
        steps.append(Step(what, thread, ns / 1e9, inode, number, path, data))
    return steps


@dataclass(slots=True)
class _File:
    """Writes and truncations in their order; the first `sure` of them are on the disk."""

    changes: list[Step] = field(default_factory=list)
    sure: int = 0


class _Naming:
    """A name that comes, goes or changes, which its folder's next sync makes sure."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.file = _File() if step.what == b"c" else None

    def apply(self, names: dict[Path, _File | None]) -> None:
        step = self._step
        if step.what in (b"c", b"d"):
            names[step.path] = self.file
        elif step.what == b"u":
            names.pop(step.path, None)
        elif step.path in names:
            names[Path(step.data.decode())] = names.pop(step.path)


class Disk:
    """The state at one moment, replayed."""

    def __init__(self, steps: list[Step], until: float) -> None:
        self._files: dict[int, _File] = {}  # by inode, which a later file may get again
        self._sure_names: dict[Path, _File | None] = {}  # a folder is None
        self._unsure: dict[Path, list[_Naming]] = defaultdict(list)  # by folder
        self._syncing: dict[tuple[int, int], int] = {}
        for step in steps:
            if step.at > until:
                break
            self._take(step)

    def write(self, folder: Path, root: Path, luck: Luck, chance: random.Random) -> None:
        """Write below `folder` what is left of `root` when the power comes back."""
        folder.mkdir(exist_ok=True)
        names = dict(self._sure_names)
        for pending in self._unsure.values():
            for naming in pending[: _kept(len(pending), luck, chance)]:
                naming.apply(names)
        for path, file in names.items():
            target = folder / path.relative_to(root)
            if file is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(file, luck, chance))
            target.chmod(0o600)

    def _take(self, step: Step) -> None:
        if step.what in (b"w", b"t"):
            self._files[step.inode].changes.append(step)
        elif step.what == b"b":
            done = len(self._unsure[step.path])
            if (file := self._files.get(step.inode)) is not None:
                done = len(file.changes)
            self._syncing[step.thread, step.inode] = done
        elif step.what == b"s":
            self._synced(step, self._syncing.pop((step.thread, step.inode)))
        else:
            naming = _Naming(step)
            if naming.file is not None:
                self._files[step.inode] = naming.file
            self._unsure[step.path.parent].append(naming)

    def _synced(self, step: Step, done: int) -> None:
        if (file := self._files.get(step.inode)) is not None:
            file.sure = max(file.sure, done)
            return
        pending = self._unsure[step.path]
        for naming in pending[:done]:
            naming.apply(self._sure_names)
        del pending[:done]


def _kept(count: int, luck: Luck, chance: random.Random) -> int:
    """Return how many unsure changes of names survive: file systems keep those in order."""
    return {"nothing": 0, "all": count}.get(luck, chance.randint(0, count))


def _content(file: _File, luck: Luck, chance: random.Random) -> bytes:
    """Return what a file holds. Unsure writes survive in any selection, cut at any sector."""
    content = bytearray()
    for number, change in enumerate(file.changes):
        data = change.data
        if number >= file.sure and luck != "all":
            if luck == "nothing" or chance.random() < 0.4:
                continue
            if change.what == b"w" and chance.random() < 0.3:
                data = data[: chance.randrange(0, len(data) + 1, _SECTOR)]
        if change.what == b"t":
            del content[change.number :]
            content.extend(bytes(change.number - len(content)))
        else:
            content.extend(bytes(max(0, change.number - len(content))))
            content[change.number : change.number + len(data)] = data
    return bytes(content)


def moments(steps: list[Step], count: int, chance: random.Random) -> Iterator[float]:
    """Yield random moments, by steps rather than by time: cuts fall where something happens.

    Every fourth is in the first few, while the database is made.
    """
    for number in range(count):
        step = chance.choice(steps if number % 4 else steps[:_MAKING])
        yield step.at + chance.choice((0.0, 0.0, 1e-5))
