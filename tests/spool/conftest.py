from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.call import CallClosed, Status
from tollbook.config.schema import Spool
from tollbook.spool import Position, SpoolReader, SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def frame() -> Callable[..., CallClosed]:
    def make(number: int, size_bytes: int = 0) -> CallClosed:
        return CallClosed(
            call_id=number.to_bytes(16, "big"),
            closed_at_ns=number,
            status=Status.OK,
            usage=(b"u" * size_bytes,),
        )

    return make


@pytest.fixture
def open_writer(tmp_path: Path) -> Iterator[Callable[..., SpoolWriter]]:
    """Open writers in ``tmp_path``; whatever is still open is closed at the end."""
    opened: list[SpoolWriter] = []

    def make(name: str = "w1", **settings: object) -> SpoolWriter:
        writer = SpoolWriter(tmp_path, name, Spool(**settings), version="1.2.3")  # type: ignore[arg-type]
        opened.append(writer)
        return writer

    yield make
    for writer in opened:
        writer.close()


@pytest.fixture(scope="session")
def die() -> Callable[[SpoolWriter], None]:
    """Let go of the files as the kernel does for a killed process: nothing is flushed."""

    def kill(writer: SpoolWriter) -> None:
        writer._files._close_all()
        writer._is_closed, writer._is_plain = True, False
        writer._queue.clear()

    return kill


@pytest.fixture(scope="session")
def numbers() -> Callable[..., list[int]]:
    """Read a writer to its present end and return the numbers of its frames."""

    def read(root: Path, name: str = "w1", max_bytes: int = 1 << 20) -> list[int]:
        reader, position, found = SpoolReader(root), Position(name), []
        while True:
            chunk = reader.read(position, max_bytes)
            found += [frame.closed_at_ns for frame, _, _ in chunk.frames]  # type: ignore[union-attr]
            position = chunk.next
            if chunk.at_end:
                return found

    return read
