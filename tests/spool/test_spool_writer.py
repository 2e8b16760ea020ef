from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tollbook import clock
from tollbook.call import CallClosed, FramesLost, Status
from tollbook.config.schema import Spool
from tollbook.spool import (
    ForeignProcessError,
    Position,
    SpoolError,
    SpoolReader,
    SpoolWriter,
    new_writer_name,
)
from tollbook.spool.layout import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Frames = Callable[..., CallClosed]
    Open = Callable[..., SpoolWriter]
    Numbers = Callable[..., list[int]]


class Disk:
    """Stands between a writer and its file: takes ``room`` bytes, then refuses."""

    def __init__(self, writer: SpoolWriter, code: int = errno.ENOSPC) -> None:
        self.room: int | None = None
        self.calls = 0
        self._code = code
        self._write = writer._files.write
        self._writer = writer
        writer._files.write = self.write  # type: ignore[method-assign]

    def write(self, data: bytes) -> int:
        self.calls += 1
        if self.room is None:
            return self._write(data)
        if self.room == 0:
            raise OSError(self._code, os.strerror(self._code))
        written = self._write(data[: self.room])
        self.room -= written
        return written

    def retry_now(self) -> bool:
        self._writer._retry_at_ns = 0
        return self._writer.flush()


def test_what_was_flushed_is_read_back(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer()
    for number in range(10):
        writer.append(frame(number))
    assert numbers(tmp_path) == []
    assert writer.flush()
    assert numbers(tmp_path) == list(range(10))
    assert writer.health.ok
    size = (tmp_path / "w1" / "00000001.seg").stat().st_size
    assert writer.health.bytes_written == size


def test_one_flush_is_one_write(frame: Frames, open_writer: Open) -> None:
    writer = open_writer()
    disk = Disk(writer)
    for number in range(100):
        writer.append(frame(number))
    assert writer.flush()
    assert writer.flush()
    assert disk.calls == 1


def test_only_the_owner_may_read(tmp_path: Path, open_writer: Open) -> None:
    open_writer()
    assert (tmp_path / "w1").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "w1" / "00000001.seg").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "w1" / "writer.lock").stat().st_mode & 0o777 == 0o600


