"""What was named on the command line, to inputs: files, folders, archives, stdin."""

from __future__ import annotations

import os
import stat
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from tollbook.audit.inputs import console_exporter, jaeger, zipkin
from tollbook.audit.inputs.detect import ZIP
from tollbook.audit.inputs.errors import InputNotReadableError, UnknownKindError
from tollbook.audit.inputs.files import FileInput
from tollbook.audit.inputs.limits import DEFAULT
from tollbook.audit.inputs.registry import formats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.read import Input

STDIN: Final = "-"
NATIVE: Final = (
    "otlp-json",
    "otlp-jsonl",
    "otlp-protobuf",
    "otlp-logs",
    "otlp-metrics",
    "tempo",
    jaeger.NAME,
    zipkin.NAME,
    console_exporter.NAME,
)
"""Formats that tell traces: known by content, so nothing is forced; what is another is refused."""


def kinds() -> tuple[str, ...]:
    """Return the names of all formats, as ``--kind`` takes them."""
    return (*NATIVE, *[one.NAME for one in formats()])


def open_inputs(
    paths: Sequence[str],
    *,
    mapping: Path | None = None,
    kind: str | None = None,
    limits: Limits = DEFAULT,
) -> list[Input]:
    """Return what is to be audited, nothing of which has been read yet.

    Files may be packed by gzip, zstd, bzip2 or xz, and are known by their content. A folder is
    walked in the order of names, without what is hidden; of a zip archive each member is an input.

    Args:
        paths: files, folders, named pipes; ``-`` is stdin.
        mapping: TOML that says which column of a table is what.
        kind: a format, where it is not to be found out.
        limits: how much is held at once.

    Raises:
        InputNotReadableError: something that was named is not there, or holds no files.
        UnknownKindError: the format is none.
    """
    if kind is not None and kind not in kinds():
        raise UnknownKindError(kind, kinds())
    if mapping is not None and kind is None and formats():
        kind = formats()[-1].NAME  # the generic table
    found: list[Input] = []
    for path in paths:
        for source, opened, size_bytes in _sources(path, limits):
            found.append(
                FileInput(source, opened, limits, size_bytes=size_bytes, kind=kind, mapping=mapping)
            )
    return found


_Source = tuple[str, "Callable[[], AbstractContextManager[BinaryIO]]", "int | None"]


def _sources(path: str, limits: Limits) -> Iterator[_Source]:
    if path == STDIN:
        yield STDIN, _stdin, None
        return
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputNotReadableError(path, _words(error)) from None
    if not stat.S_ISDIR(mode):
        yield from _file(place, is_named=True)
        return
    held = _walk(place, limits.files_max)
    if not held:
        raise InputNotReadableError(path, "the folder holds no files")
    for one in held:
        yield from _file(one, is_named=False)


def _file(place: Path, *, is_named: bool) -> Iterator[_Source]:
    """Yield a file, or the members of an archive."""
    try:
        told = place.stat()
        if not stat.S_ISREG(told.st_mode):
            if is_named:  # <(command) of a shell: reading a part would take it away
                yield str(place), lambda: place.open("rb"), None
            return
        with place.open("rb") as file:
            is_archive = file.read(len(ZIP)) == ZIP
    except OSError as error:
        if is_named:
            raise InputNotReadableError(str(place), _words(error)) from None
        yield str(place), lambda: place.open("rb"), None  # says why when it is read
        return
    if not is_archive:
        yield str(place), lambda: place.open("rb"), told.st_size
        return
    try:
        with zipfile.ZipFile(place) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        if is_named:
            raise InputNotReadableError(str(place), f"is no zip archive: {error}") from None
        return
    for member in sorted(members, key=lambda one: one.filename):
        if not _is_hidden(member.filename):
            name = f"{place}:{member.filename}"
            yield name, _member_opener(place, member), member.file_size


def _member_opener(
    place: Path, member: zipfile.ZipInfo
) -> Callable[[], AbstractContextManager[BinaryIO]]:
    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with zipfile.ZipFile(place) as archive, archive.open(member) as file:
            yield cast("BinaryIO", file)

    return opened


@contextmanager
def _stdin() -> Iterator[BinaryIO]:
    yield sys.stdin.buffer


def _walk(folder: Path, files_max: int) -> list[Path]:
    """Return the files below a folder; one that is met again, by links, is not walked again."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        told = Path(root).stat()
        if (told.st_dev, told.st_ino) in seen:
            folders.clear()
            continue
        seen.add((told.st_dev, told.st_ino))
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [Path(root, one) for one in sorted(files) if not one.startswith(".")]
        if len(found) > files_max:
            raise InputNotReadableError(
                str(folder), f"the folder holds more than {files_max} files"
            )
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
