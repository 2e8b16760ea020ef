"""What tests of billing share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.billable.billing_kit import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.desk import Desk


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(ledger: Ledger) -> Iterator[Desk]:
    yield from ledger.desk()
