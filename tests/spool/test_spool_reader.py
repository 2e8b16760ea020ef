from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config.schema import Spool
from tollbook.spool import (
    Chunk,
    CorruptSegmentError,
    Position,
    SpoolError,
    SpoolReader,
    SpoolWriter,
    layout,
)
from tollbook.spool import frame as framing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.call import CallClosed

    Frames = Callable[..., CallClosed]
    Open = Callable[..., SpoolWriter]
    Numbers = Callable[..., list[int]]


def found(chunk: Chunk) -> list[int]:
    return [each.closed_at_ns for each, _, _ in chunk.frames]  # type: ignore[union-attr]


def dead_writer(
    root: Path, frame: Frames, count: int, size_bytes: int = 0, name: str = "w1"
) -> list[Path]:
    writer = SpoolWriter(root, name, Spool(segment_max_bytes=4096), version="1")
    for number in range(count):
        writer.append(frame(number, size_bytes))
        writer.flush()
    writer.close()
    return sorted((root / name).glob("*.seg"))


def offsets(root: Path, name: str = "w1") -> list[tuple[int, int]]:
    return [(segment, at) for _, segment, at in SpoolReader(root).read(Position(name)).frames]


def test_writers_and_what_is_known_of_them(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    assert SpoolReader(tmp_path / "not yet").writers() == []
    reader = SpoolReader(tmp_path)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "stray.txt").write_text("")
    (tmp_path / ".new-w0").mkdir()
    writer = open_writer("w2", segment_max_bytes=4096)
    dead_writer(tmp_path, frame, 100)
    one, two = reader.writers()
    assert (one.name, one.is_alive, one.version, one.first_segment) == ("w1", False, "1", 1)
    assert one.last_segment > 1
    assert (two.name, two.is_alive, two.version, two.last_segment) == ("w2", True, "1.2.3", 1)
    assert two.host
    assert two.started_at_ns
    writer.close()
    assert not reader.writers()[1].is_alive


