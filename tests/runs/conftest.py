"""A ledger world of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.runs.runs_kit import RunWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[RunWorld]:
    made = RunWorld(tmp_path)
    yield made
    made.close()
