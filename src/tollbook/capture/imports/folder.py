"""What an import keeps in the data directory: how far it came, and the rows that it refused.

``DIR/imports/<id>/state.json`` and ``rejected.jsonl``. The id is made of the kind and the files'
paths, so the same command finds its own folder again.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec
from msgspec import Struct

from tollbook.capture.imports.errors import ImportSpoolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ID_DIGITS: Final = 12
_STATE_MAX_BYTES: Final = 4 * 1024 * 1024


class FileState(Struct):
    """How far one file was read, and what it was then."""

    path: str
    size_bytes: int
    modified_ns: int
    rows: int = 0
    """All of them so far: taken, refused and passed over."""
    is_done: bool = False


class State(Struct):
    """How far an import came."""

    files: list[FileState]
    rejected_bytes: int = 0
    """Of the file of refused rows; what stands behind it is written again."""
    taken: int = 0
    rejected: int = 0
    passed_over: int = 0
    writers: list[str] = []
    """Spool writers of its runs."""
    is_done: bool = False


def import_id(kind: str, paths: Sequence[Path]) -> str:
    """Return the id of an import of files."""
    text = "\n".join([kind, *(str(path.absolute()) for path in paths)])
    digits = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_ID_DIGITS]
    return f"{kind.partition(':')[0]}-{digits}"


class Folder:
    """The folder of one import.

    Raises:
        ImportSpoolError: it cannot be made or written.
    """

    def __init__(self, data_dir: Path, name: str, paths: Sequence[Path]) -> None:
        self.path = data_dir / "imports" / name
        self.rejected_path = self.path / "rejected.jsonl"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.state = self._taken_up([_file_state(path) for path in paths])
            descriptor = os.open(self.rejected_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._rejected: BinaryIO = os.fdopen(descriptor, "r+b")
            self._rejected.truncate(self.state.rejected_bytes)
            self._rejected.seek(self.state.rejected_bytes)
        except OSError as error:
            raise ImportSpoolError(error.strerror) from error

    def _taken_up(self, files: list[FileState]) -> State:
        """Return where the last run of the same files stopped; a fresh state if it ended."""
        try:
            with (self.path / "state.json").open("rb") as file:
                state = msgspec.json.decode(file.read(_STATE_MAX_BYTES), type=State)
        except (OSError, msgspec.MsgspecError):
            return State(files)
        same = [(one.path, one.size_bytes, one.modified_ns) for one in state.files] == [
            (one.path, one.size_bytes, one.modified_ns) for one in files
        ]
        return state if same and not state.is_done else State(files)

    def reject(self, entry: dict[str, Any]) -> None:
        """Keep a row that was refused."""
        try:
            self._rejected.write(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            raise ImportSpoolError(error.strerror) from error

    def save(self) -> None:
        """Keep how far the import has come; what it read so far is in the spool."""
        try:
            self._rejected.flush()
            self.state.rejected_bytes = self._rejected.tell()
            temporary = self.path / f".state.{os.getpid()}"
            temporary.write_bytes(msgspec.json.encode(self.state))
            temporary.replace(self.path / "state.json")
        except OSError as error:
            raise ImportSpoolError(error.strerror) from error

    def add_writer(self, name: str | None) -> list[str]:
        """Keep the spool writer of a run, if it wrote; return those of all runs."""
        if name is not None:
            self.state.writers = [*self.state.writers, name]
            self.save()
        return self.state.writers

    def close(self) -> None:
        """Close the files."""
        self._rejected.close()


def _file_state(path: Path) -> FileState:
    found = path.stat()
    return FileState(str(path.absolute()), found.st_size, found.st_mtime_ns)
