from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.budgeting.kit import House, house_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = [
    {"name": "settled", "limit_usd": "100", "each": ["tenant"]},
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One ledger for many examples; each clears it first."""
    with house_in(tmp_path_factory.mktemp("shared")) as made:
        yield made
