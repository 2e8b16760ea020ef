"""Where things lie in a spool directory, and whether a writer lives.

``ROOT/<writer>/<segment:08d>.seg`` with segments from 1; ``writer.lock`` is held (flock) for the
writer's life; ``pruned`` holds the number of the first segment that retention has kept.
"""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING, Final

from tollbook.spool.errors import SpoolError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME: Final = "writer.lock"
PRUNED_NAME: Final = "pruned"
FIRST_SEGMENT: Final = 1
HIDDEN_PREFIX: Final = ".new-"
"""A writer prepares its directory under this prefix and renames it once it holds the lock, so a
directory without the prefix and with a free lock belongs to a dead writer, always."""

WRITER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SEGMENT_NAME: Final = re.compile(r"([0-9]{8,})\.seg")


def segment_path(root: Path, writer: str, segment: int) -> Path:
    """Return the path of a segment."""
    return root / writer / f"{segment:08d}.seg"


def writer_names(root: Path) -> list[str]:
    """Return the names of all writers, sorted; none when the spool does not exist yet.

    Raises:
        SpoolError: the directory cannot be read.
    """
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if WRITER_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SpoolError.of(root, "listed", error) from error


def segment_numbers(root: Path, writer: str) -> list[int]:
    """Return the numbers of a writer's segments, ascending.

    Raises:
        SpoolError: the directory cannot be read, or is gone.
    """
    directory = root / writer
    try:
        names = os.listdir(directory)  # noqa: PTH208 -- one system call, on every poll
    except OSError as error:
        raise SpoolError.of(directory, "listed", error) from error
    return sorted(int(match[1]) for name in names if (match := _SEGMENT_NAME.fullmatch(name)))


def is_alive(root: Path, writer: str) -> bool:
    """Whether the writer still holds its lock.

    A shared lock is tried and let go at once: readers do not get in each other's way, and the
    writer took its lock before the directory had this name. No lock file: nobody can hold it.

    Raises:
        SpoolError: the lock file cannot be opened.
    """
    path = root / writer / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError.of(path, "opened", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def first_kept(root: Path, writer: str) -> int:
    """Return the number of the first segment that must be there.

    Raises:
        SpoolError: the marker cannot be read.
    """
    path = root / writer / PRUNED_NAME
    try:
        return int(path.read_text("ascii")[:20])
    except FileNotFoundError:
        return FIRST_SEGMENT
    except OSError as error:
        raise SpoolError.of(path, "read", error) from error
    except ValueError as error:
        raise SpoolError(
            path, "holds no number", "write the number of the first segment there"
        ) from error
