from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.alerts.alerts_kit import House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.close()
