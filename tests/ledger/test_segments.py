import os
from pathlib import Path

import pytest

from llm_router import platform
from llm_router.ledger import segments
from llm_router.ledger.segments import Segment


def test_segments_are_listed_by_process_and_number_and_nothing_else_is(tmp_path: Path) -> None:
    names = ["b.000000.journal", "a.000010.journal", "a.000002.journal"]
    for name in [*names, "writer.lock", "a.000003.damaged", "a.1.journal", "A.000000.journal"]:
        (tmp_path / name).touch()
    assert [segment.name for segment in segments.listed(tmp_path)] == sorted(names)


def test_processes_have_different_names_that_sort_by_start() -> None:
    names = [segments.new_process() for _ in range(5)]
    assert len(set(names)) == 5
    assert [name[:13] for name in names] == sorted(name[:13] for name in names)


def test_a_new_segment_is_private_and_locked(tmp_path: Path) -> None:
    """T38: only the owner may read who asked what."""
    segment, fd = segments.create(tmp_path, "p", 0)
    path = tmp_path / segment.name
    assert path.stat().st_mode & 0o777 == 0o600
    with segments.held(tmp_path, [segment]) as fds:
        assert fds == {}
    os.close(fd)
    with segments.held(tmp_path, [segment, Segment("gone", 0)]) as fds:
        assert list(fds) == [segment]


def test_a_segment_taken_for_a_dead_process_s_is_left_to_its_taker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ingesting process may see the file before it is locked: locked there, or gone already."""
    stolen: list[int] = []
    real = platform.try_lock
    calls: list[int] = []

    def try_lock(fd: int) -> bool:
        calls.append(fd)
        path = tmp_path / f"p.{len(calls) - 1:06d}.journal"
        if len(calls) == 1:
            taker = os.open(path, os.O_RDWR)
            stolen.append(taker)
            assert real(taker)
        elif len(calls) == 2:
            path.unlink()
        return real(fd)

    monkeypatch.setattr(platform, "try_lock", try_lock)
    segment, fd = segments.create(tmp_path, "p", 0)
    os.close(fd)
    os.close(stolen[0])
    assert segment == Segment("p", 2)


def test_giving_up_on_a_lock_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "try_lock", lambda fd: False)
    with pytest.raises(OSError, match="locking"):
        segments.create(tmp_path, "p", 0)


def test_a_segment_set_aside_is_kept_and_not_listed(tmp_path: Path) -> None:
    segment, fd = segments.create(tmp_path, "p", 0)
    os.write(fd, b"rubbish")
    aside = segments.set_aside(tmp_path / segment.name, fd)
    assert aside.read_bytes() == b"rubbish"
    assert segments.listed(tmp_path) == []
