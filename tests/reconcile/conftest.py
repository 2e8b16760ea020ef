"""A place to reconcile in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.reconcile.reconcile_kit import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield an empty ledger and empty books."""
    one = Place(tmp_path)
    yield one
    one.close()
