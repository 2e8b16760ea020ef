"""The worlds of the stitching tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.stitch.stitch_kit import StitchWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StitchWorld]:
    made = StitchWorld(tmp_path)
    yield made
    made.close()
