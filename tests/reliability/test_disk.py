import random
from pathlib import Path

import pytest

from reliability.disk import Disk, Step

ROOT = Path("/root")
FOLDER, FILE = ROOT / "folder", ROOT / "folder" / "file"
DICE = random.Random(1)


def step(what: bytes, path: Path = FILE, data: bytes = b"", number: int = 0) -> Step:
    inode = {ROOT: 1, FOLDER: 2}.get(path, 3)
    return Step(what, 7, 0.0, inode, number, path, data)


def synced(path: Path) -> list[Step]:
    return [step(b"b", path), step(b"s", path)]


MADE = [step(b"d", FOLDER), *synced(ROOT), step(b"c"), step(b"w", data=b"sure ")]
SURE = [*MADE, *synced(FILE), *synced(FOLDER)]


@pytest.mark.parametrize(
    ("steps", "content"),
    [
        (SURE, b"sure "),
        ([*SURE, step(b"w", data=b"late", number=5)], b"sure "),
        ([*SURE, step(b"w", data=b"and more", number=5), *synced(FILE)], b"sure and more"),
        ([*SURE, step(b"t", number=2), *synced(FILE)], b"su"),
        ([*SURE, step(b"t", number=2)], b"sure "),
        ([*SURE, step(b"u")], b"sure "),
        ([*SURE, step(b"u"), *synced(FOLDER)], None),
        ([*MADE, *synced(FILE)], None),
        ([*MADE, *synced(FOLDER)], b""),
        ([*SURE, step(b"r", data=b"/root/folder/other")], b"sure "),
        ([*SURE, step(b"r", data=b"/root/folder/other"), *synced(FOLDER)], None),
        ([*SURE, step(b"b"), step(b"w", data=b"x", number=5), step(b"s")], b"sure "),
        ([*SURE, step(b"w", data=b"x", number=5), step(b"b")], b"sure "),
        ([*SURE, step(b"u"), step(b"c"), step(b"w", data=b"new")], b"sure "),
    ],
    ids=[
        "synced, file and name",
        "written after the sync",
        "synced again",
        "cut short and synced",
        "cut short and not synced",
        "removed, but the folder not synced",
        "removed for good",
        "a name that was never synced",
        "a name whose content was never synced",
        "renamed, but the folder not synced",
        "renamed for good",
        "written while a sync was under way",
        "a sync that never ended",
        "another file that got the same inode",
    ],
)
def test_what_was_synced_is_there_and_nothing_else(
    steps: list[Step], content: bytes | None, tmp_path: Path
) -> None:
    Disk(steps, 1.0).write(tmp_path, ROOT, "nothing", DICE)
    file = tmp_path / "folder" / "file"
    assert (file.read_bytes() if file.exists() else None) == content


def test_by_luck_everything_is_there(tmp_path: Path) -> None:
    steps = [
        step(b"d", FOLDER),
        step(b"c"),
        step(b"w", data=b"all"),
        step(b"w", number=1, data=b"x"),
    ]
    Disk(steps, 1.0).write(tmp_path, ROOT, "all", DICE)
    assert (tmp_path / "folder" / "file").read_bytes() == b"axl"


def test_some_luck_keeps_whole_sectors_of_what_was_sure_or_written(tmp_path: Path) -> None:
    written = [step(b"w", data=bytes([n]) * 1024, number=1024 * n) for n in range(1, 9)]
    for seed in range(50):
        Disk([*SURE, *written], 1.0).write(tmp_path, ROOT, "some", random.Random(seed))
        content = (tmp_path / "folder" / "file").read_bytes()
        assert content.startswith(b"sure ")
        for sector in range(2, len(content) // 512):
            assert set(content[512 * sector : 512 * (sector + 1)]) <= {0, sector // 2}
