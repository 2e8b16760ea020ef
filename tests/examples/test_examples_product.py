"""The product of examples: its money on the right tenants, or exactly what a fault loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.product.__main__ import run
from examples.product.surroundings import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["gateway", "otlp"])
def test_every_dollar_is_on_the_right_tenant(tmp_path: Path, mode: str) -> None:
    came = run(tmp_path, mode, None, rounds=2)

    assert came.holds, came.table()
    assert came.lost_pico == 0
    assert {row.tenant for row in came.rows} == {"acme", "globex", "initech", "umbrella"}


@pytest.mark.parametrize("mode", ["gateway", "otlp"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_exactly_what_it_must(tmp_path: Path, mode: str, fault: str) -> None:
    came = run(tmp_path, mode, fault, rounds=1)

    assert came.holds, came.table()
    assert came.lost_pico > 0
