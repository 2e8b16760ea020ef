"""A world for each test, and one for the examples of property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.insights.insights_kit import World

from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_books(tmp_path) as books:
        found = World(books, tmp_path)
        yield found
        found.close()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("insights")
    with open_books(directory) as books:
        found = World(books, directory)
        yield found
        found.close()
