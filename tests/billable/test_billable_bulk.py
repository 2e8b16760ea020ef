"""Billing many entries at once says of each what billing it alone says."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.ledger.billing_bulk import Found, bill_lot
from tollbook.ledger.billing_facts import facts_of, priced_as
from tollbook.ledger.billing_lot import BilledRows, Lot
from tollbook.ledger.exact import money_array
from tollbook.ledger.rebuild import rows_of
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.money import Rate
from tollbook.prices.billable import Failed, Rule, check_rule
from tollbook.prices.billable_amount import bill
from tollbook.prices.card import RateCard, make_card
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

_RATE = st.none() | st.builds(
    Rate, st.sampled_from([0, 1, 75_000, 2_500_000, 10**14]), st.sampled_from([1, 1, 3])
)
_CARD = st.lists(_RATE, min_size=len(KINDS), max_size=len(KINDS)).map(
    lambda rates: make_card(provider="p", model="m", source="contract", rates=tuple(rates))
)
_USD = st.sampled_from([Decimal(0), Decimal("0.000000000001"), Decimal("0.5"), Decimal(10**8)])
_BASES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"basis": "cost_plus"},
        {"basis": "cost_plus", "model": "requested"},
        {"basis": "cost_plus", "model": "requested", "unpriced": "cost"},
        {"basis": "list"},
        {"basis": "list", "model": "requested"},
        {"basis": "own_rates", "rates": {"input": Decimal("2.5"), "output": Decimal(10)}},
        {"basis": "own_rates", "rates": {"input": Decimal("0.0000001"), "images": Decimal(1)}},
        {"basis": "per_unit"},
        {"basis": "free"},
    ]
)


@st.composite
def _rules(draw: st.DrawFn) -> Rule:
    fields: dict[str, Any] = {**draw(_BASES)}
    if fields["basis"] != "free":
        fields["markup_percent"] = draw(
            st.sampled_from([Decimal(0), Decimal(25), Decimal("-33.333333"), Decimal("0.000001")])
        )
        fields["units"] = draw(
            st.dictionaries(st.sampled_from(["call", "operation", "images", "requests"]), _USD)
        )
        fields["minimum_usd"] = draw(_USD)
        if fields["basis"] == "per_unit" and not fields["units"]:
            fields["units"] = {"call": Decimal(1)}
    rule = Rule(
        **fields,
        failed=Failed(error=draw(st.booleans()), cancelled=draw(st.booleans())),
        retries=draw(st.booleans()),
        system=draw(st.booleans()),
        cached_percent=draw(st.sampled_from([Decimal(0), Decimal(50), Decimal(100)])),
    )
    check_rule(rule)
    return rule


_AMOUNT = st.none() | st.sampled_from([0, 1, 7, 123_456_789, 10**12, 2**62, 10**20])
_COUNT = st.sampled_from([0, 0, 1, 9, 10**6])


@st.composite
def _rows(draw: st.DrawFn) -> dict[str, Any]:
    is_cached = draw(st.sampled_from([False, False, False, True]))
    is_known = not is_cached and draw(st.sampled_from([True, True, True, False]))
    is_part = draw(st.sampled_from([False, False, True]))
    row: dict[str, Any] = {kind: draw(_COUNT) if is_known else None for kind in KINDS}
    return row | {
        "status": draw(st.sampled_from(["ok", "ok", "ok", "error", "cancelled", "interrupted"])),
        "price_state": "cached" if is_cached else "priced",
        "cost_usd": 0 if is_cached else draw(_AMOUNT),
        "saved_cost_usd": draw(_AMOUNT) if is_cached else None,
        "retry_of": draw(st.sampled_from([None, None, b"r" * 16])),
        "attempt": draw(st.sampled_from([1, 1, 2])),
        "request_origin": draw(st.sampled_from([None, "user", "system"])),
        "part": int(is_part), "call_model": "a" if is_part else None,
        "model_requested": draw(st.sampled_from([None, "a", "b", "none"])),
        "model_actual": draw(st.sampled_from([None, "a", "b"])),
        "fallback_from": draw(st.sampled_from([None, None, "q/b", "odd"])),
        "called_at": draw(st.sampled_from([1_790_000_000_000_000, 1_790_000_000_000_500])),
        "usage_raw": '[{"prompt_tokens":7,"completion_tokens":3}]' if is_cached else None,
        "cached_from": b"c" * 16 if is_cached else None,
    }  # fmt: skip


def _lot(rows: list[dict[str, Any]]) -> Lot:
    same: dict[str, Any] = {
        "call_id": bytes(16), "provider": "p", "dialect": "openai", "operation": "chat",
        "metering": "metered", "method": "POST", "path": "/", "is_stream": False,
        "usage_complete": True, "is_billable": True, "input_chars": 9, "output_chars": 9,
        "output_events": 1,
    }  # fmt: skip
    columns: dict[str, Any] = {}
    for name in {*same, *rows[0]}:
        values = [row.get(name, same.get(name)) for row in rows]
        if name in ("cost_usd", "saved_cost_usd"):
            columns[name] = money_array(values)
        elif name in ("call_id", "retry_of", "cached_from"):
            columns[name] = pa.ExtensionArray.from_storage(
                UUID_ARROW, pa.array(values, pa.binary(16))
            )
        elif name == "called_at":
            columns[name] = pa.array(values, pa.int64()).cast(TIME_ARROW)
        elif name in KINDS or name in ("part", "attempt"):
            columns[name] = pa.array(values, pa.int64())
        elif all(one is None for one in values):
            columns[name] = pa.nulls(len(values), pa.string())
        else:
            columns[name] = pa.array(values)
    return Lot(columns, len(rows))


@settings(deadline=None, max_examples=60)
@given(_rules(), st.lists(_rows(), min_size=1, max_size=8), st.lists(_CARD, min_size=3, max_size=3))
def test_many_at_once_is_each_alone(
    rule: Rule, rows: list[dict[str, Any]], cards: list[RateCard]
) -> None:
    def find(_: Rule, row: Mapping[str, Any]) -> Found:
        half = 1_790_000_000_000_400 * 1000
        is_late = row["called_at"] * 1000 >= half
        for one in priced_as(row, is_requested=rule.model == "requested"):
            if one.model in ("a", "b"):
                at = (one.model == "b") + (is_late and one.provider == "p")
                return Found(cards[at], 2**63 - 1 if is_late else half)
        return Found(None, 2**63 - 1)

    lot = _lot(rows)
    billed = BilledRows(len(rows))
    bill_lot(lot, rule, np.arange(len(rows)), find, billed)
    table = pa.table(
        {name: column for name, column in lot.columns.items() if not name.endswith("_usd")}
        | {name: pa.nulls(len(rows)) for name in _ABSENT if name not in lot.columns}
    )
    for at, (row, fields) in enumerate(zip(rows, rows_of(table), strict=True)):
        facts = facts_of(fields, row["cost_usd"], row["saved_cost_usd"])
        card = find(rule, fields).card if rule.needs_card else None
        alone = bill(rule, facts, card)
        amount = None if billed.is_missing[at] else billed.large.get(at, int(billed.pico[at]))
        assert (amount, billed.words[billed.flags[at]]) == alone, (rule, row)


_ABSENT = ("max_output_tokens", "region", "asked", "provider_batch_id", "service_tier",
           "price_tier")  # fmt: skip
