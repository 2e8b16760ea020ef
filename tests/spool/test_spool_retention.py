from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tollbook import clock
from tollbook.spool import Position, Pruned, SpoolError, SpoolReader, layout, prune
from tollbook.spool.errors import CorruptSegmentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.call import CallClosed
    from tollbook.spool import SpoolWriter

    Frames = Callable[..., CallClosed]
    Open = Callable[..., SpoolWriter]
    Numbers = Callable[..., list[int]]

FUTURE_NS = 1 << 62


def fill(writer: SpoolWriter, frame: Frames, count: int = 200) -> list[Path]:
    for number in range(count):
        writer.append(frame(number))
        writer.flush()
    return sorted((writer._files._root / writer.name).glob("*.seg"))


def test_only_consumed_segments_go(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    paths = fill(writer, frame)
    sizes = [path.stat().st_size for path in paths]
    before = SpoolReader(tmp_path).read(Position("w1"), sizes[0] + sizes[1] + 500)
    assert before.next.segment == 3
    pruned = prune(tmp_path, {"w1": before.next}, FUTURE_NS, finished={"w1"})
    assert pruned == Pruned(2, 0, sizes[0] + sizes[1])
    assert sorted((tmp_path / "w1").glob("*.seg")) == paths[2:]
    after = SpoolReader(tmp_path).read(before.next)
    assert len(before.frames) + len(after.frames) == 200
    # Somebody who begins anew gets what is kept, and is told if more than that is gone.
    assert numbers(tmp_path)[0] < len(before.frames)
    assert SpoolReader(tmp_path).writers()[0].first_segment == 3
    paths[2].unlink()
    with pytest.raises(CorruptSegmentError):
        SpoolReader(tmp_path).read(Position("w1"))


def test_nothing_goes_that_is_unread_or_young_or_unknown(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    paths = fill(writer, frame)
    end = SpoolReader(tmp_path).read(Position("w1")).next
    writer.close()
    assert prune(tmp_path, {}, FUTURE_NS, finished={"w1"}) == Pruned()
    assert prune(tmp_path, {"w1": Position("w1")}, FUTURE_NS, finished={"w1"}) == Pruned()
    assert prune(tmp_path, {"w1": Position("w1", 1, 500)}, FUTURE_NS, finished={"w1"}) == Pruned()
    assert prune(tmp_path, {"w1": end}, 1, finished={"w1"}) == Pruned()
    assert sorted((tmp_path / "w1").glob("*.seg")) == paths


def test_a_young_segment_keeps_what_follows_it(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    paths = fill(writer, frame)
    end = SpoolReader(tmp_path).read(Position("w1")).next
    writer.close()
    now_ns = clock.unix_ns()
    for path in (paths[0], *paths[2:]):
        os.utime(path, ns=(1, 1))
    assert prune(tmp_path, {"w1": end}, now_ns - 3600 * 10**9, finished={"w1"}).segments == 1
    assert sorted((tmp_path / "w1").glob("*.seg")) == paths[1:]


def test_a_live_writer_keeps_its_last_segment_and_its_directory(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    fill(writer, frame)
    end = SpoolReader(tmp_path).read(Position("w1")).next
    assert prune(tmp_path, {"w1": end}, FUTURE_NS, finished={"w1"}).writers == 0
    writer.append(frame(200))
    assert writer.flush()
    chunk = SpoolReader(tmp_path).read(end)
    assert [each.closed_at_ns for each, _, _ in chunk.frames] == [200]  # type: ignore[union-attr]


def test_a_dead_writer_goes_when_read_to_its_very_end(
    tmp_path: Path, frame: Frames, open_writer: Open, die: Callable[[SpoolWriter], None]
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    paths = fill(writer, frame)
    writer._files.write(b"torn")
    die(writer)
    reader = SpoolReader(tmp_path)
    chunk = reader.read(Position("w1"))
    assert (
        prune(tmp_path, {"w1": chunk.next}, FUTURE_NS, finished={"w1"}).writers == 0
    )  # the tail is not cut yet
    assert chunk.torn is not None
    reader.cut_torn_tail(chunk.torn)
    assert prune(tmp_path, {"w1": chunk.next}, FUTURE_NS).writers == 0
    pruned = prune(tmp_path, {"w1": chunk.next}, FUTURE_NS, finished={"w1"})
    assert (pruned.segments, pruned.writers) == (1, 1)  # the others went the first time
    assert len(paths) > 2
    assert list(tmp_path.iterdir()) == []
    assert reader.writers() == []


def test_frames_written_and_a_death_during_pruning_are_kept(
    tmp_path: Path, frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer()
    fill(writer, frame, 3)
    end = SpoolReader(tmp_path).read(Position("w1")).next
    real = layout.is_alive

    def write_and_die(root: Path, name: str) -> bool:
        answer = real(root, name)
        writer.append(frame(3))
        writer.close()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(layout, "is_alive", write_and_die)
        assert prune(tmp_path, {"w1": end}, FUTURE_NS, finished={"w1"}) == Pruned()
    assert len(SpoolReader(tmp_path).read(end).frames) == 1


def test_leftovers_of_dead_processes_go_after_an_hour(tmp_path: Path) -> None:
    old, young = tmp_path / ".new-w1", tmp_path / ".new-w2"
    for path in (old, young):
        path.mkdir()
        (path / "writer.lock").touch()
    os.utime(old, ns=(1, 1))
    prune(tmp_path, {}, FUTURE_NS, finished={"w1"})
    assert not old.exists()
    assert young.exists()


def test_what_cannot_be_deleted_is_one_line(
    tmp_path: Path, frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    fill(writer, frame)
    end = SpoolReader(tmp_path).read(Position("w1")).next

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(SpoolError, match="cannot be pruned: Permission denied"):
        prune(tmp_path, {"w1": end}, FUTURE_NS, finished={"w1"})
