from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.periods.finance_kit import World, finance_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with finance_world(tmp_path) as made:
        yield made
