"""Books of a test's own, copied from ones that are migrated once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tollbook.books.records import FILE_NAME
from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books


@pytest.fixture(scope="session")
def empty_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of empty books."""
    directory = tmp_path_factory.mktemp("empty")
    with open_books(directory):
        pass
    return directory / FILE_NAME


@pytest.fixture
def books(tmp_path: Path, empty_books: Path) -> Iterator[Books]:
    """Yield empty books in ``tmp_path/data``."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(empty_books, data / FILE_NAME)
    with open_books(data) as opened:
        yield opened
