"""A ledger that knows batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.batch.batch_kit import BatchWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[BatchWorld]:
    made = BatchWorld(tmp_path)
    yield made
    made.close()
