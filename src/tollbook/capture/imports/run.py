"""An import: every row of its files into the spool, or aside with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from msgspec import Struct

from tollbook import clock
from tollbook.capture.imports.errors import ImportSpoolError, NotACallError, RowError
from tollbook.capture.imports.reading import Progress, RawRow, check_readable, read_rows
from tollbook.capture.imports.record import frames_of
from tollbook.capture.imports.row import Row
from tollbook.capture.intake_limits import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tollbook.call import Frame
    from tollbook.capture.imports.folder import FileState, Folder
    from tollbook.capture.imports.record import Record
    from tollbook.spool import SpoolHealth

_ROWS_AT_ONCE: Final = 500
_SAVE_ROWS: Final = 5000


class Spool(Protocol):
    """See :class:`tollbook.capture.intake.Intake`."""

    def put(self, frames: Sequence[Frame]) -> bool:
        """Return whether the frames are on file."""

    @property
    def health(self) -> SpoolHealth:
        """How the writer is doing."""


class How(Struct, frozen=True, kw_only=True):
    """How rows are read."""

    source: str
    """The kind of log, or the name of a mapping: part of every call's id."""
    record_of: Any  # RecordOf
    default_provider: str | None = None
    tenant_from: str | None = None
    """Field of the log that names the tenant, before all that it says else."""
    default_environment: str = "production"


class Outcome(NamedTuple):
    """What an import came to, the runs before an interruption included."""

    rows: int
    taken: int
    passed_over: int
    rejected: int
    is_done: bool


class Import:
    """One run.

    Args:
        paths: the files, in order.
        how: how rows are read.
        spool: None for a trial that writes nothing.
        folder: None for a trial.
        on_progress: told the bytes read so far, now and then.
        is_stopped: asked between rows; ends the run, which a later one takes up.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        how: How,
        *,
        spool: Spool | None,
        folder: Folder | None,
        on_progress: Callable[[int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._paths, self._how, self._spool, self._folder = paths, how, spool, folder
        self._on_progress, self._is_stopped = on_progress, is_stopped
        self._frames: list[Frame] = []
        self._counts = {"taken": 0, "rejected": 0, "passed_over": 0}
        self._rows = 0
        self._unsaved = 0
        self._reached: tuple[FileState | None, int] = (None, 0)
        """Last row that was read; kept in the state only once it is written."""
        self.examples: list[dict[str, Any]] = []
        """The first refused rows of this run."""
        if folder is not None:
            state = folder.state
            self._counts |= {name: getattr(state, name) for name in self._counts}
            self._rows = sum(one.rows for one in state.files)

    def run(self) -> Outcome:
        """Read all files.

        Raises:
            ImportFileError: one cannot be read on; the rows before are in the spool.
            ImportSpoolError: the spool cannot be written.
        """
        for path in self._paths:
            check_readable(path)
        try:
            is_done = self._read_all()
        except ImportSpoolError:
            raise  # what is not written must not be kept as done
        except BaseException:
            self._flush()
            raise
        self._flush()
        if is_done and self._folder is not None:
            self._folder.state.is_done = True
            self._folder.save()
        return Outcome(self._rows, self._counts["taken"], self._counts["passed_over"],
                       self._counts["rejected"], is_done)  # fmt: skip

    def _read_all(self) -> bool:
        """Read the files that are not done; False when it was stopped."""
        before_bytes = 0
        for at, path in enumerate(self._paths):
            known = None if self._folder is None else self._folder.state.files[at]
            size_bytes = path.stat().st_size
            is_to_read = known is None or not known.is_done
            if is_to_read and not self._read(path, Progress(size_bytes), before_bytes, known):
                return False
            before_bytes += size_bytes
            self._on_progress(before_bytes)
        return True

    def _read(
        self, path: Path, progress: Progress, before_bytes: int, known: FileState | None
    ) -> bool:
        """Read one file; False when it was stopped."""
        done_rows = 0 if known is None else known.rows
        for raw in read_rows(path, progress):
            if self._is_stopped():
                return False
            if raw.number > done_rows:
                self._take(path, raw)
                self._reached = known, raw.number
                if self._unsaved >= _SAVE_ROWS:
                    self._flush()
            if raw.number % _ROWS_AT_ONCE == 0:
                self._on_progress(before_bytes + progress.done_bytes)
        self._flush()
        if known is not None:
            known.is_done = True
        return True

    def _take(self, path: Path, raw: RawRow) -> None:
        self._rows += 1
        self._unsaved += 1
        if raw.values is None:
            self._reject(path, raw, "", raw.problem, {})
            return
        row = Row(raw.values)
        try:
            frames = frames_of(self._record(row), self._how.source, self._how.default_environment)
        except NotACallError:
            self._counts["passed_over"] += 1
            return
        except RowError as error:
            self._reject(path, raw, error.field, error.reason, row.asked)
            return
        now_ns = clock.unix_ns()
        problem = problem_of(frames[0], now_ns) or problem_of(frames[1], now_ns)
        if problem is not None:
            self._reject(path, raw, "", problem, row.asked)
            return
        self._counts["taken"] += 1
        self._frames += frames
        if len(self._frames) >= 2 * _ROWS_AT_ONCE:
            self._put()

    def _record(self, row: Row) -> Record:
        record: Record = self._how.record_of(row, self._how.default_provider)
        if self._how.tenant_from is not None:
            tenant = row.text(self._how.tenant_from)
            record.owner.fields.pop("tenant_id", None)
            if tenant is not None:
                record.owner.put_field("tenant_id", tenant, self._how.tenant_from)
        return record

    def _reject(
        self, path: Path, raw: RawRow, field: str, reason: str, asked: dict[str, str]
    ) -> None:
        self._counts["rejected"] += 1
        entry = {"file": str(path), "line": raw.line, "row": raw.number, "field": field,
                 "reason": reason, "values": asked}  # fmt: skip
        if len(self.examples) < 5:  # noqa: PLR2004 -- enough to see what is wrong
            self.examples.append(entry)
        if self._folder is not None:
            self._folder.reject(entry)

    def _put(self) -> None:
        frames, self._frames = self._frames, []
        if frames and self._spool is not None and not self._spool.put(frames):
            raise ImportSpoolError(self._spool.health.error)

    def _flush(self) -> None:
        """Write what was read, then keep that it was: in this order, so that no row is left out."""
        self._put()
        self._unsaved = 0
        known, number = self._reached
        if known is not None:
            known.rows = number
        if self._folder is not None:
            for name, count in self._counts.items():
                setattr(self._folder.state, name, count)
            self._folder.save()