def test_rotation_keeps_order_and_whole_frames(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    for number in range(200):
        writer.append(frame(number, number % 7 * 50))
        if number % 9 == 0:
            assert writer.flush()
    writer.close()
    sizes = [path.stat().st_size for path in sorted((tmp_path / "w1").glob("*.seg"))]
    assert len(sizes) > 5
    assert max(sizes) <= 4096
    assert numbers(tmp_path, max_bytes=1000) == list(range(200))


def test_a_frame_larger_than_a_segment_gets_one_of_its_own(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    for number in range(6):
        writer.append(frame(number, 10_000 if number % 2 else 10))
        writer.flush()
    writer.flush()
    assert numbers(tmp_path) == list(range(6))
    assert SpoolReader(tmp_path).writers()[0].last_segment == 6


def test_full_segments_are_synced_and_closed(
    frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    writer = open_writer(segment_max_bytes=4096)
    for number in range(3):
        writer.append(frame(number, 4000))
        writer.flush()
    waiting = list(writer._files._full)
    assert len(waiting) == 2
    assert writer.sync()
    assert synced[:2] == waiting
    assert not writer._files._full
    for number in range(30):
        writer.append(frame(number, 4000))
        writer.flush()
    assert len(writer._files._full) <= 5  # without anybody calling sync


def test_a_broken_off_write_goes_on_exactly_where_it_stopped(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    for room in (1, 7, 8, 9, 60, 61, 200):
        writer = open_writer(f"w-{room}")
        disk = Disk(writer)
        for number in range(5):
            writer.append(frame(number))
        disk.room = room
        assert not writer.flush()
        assert not writer.health.ok
        assert writer.health.error == "No space left on device"
        assert writer.health.ring_bytes > 0
        disk.room = None
        assert disk.retry_now()
        assert writer.health == type(writer.health)(True, None, 0, 0, writer.health.bytes_written)
        assert numbers(tmp_path, f"w-{room}") == list(range(5))


def test_retries_back_off(
    frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 10**12
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns)
    writer = open_writer()
    disk = Disk(writer, errno.EIO)
    disk.room = 0
    tries = []
    for number in range(20_000):
        writer.append(frame(number))
        writer.flush()
        tries.append(disk.calls)
        now_ns += 1_000_000
    assert tries[0] == 1
    assert 10 <= tries[-1] <= 20  # 50 ms, doubling to 2 s, over 20 s
    disk.room = None
    now_ns += 2 * 10**9
    assert writer.flush()


def test_trouble_is_logged_once_per_change(
    frame: Frames, open_writer: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tollbook.spool")
    writer = open_writer()
    disk = Disk(writer, errno.EDQUOT)
    for _ in range(2):
        disk.room = 0
        for number in range(50):
            writer.append(frame(number))
            disk.retry_now()
        disk.room = None
        assert disk.retry_now()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"] * 2
    assert "exceeded" in caplog.records[0].message


def test_overflow_drops_the_oldest_and_says_how_many(
    tmp_path: Path, frame: Frames, open_writer: Open, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer(memory_ring_bytes=65_536)
    disk = Disk(writer)
    writer.append(frame(0, 1000))
    writer.flush()
    disk.room = 500  # in the middle of frame 1
    for number in range(1, 201):
        writer.append(frame(number, 1000))
        disk.retry_now()
    assert writer.health.ring_bytes <= 65_536 + 1100
    lost = writer.health.frames_lost
    assert lost > 100
    disk.room = None
    assert disk.retry_now()
    found = SpoolReader(tmp_path).read(Position("w1")).frames
    assert found[1][0] == frame(1, 1000)  # was partly on file, so it was completed
    notice = found[2][0]
    assert isinstance(notice, FramesLost)
    assert notice.frames == lost
    assert 0 < notice.first_lost_at_ns <= notice.at_ns
    kept = [each.closed_at_ns for each, _, _ in found[3:] if isinstance(each, CallClosed)]
    assert kept == list(range(2 + lost, 201))
    assert writer.health.frames_lost == lost
    assert sum("oldest are being lost" in record.message for record in caplog.records) == 1


def test_a_loss_notice_that_breaks_off_is_completed_and_a_new_loss_gets_its_own(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer(memory_ring_bytes=65_536)
    disk = Disk(writer)
    disk.room = 0
    sent = 0
    for room in (0, 5, 5, 0):
        disk.room = room
        for _ in range(100):
            writer.append(frame(sent, 1000))
            sent += 1
        disk.retry_now()
    disk.room = None
    assert disk.retry_now()
    found = [each for each, _, _ in SpoolReader(tmp_path).read(Position("w1")).frames]
    told = sum(each.frames for each in found if isinstance(each, FramesLost))
    kept = [each.closed_at_ns for each in found if isinstance(each, CallClosed)]
    assert told == writer.health.frames_lost
    assert told + len(kept) == sent
    assert kept == sorted(kept)


def test_a_new_segment_that_cannot_be_created_is_retried(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    writer = open_writer(segment_max_bytes=4096)
    writer.append(frame(0, 4000))
    assert writer.flush()
    with monkeypatch.context() as patch:
        patch.setattr(writer._files, "rotate", _refuse)
        writer.append(frame(1, 4000))
        assert not writer.flush()
    writer._retry_at_ns = 0
    assert writer.flush()
    assert numbers(tmp_path) == [0, 1]


def _refuse() -> object:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize("bad", ["too large", "not encodable"])
def test_a_frame_that_cannot_be_written_is_counted_not_raised(
    bad: str, tmp_path: Path, frame: Frames, open_writer: Open, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer()
    writer.append(frame(1))
    if bad == "too large":
        writer.append(frame(2, 2 * 1024 * 1024))
    else:
        writer.append(CallClosed(b"", 2, Status.OK, model_actual="secret\ud800"))
    writer.append(frame(3))
    assert writer.flush()
    found = [each for each, _, _ in SpoolReader(tmp_path).read(Position("w1")).frames]
    assert [each.frames for each in found if isinstance(each, FramesLost)] == [1]
    assert [each.closed_at_ns for each in found if isinstance(each, CallClosed)] == [1, 3]
    assert writer.health.frames_lost == 1
    assert "secret" not in caplog.text
    assert "1 frames lost" in caplog.text


def test_close_writes_what_is_left_and_gives_up_the_lock(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer()
    writer.append(frame(5))
    assert is_alive(tmp_path, "w1")
    writer.close()
    writer.close()
    assert not is_alive(tmp_path, "w1")
    assert numbers(tmp_path) == [5]
    writer.append(frame(6))
    assert not writer.flush()
    assert writer.health.frames_lost == 1
    assert writer.sync()
    assert numbers(tmp_path) == [5]


def test_close_with_a_full_disk_says_what_is_lost(
    frame: Frames, open_writer: Open, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer()
    Disk(writer).room = 0
    for number in range(3):
        writer.append(frame(number))
    writer.close()
    assert writer.health.frames_lost == 3
    assert "3 frames lost" in caplog.text


def test_a_name_is_used_once(tmp_path: Path, open_writer: Open) -> None:
    open_writer().close()
    with pytest.raises(SpoolError, match="used once"):
        open_writer()
    for name in ("../w", "", ".hidden", "a/b", "x" * 300):
        with pytest.raises(SpoolError, match="not a writer name"):
            SpoolWriter(tmp_path, name, Spool(), version="1")


def test_a_directory_that_cannot_be_created_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError) as caught:
        SpoolWriter(tmp_path / "file" / "spool", "w1", Spool(), version="1")
    assert "\n" not in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert caught.value.exit_code == 2


def test_a_writer_is_visible_only_with_its_lock_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_writer: Open
) -> None:
    seen: list[list[str]] = []
    real = os.open

    def spy(path: Path, flags: int, mode: int = 0o777) -> int:
        seen.append([state.name for state in SpoolReader(tmp_path).writers()])
        return real(path, flags, mode)

    from tollbook.spool import files  # noqa: PLC0415 -- patched here only

    class Os:
        open = staticmethod(spy)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(files, "os", Os())
    open_writer()
    assert seen[0] == []  # the lock file is made before the directory has its name


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork beside threads
def test_a_forked_child_is_refused_and_does_not_keep_the_writer_alive(
    tmp_path: Path, frame: Frames, open_writer: Open
) -> None:
    writer = open_writer()
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (lambda: writer.append(frame(1)), writer.flush, writer.sync):
            try:
                use()
            except ForeignProcessError:
                refused += 1
        writer.close()  # harmless
        os.write(done, bytes([refused]))
        signal.pause()
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"\x03"
        assert is_alive(tmp_path, "w1")  # the child has not let go of the parent's lock
        writer.append(frame(2))
        assert writer.flush()
        writer.close()
        assert not is_alive(tmp_path, "w1")  # the child does not hold it either
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(done)


def test_sync_in_another_thread_while_segments_rotate(
    tmp_path: Path, frame: Frames, open_writer: Open, numbers: Numbers
) -> None:
    writer = open_writer(segment_max_bytes=4096)
    stop = threading.Event()
    results: list[bool] = []

    def sync_always() -> None:
        while not stop.is_set():
            results.append(writer.sync())

    thread = threading.Thread(target=sync_always)
    thread.start()
    for number in range(2000):
        writer.append(frame(number, 100))
        assert writer.flush()
    writer.close()
    stop.set()
    thread.join()
    assert results
    assert all(results)
    assert numbers(tmp_path) == list(range(2000))


def test_closing_waits_for_a_sync_that_is_under_way(
    open_writer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor closed under a sync could by then be another file's."""
    writer = open_writer()
    is_syncing, may_end = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        is_syncing.set()
        assert may_end.wait(30)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    results: list[bool] = []
    syncing = threading.Thread(target=lambda: results.append(writer.sync()))
    closing = threading.Thread(target=writer.close)
    syncing.start()
    assert is_syncing.wait(30)
    monkeypatch.setattr(os, "fdatasync", real)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    assert writer._files._descriptor >= 0
    may_end.set()
    syncing.join()
    closing.join()
    assert results == [True]


def test_a_failing_sync_shows_in_health_until_it_works(
    frame: Frames, open_writer: Open, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    writer = open_writer()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _: _refuse_io())
        assert [writer.sync(), writer.sync()] == [False, False]
        assert writer.health.error == os.strerror(errno.EIO)
        writer.append(frame(1))
        assert writer.flush()  # on file, if not on disk
        assert not writer.health.ok
    assert [writer.sync(), writer.health.error] == [True, None]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def _refuse_io() -> object:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_names_are_clean_sortable_and_unique(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "GW_Eü 1/../x")
    names = [new_writer_name(7) for _ in range(100)]
    assert len(set(names)) == 100
    assert names == sorted(names)
    assert all(name.startswith("gw-e-1-..-x-w007-20") for name in names)
    assert all("/" not in name and str(os.getpid()) in name for name in names)
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert new_writer_name(0).startswith("host-w000-")
