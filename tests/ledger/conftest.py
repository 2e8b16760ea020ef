"""A spool to write calls to, a ledger to book them in, and books that remember cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.ledger.store import LEDGER_FILE, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.ledger.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / LEDGER_FILE, threads=1) as opened:
        yield opened


@pytest.fixture
def spool_root(tmp_path: Path) -> Path:
    return tmp_path / "spool"
