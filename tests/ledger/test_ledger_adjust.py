"""Adjustments are entries like others: summed, chained, verified, booked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.ledger.adjust import (
    Adjustment,
    AdjustmentConflictError,
    AdjustmentType,
    book_adjustments,
)
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.ledger.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tollbook.prices.card import RateCard

AT_NS = 1_790_000_000 * 10**9


class _NoCards:
    def remember(self, new: Sequence[RateCard]) -> None:
        raise AssertionError(new)

    def find(self, card_ids: Iterable[str]) -> dict[str, RateCard]:
        assert not list(card_ids)
        return {}


def _true_up(cost: int, tenant: str | None = "acme") -> Adjustment:
    return Adjustment(
        adjustment=AdjustmentType.TRUE_UP, at_ns=AT_NS, cost=cost, provider="openai",
        model="gpt-4o", identity={"tenant_id": tenant} if tenant else {}, reason="invoice",
        kind="uncached_input_tokens", quantity=12,
    )  # fmt: skip


def test_a_run_is_booked_whole_and_once(tmp_path: Path) -> None:
    given = [_true_up(5_000_000), _true_up(-7, None)]
    with open_store(tmp_path / LEDGER_FILE) as store:
        assert book_adjustments(store, "true-up:1", given) == 2
        assert book_adjustments(store, "true-up:1", given) == 0
        with pytest.raises(AdjustmentConflictError, match="true-up:1 is booked already"):
            book_adjustments(store, "true-up:1", [*given, _true_up(1)])
        reader = store.reader()
        rows = reader.execute(
            "SELECT tenant_id, calls, CAST(cost_usd AS VARCHAR), uncached_input_tokens,"
            " CAST(unsplit_layer_cost_usd AS VARCHAR), CAST(uncached_input_tokens_cost_usd AS"
            " VARCHAR), billable_usd FROM entries ORDER BY entry_id"
        ).fetchall()
        assert rows == [
            ("acme", 0, "0.000005000000", 12, "0.000005000000", "0.000005000000", None),
            (None, 0, "-0.000000000007", 12, "-0.000000000007", "-0.000000000007", None),
        ]
        report = verify(reader, _NoCards())
        reader.close()
    assert report.findings == ()
    assert report.entries == 2


def test_nothing_to_book_is_no_batch(tmp_path: Path) -> None:
    with open_store(tmp_path / LEDGER_FILE) as store:
        assert book_adjustments(store, "true-up:2", []) == 0
        assert store.last_batch_id == 0