def test_asking_whether_it_lives_does_not_disturb_a_writer(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer()
    readers = [SpoolReader(tmp_path) for _ in range(3)]
    for number in range(20):
        assert all(reader.writers()[0].is_alive for reader in readers)
        writer.append(frame(number))
        assert writer.flush()
    assert numbers(tmp_path) == list(range(20))


def test_a_root_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(SpoolError) as caught:
        SpoolReader(tmp_path / "spool").writers()
    assert caught.value.message.startswith(f"{tmp_path / 'spool'}: cannot be listed")
    assert "\n" not in caught.value.message
    with pytest.raises(SpoolError, match="cannot be listed"):
        SpoolReader(tmp_path).read(Position("nobody"))


def test_reading_in_any_steps_gives_the_same(
    tmp_path: Path, frame: Frames, numbers: Numbers
) -> None:
    dead_writer(tmp_path, frame, 300, 20)
    for max_bytes in (1, 9, 100, 4096, 5000, 1 << 20):
        assert numbers(tmp_path, max_bytes=max_bytes) == list(range(300))


def test_a_large_frame_is_read_whatever_the_budget(
    tmp_path: Path, frame: Frames, numbers: Numbers
) -> None:
    dead_writer(tmp_path, frame, 3, 900_000)
    assert numbers(tmp_path, max_bytes=10) == [0, 1, 2]


def test_a_live_writer_can_be_followed(tmp_path: Path, frame: Frames, open_writer: Open) -> None:
    writer = open_writer(segment_max_bytes=4096)
    reader, position, seen = SpoolReader(tmp_path), Position("w1"), []
    for number in range(150):
        writer.append(frame(number))
        writer.flush()
        chunk = reader.read(position)
        assert (chunk.at_end, chunk.is_finished, chunk.torn) == (True, False, None)
        seen += found(chunk)
        position = chunk.next
    writer.close()
    last = reader.read(position)
    assert seen == list(range(150))
    assert (last.frames, last.at_end, last.is_finished) == ([], True, True)


def test_liveness_is_judged_before_reading(
    tmp_path: Path, frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that writes its last frame and dies during a read is not finished by that read."""
    writer = open_writer()
    writer.append(frame(1))
    writer.flush()
    real = layout.segment_numbers

    def die_now(root: Path, name: str) -> list[int]:
        numbers = real(root, name)
        writer.append(frame(2))
        writer.close()
        return numbers

    with monkeypatch.context() as patch:
        patch.setattr(layout, "segment_numbers", die_now)
        chunk = SpoolReader(tmp_path).read(Position("w1"))
    assert found(chunk) == [1, 2]
    assert not chunk.is_finished
    assert SpoolReader(tmp_path).read(chunk.next).is_finished


def test_a_tail_torn_at_every_byte(tmp_path: Path, frame: Frames) -> None:
    path = dead_writer(tmp_path, frame, 3)[0]
    whole = path.read_bytes()
    starts = [at for _, at in offsets(tmp_path)]
    ends = [*starts[1:], len(whole)]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        reader = SpoolReader(tmp_path)
        chunk = reader.read(Position("w1"))
        kept = [number for number in range(3) if ends[number] <= cut]
        assert found(chunk) == kept
        assert chunk.is_finished
        at = ends[kept[-1]] if kept else (starts[0] if cut >= starts[0] else 0)
        assert chunk.next == Position("w1", 1, at)
        if cut == at:
            assert chunk.torn is None
            continue
        torn = chunk.torn
        assert torn is not None
        assert (torn.path, torn.offset, torn.size_bytes) == (path, at, cut - at)
        reader.cut_torn_tail(torn)
        reader.cut_torn_tail(torn)
        assert path.read_bytes() == whole[:at]
        again = reader.read(chunk.next)
        assert (again.frames, again.is_finished, again.torn) == ([], True, None)


def test_an_incomplete_frame_of_a_live_writer_is_not_yet_there(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer()
    for number in range(2):
        writer.append(frame(number))
    data = b"".join(writer._queue)
    writer._queue.clear()
    position, seen = Position("w1"), []
    for at in range(len(data)):
        writer._files.write(data[at : at + 1])
        chunk = SpoolReader(tmp_path).read(position)
        assert (chunk.at_end, chunk.is_finished, chunk.torn) == (True, False, None)
        seen += found(chunk)
        position = chunk.next
    assert seen == [0, 1]


def test_only_an_unchanged_tail_of_a_dead_writer_is_cut(
    tmp_path: Path, frame: Frames, open_writer: Open, die: Callable[[SpoolWriter], None]
) -> None:
    writer = open_writer()
    writer._files.write(b"\x40\x00\x00")
    path = tmp_path / "w1" / "00000001.seg"
    header = path.read_bytes()[:-3]
    die(writer)
    torn = SpoolReader(tmp_path).read(Position("w1")).torn
    assert torn is not None
    path.write_bytes(header + b"\x40\x00\x00\x00")
    with pytest.raises(SpoolError, match="changed since"):
        SpoolReader(tmp_path).cut_torn_tail(torn)
    alive = open_writer("w3")
    for_alive = msgspec.structs.replace(torn, writer="w3", path=tmp_path / "w3" / "00000001.seg")
    with pytest.raises(SpoolError, match="is alive"):
        SpoolReader(tmp_path).cut_torn_tail(for_alive)
    gone = msgspec.structs.replace(torn, path=path.with_name("00000009.seg"))
    with pytest.raises(SpoolError, match="cannot be cut"):
        SpoolReader(tmp_path).cut_torn_tail(gone)
    assert alive.health.ok


@given(bit=st.integers(0, 8 * 400 - 1))
@settings(max_examples=30, deadline=None)
def test_flipped_bits_sampled_in_a_sealed_segment(
    tmp_path_factory: pytest.TempPathFactory, frame: Frames, bit: int
) -> None:
    root = tmp_path_factory.mktemp("flip")
    paths = dead_writer(root, frame, 100)
    offsets_end = offsets(root)[1][1]  # of the header and the first frame
    _flip(paths[0], bit)
    position = Position("w1")
    if bit // 8 >= offsets_end:
        chunk = SpoolReader(root).read(position)
        assert found(chunk) == list(range(len(chunk.frames)))  # only what precedes the damage
        position = chunk.next
    with pytest.raises(CorruptSegmentError) as caught:
        SpoolReader(root).read(position)
    assert caught.value.path == paths[0]
    assert caught.value.offset <= bit // 8


def _flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_is_noticed_and_no_wrong_frame_comes_out(
    tmp_path: Path, frame: Frames
) -> None:
    path = dead_writer(tmp_path, frame, 4)[0]
    whole = path.read_bytes()
    last_at = offsets(tmp_path)[-1][1]
    for bit in range(8 * len(whole)):
        _flip(path, bit)
        reader, position, seen, torn = SpoolReader(tmp_path), Position("w1"), [], None
        try:
            while True:
                chunk = reader.read(position)
                seen += [each for each, _, _ in chunk.frames]
                position, torn = chunk.next, chunk.torn
                if chunk.at_end:
                    break
        except CorruptSegmentError as error:
            assert error.offset <= bit // 8  # noqa: PT017 -- either way out is right
            assert bit // 8 < last_at
        else:
            assert torn is not None
            assert torn.offset == last_at  # nothing whole follows: a torn tail
        assert seen == [frame(number) for number in range(len(seen))]
        assert len(seen) < 4
        path.write_bytes(whole)


def test_damage_names_file_offset_and_what_to_do(tmp_path: Path, frame: Frames) -> None:
    path = dead_writer(tmp_path, frame, 3)[0]
    at = offsets(tmp_path)[1][1]
    _flip(path, 8 * (at + 12))
    chunk = SpoolReader(tmp_path).read(Position("w1"))
    assert found(chunk) == [0]
    assert (chunk.at_end, chunk.next.offset) == (False, at)
    with pytest.raises(CorruptSegmentError) as caught:
        SpoolReader(tmp_path).read(chunk.next)
    assert caught.value.message == (
        f"{path}: corrupt at byte {at}: the checksum does not match; restore the file, or go on"
        " without the damaged part: tollbook doctor --skip-corrupt"
    )
    assert caught.value.exit_code == 2


def test_damage_is_told_while_the_writer_lives(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer()
    writer.append(frame(1))
    writer.flush()
    at = offsets(tmp_path)[0][1]
    path = tmp_path / "w1" / "00000001.seg"
    with path.open("r+b") as file:
        file.seek(at + 10)
        file.write(b"\xff\xff")
    assert SpoolReader(tmp_path).read(Position("w1")).at_end  # may still be being written
    writer.append(frame(2))
    writer.flush()
    with pytest.raises(CorruptSegmentError):
        SpoolReader(tmp_path).read(Position("w1"))


def test_a_frame_of_a_later_version_is_never_cut(tmp_path: Path, frame: Frames) -> None:
    path = dead_writer(tmp_path, frame, 1)[0]
    unknown = framing.seal(msgspec.msgpack.encode([99]), framing.seed_of("w1"))
    path.write_bytes(path.read_bytes() + unknown)
    chunk = SpoolReader(tmp_path).read(Position("w1"))
    assert (found(chunk), chunk.torn, chunk.at_end) == ([0], None, False)
    with pytest.raises(CorruptSegmentError, match="upgrade tollbook"):
        SpoolReader(tmp_path).read(chunk.next)


def test_a_short_sealed_segment_is_damage(tmp_path: Path, frame: Frames) -> None:
    path = dead_writer(tmp_path, frame, 100)[0]
    path.write_bytes(path.read_bytes()[:-1])
    chunk = SpoolReader(tmp_path).read(Position("w1"))
    with pytest.raises(CorruptSegmentError, match="incomplete"):
        SpoolReader(tmp_path).read(chunk.next)


@pytest.mark.parametrize("missing", ["first", "middle"])
def test_a_missing_segment_is_damage(tmp_path: Path, frame: Frames, missing: str) -> None:
    paths = dead_writer(tmp_path, frame, 200)
    (paths[0] if missing == "first" else paths[1]).unlink()
    reader = SpoolReader(tmp_path)
    position = Position("w1")
    if missing == "middle":
        chunk = reader.read(position)
        assert not chunk.at_end
        position = chunk.next
    with pytest.raises(CorruptSegmentError, match="the segment is missing") as caught:
        reader.read(position)
    assert caught.value.path == (paths[0] if missing == "first" else paths[1])
    after, skipped = reader.resync(position if position.segment else Position("w1", 1, 0))
    assert skipped == 0
    assert reader.read(after).frames


def test_what_a_power_cut_took_back_after_it_was_read(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    path = dead_writer(tmp_path, frame, 3)[0]
    end = SpoolReader(tmp_path).read(Position("w1")).next
    path.write_bytes(path.read_bytes()[:-5])
    again = SpoolReader(tmp_path).read(end)
    assert (again.frames, again.is_finished, again.torn) == ([], True, None)
    open_writer("w2")
    with pytest.raises(CorruptSegmentError, match="the file ends before it"):
        SpoolReader(tmp_path).read(Position("w2", 1, 10_000))


def test_resync_finds_every_frame_that_is_whole(tmp_path: Path, frame: Frames) -> None:
    paths = dead_writer(tmp_path, frame, 150)
    places = offsets(tmp_path)
    for victim in (0, 10, 11, 60):
        segment, at = places[victim]
        _flip(paths[segment - 1], 8 * (at + 20))
    _flip(paths[-1], 8 * 9)  # a header
    reader, position, seen, skipped = SpoolReader(tmp_path), Position("w1"), [], 0
    while True:
        try:
            chunk = reader.read(position)
        except CorruptSegmentError as error:
            damaged = Position("w1", int(error.path.stem), error.offset)
            position, more = reader.resync(damaged)
            skipped += more
            continue
        seen += found(chunk)
        position = chunk.next
        if chunk.at_end:
            break
    assert seen == [number for number in range(150) if number not in {0, 10, 11, 60}]
    assert skipped > 0


def test_resync_with_nothing_after_goes_to_the_end(tmp_path: Path, frame: Frames) -> None:
    paths = dead_writer(tmp_path, frame, 100)
    size = paths[-1].stat().st_size
    last = len(paths)
    reader = SpoolReader(tmp_path)
    last_at = offsets(tmp_path)[-1][1]
    assert reader.resync(Position("w1", last, last_at)) == (
        Position("w1", last, size),
        size - last_at,
    )
    first_size = paths[0].stat().st_size
    at = [offset for segment, offset in offsets(tmp_path) if segment == 1][-1]
    assert reader.resync(Position("w1", 1, at)) == (Position("w1", 2, 0), first_size - at)
    assert reader.resync(Position("w1", 99, 0)) == (Position("w1", last, size), 0)
    for path in paths:
        path.unlink()
    with pytest.raises(SpoolError, match="holds no segments"):
        reader.resync(Position("w1", 1, 0))


def test_two_readers_do_not_know_of_each_other(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    seen: tuple[list[int], list[int]] = ([], [])
    readers = (SpoolReader(tmp_path), SpoolReader(tmp_path))
    at = [Position("w1"), Position("w1")]
    for number in range(200):
        writer.append(frame(number))
        writer.flush()
        for which in (0, 1) if number % 5 == 0 else (0,):
            chunk = readers[which].read(at[which], 500)
            seen[which].extend(found(chunk))
            at[which] = chunk.next
    for which in (0, 1):
        while not (chunk := readers[which].read(at[which])).at_end or chunk.frames:
            seen[which].extend(found(chunk))
            at[which] = chunk.next
    assert seen == (list(range(200)), list(range(200)))


def test_a_writer_without_segments(tmp_path: Path) -> None:
    (tmp_path / "w1").mkdir()
    reader = SpoolReader(tmp_path)
    (state,) = reader.writers()
    assert (state.is_alive, state.host, state.last_segment) == (False, None, 0)
    chunk = reader.read(Position("w1"))
    assert (chunk.frames, chunk.is_finished, chunk.next) == ([], True, Position("w1"))
