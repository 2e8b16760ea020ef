"""Delete what the ledger has consumed and nobody needs as evidence any more; never more."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from tollbook import clock
from tollbook.spool import layout
from tollbook.spool.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from tollbook.spool.reader import Position


_LEFTOVER_NS = 3600 * clock.NS_PER_S


class Pruned(NamedTuple):
    """What was deleted."""

    segments: int = 0
    writers: int = 0
    size_bytes: int = 0


def prune(
    root: Path,
    consumed: Mapping[str, Position],
    older_than_ns: int,
    *,
    finished: Collection[str] = (),
) -> Pruned:
    """Delete consumed segments, and dead writers' directories, not written since a moment.

    A segment goes when the writer's committed position stands in a later one; a whole directory
    when the ledger has committed that the writer is finished (what it opened and never closed is
    settled) and the position stands at the very end. A writer without a committed position loses
    nothing.

    Args:
        root: the spool directory.
        consumed: the committed position of each writer.
        finished: writers for which a chunk with ``is_finished`` was committed; without it no
            directory is deleted, only segments.
        older_than_ns: delete only files last written before it (epoch, UTC).

    Raises:
        SpoolError: a file cannot be deleted.
    """
    segments = writers = size_bytes = 0
    for name in layout.writer_names(root):
        position = consumed.get(name)
        if position is None or position.segment == 0:
            continue
        try:
            is_dead = not layout.is_alive(root, name)  # before the sizes: then they are final
            numbers = layout.segment_numbers(root, name)
            files = _sizes_of_old(root, name, numbers, older_than_ns)
            is_all_old = bool(numbers) and list(files) == numbers
            if (
                name in finished
                and is_dead
                and is_all_old
                and position >= (name, numbers[-1], files[numbers[-1]])
            ):
                segments += len(files)
                writers += 1
                size_bytes += sum(files.values())
                _delete_writer(root, name)
                continue
            done = {number: size for number, size in files.items() if number < position.segment}
            _delete_segments(root, name, done)
        except OSError as error:
            raise SpoolError.of(root / name, "pruned", error) from error
        segments += len(done)
        size_bytes += sum(done.values())
    _delete_leftovers(root, min(older_than_ns, clock.unix_ns() - _LEFTOVER_NS))
    return Pruned(segments, writers, size_bytes)


def _sizes_of_old(root: Path, name: str, numbers: list[int], older_than_ns: int) -> dict[int, int]:
    """Return number and size of the leading segments that are all old enough."""
    sizes: dict[int, int] = {}
    for number in numbers:
        status = layout.segment_path(root, name, number).stat()
        if status.st_mtime_ns >= older_than_ns:
            break
        sizes[number] = status.st_size
    return sizes


def _delete_segments(root: Path, name: str, done: dict[int, int]) -> None:
    if not done:
        return
    # The marker first: a reader that starts from the beginning must be able to tell a pruned
    # segment from a missing one, also when this process dies half way.
    marker, fresh = root / name / layout.PRUNED_NAME, root / name / f"{layout.PRUNED_NAME}.new"
    fresh.write_text(f"{max(done) + 1}\n", "ascii")
    fresh.replace(marker)
    for number in sorted(done):
        layout.segment_path(root, name, number).unlink()


def _delete_writer(root: Path, name: str) -> None:
    # Renamed first, so that no reader ever sees half a directory.
    hidden = root / f"{layout.HIDDEN_PREFIX}{name}.gone"
    os.rename(root / name, hidden)  # noqa: PTH104 -- os raises the errors that are caught above
    shutil.rmtree(hidden)


def _delete_leftovers(root: Path, older_than_ns: int) -> None:
    """Delete hidden directories of processes that died while creating or deleting a writer."""
    for path in root.glob(layout.HIDDEN_PREFIX + "*"):
        if path.stat().st_mtime_ns < older_than_ns and not layout.is_alive(root, path.name):
            shutil.rmtree(path)
