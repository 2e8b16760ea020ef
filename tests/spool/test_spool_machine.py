"""Whatever happens between a writer, its death and a reader: each frame once, in order."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tollbook.call import CallClosed, Status
from tollbook.config.schema import Spool
from tollbook.spool import Position, SpoolReader, SpoolWriter, prune

SETTINGS = Spool(segment_max_bytes=4096, memory_ring_bytes=1 << 30)


class Killed(BaseException):
    """The process dies within a write."""


class SpoolMachine(RuleBasedStateMachine):
    """Writers that live one after the other, on a disk that may refuse; one ledger that reads."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="tollbook-spool-"))
        self.reader = SpoolReader(self.root)
        self.sent: dict[str, list[int]] = {}
        self.safe: dict[str, int] = {}  # how many of them flush() has confirmed
        self.got: dict[str, list[int]] = {}
        self.positions: dict[str, Position] = {}
        self.finished: set[str] = set()
        self.count = 0
        self.start_writer()

    def start_writer(self) -> None:
        name = f"w{len(self.sent):04d}"
        self.writer = SpoolWriter(self.root, name, SETTINGS, version="1")
        self.sent[name], self.safe[name], self.got[name] = [], 0, []
        self.positions[name] = Position(name)
        self.room: int | None = None
        self.dies = False
        self.real_write = self.writer._files.write
        self.writer._files.write = self.limited_write  # type: ignore[method-assign]

    def limited_write(self, data: bytes) -> int:
        if self.room is None:
            return self.real_write(data)
        written = self.real_write(data[: self.room]) if self.room else 0
        self.room -= written
        if self.dies and written < len(data):
            raise Killed
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    def flush(self) -> None:
        self.writer._retry_at_ns = 0
        if self.writer.flush():
            self.safe[self.writer.name] = len(self.sent[self.writer.name])

    def bury(self) -> None:
        self.writer._files._close_all()
        self.writer._is_closed, self.writer._is_plain = True, False
        self.start_writer()

    @rule(sizes=st.lists(st.integers(0, 300) | st.integers(3000, 9000), min_size=1, max_size=12))
    def append(self, sizes: list[int]) -> None:
        for size in sizes:
            self.count += 1
            self.sent[self.writer.name].append(self.count)
            self.writer.append(CallClosed(bytes(16), self.count, Status.OK, usage=(b"u" * size,)))

    @rule()
    def flush_now(self) -> None:
        self.flush()

    @rule(room=st.integers(0, 12_000))
    def disk_refuses_after(self, room: int) -> None:
        self.room = room
        self.flush()

    @rule()
    def disk_is_back(self) -> None:
        self.room = None
        self.flush()
        assert self.writer.health.ok

    @rule(at_byte=st.integers(0, 12_000))
    def die_within_a_write(self, at_byte: int) -> None:
        self.room, self.dies = at_byte, True
        with contextlib.suppress(Killed):
            self.flush()
        self.bury()

    @rule()
    def stop_cleanly(self) -> None:
        self.room = None
        self.writer.close()
        self.safe[self.writer.name] = len(self.sent[self.writer.name])
        self.start_writer()

    @rule(max_bytes=st.integers(1, 20_000), is_committed=st.booleans(), which=st.integers(0))
    def read(self, max_bytes: int, is_committed: bool, which: int) -> None:  # noqa: FBT001 -- drawn
        name = sorted(self.sent)[which % len(self.sent)]
        if name not in self.finished:
            self.read_one(name, max_bytes, is_committed=is_committed)

    def read_one(self, name: str, max_bytes: int, *, is_committed: bool) -> bool:
        chunk = self.reader.read(self.positions[name], max_bytes)
        assert all(isinstance(frame, CallClosed) for frame, _, _ in chunk.frames)
        assert chunk.frames or chunk.at_end or chunk.next != self.positions[name]
        if not is_committed:
            return False  # the ledger died before its transaction
        self.got[name] += [frame.closed_at_ns for frame, _, _ in chunk.frames]  # type: ignore[union-attr]
        self.positions[name] = chunk.next
        if chunk.torn is not None:
            self.reader.cut_torn_tail(chunk.torn)
        if chunk.is_finished:
            self.finished.add(name)
        return chunk.at_end

    @rule()
    def ledger_restarts(self) -> None:
        self.reader = SpoolReader(self.root)

    @rule()
    def retention(self) -> None:
        before = {name for name in self.sent if (self.root / name).exists()}
        prune(self.root, self.positions, 1 << 62, finished=self.finished)
        gone = {name for name in before if not (self.root / name).exists()}
        assert gone <= self.finished

    @invariant()
    def what_was_read_is_a_prefix_of_what_was_sent(self) -> None:
        for name, got in getattr(self, "got", {}).items():
            assert got == self.sent[name][: len(got)]
            if name in self.finished:
                assert len(got) >= self.safe[name]

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        self.room = None
        self.writer.close()
        self.safe[self.writer.name] = len(self.sent[self.writer.name])
        try:
            for name in self.sent:
                while name not in self.finished:
                    self.read_one(name, 5000, is_committed=True)
                assert len(self.got[name]) >= self.safe[name]
            self.what_was_read_is_a_prefix_of_what_was_sent()
            prune(self.root, self.positions, 1 << 62, finished=self.finished)
            assert self.reader.writers() == []
        finally:
            shutil.rmtree(self.root)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
