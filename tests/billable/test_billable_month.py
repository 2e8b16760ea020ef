"""A month's allowances, discounts, caps, minimums and fees: exact, once, whatever comes late."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billable.billing_kit import DAY_NS, OCTOBER_NS

from tollbook.chargeback.billable.month import book_month, month_lines
from tollbook.chargeback.periods import Period
from tollbook.prices.billable import BillingError, Match
from tollbook.prices.billable_terms import (
    Allowance,
    Discount,
    Terms,
    Used,
    check_terms,
    parts_of,
)

if TYPE_CHECKING:
    from tests.billable.billing_kit import Ledger

    from tollbook.desk import Desk

OCTOBER = Period("2026-10")
USD = 10**12


def _amounts(terms: Terms, billable: int, *used: Used) -> dict[str, int]:
    parts = parts_of(terms, billable, used)
    return {one.part: one.amount for one in parts}


def test_included_dollars_tokens_and_overage() -> None:
    dollars = Terms(allowances=(Allowance(measure="usd", included=Decimal(10)),))
    assert _amounts(dollars, 25 * USD, Used(25 * USD, 25 * USD)) == {"allowance": -10 * USD}
    assert _amounts(dollars, 4 * USD, Used(4 * USD, 4 * USD)) == {"allowance": -4 * USD}
    tokens = Terms(allowances=(Allowance(measure="tokens", included=Decimal(1_000_000)),))
    assert _amounts(tokens, 8 * USD, Used(8 * USD, 4_000_000)) == {"allowance": -2 * USD}
    over = Terms(
        allowances=(
            Allowance(measure="tokens", included=Decimal(1_000_000), overage_usd=Decimal(3)),
        )
    )
    # 3 million beyond at 3 USD, in place of 8 USD
    assert _amounts(over, 8 * USD, Used(8 * USD, 4_000_000)) == {"allowance": 1 * USD}
    assert _amounts(over, 0, Used(0, 0)) == {}
    calls = Terms(
        allowances=(Allowance(measure="calls", included=Decimal(2), overage_usd=Decimal("0.5")),)
    )
    assert _amounts(calls, 0, Used(0, 5)) == {"allowance": 3 * USD // 2}


def test_discounts_caps_minimums_and_fees_in_order() -> None:
    terms = Terms(
        discounts=(
            Discount(above_usd=Decimal(10), percent=Decimal(10)),
            Discount(above_usd=Decimal(100), percent=Decimal(50)),
        ),
        cap_usd=Decimal(150), minimum_usd=Decimal(20), fee_usd=Decimal(5),
    )  # fmt: skip
    check_terms(terms)
    # 90 at 10 % and 200 at 50 %: 109 off, 191 left, cut to 150
    assert _amounts(terms, 300 * USD) == {"discount": -109 * USD, "cap": -41 * USD, "fee": 5 * USD}
    assert _amounts(terms, 1 * USD) == {"minimum": 19 * USD, "fee": 5 * USD}
    assert _amounts(terms, 15 * USD) == {
        "discount": -USD // 2, "minimum": 20 * USD - 29 * USD // 2, "fee": 5 * USD,
    }  # fmt: skip


@given(
    st.integers(0, 10**15), st.integers(0, 10**9), st.integers(0, 10**9),
    st.sampled_from([None, Decimal("0.1"), Decimal("0.0000001")]),
    st.sampled_from([None, Decimal(1), Decimal(100)]), st.sampled_from([None, Decimal(200)]),
)  # fmt: skip
def test_the_bill_is_within_its_bounds(
    billable: int, quantity: int, included: int, overage: Decimal | None, least: Decimal | None,
    cap: Decimal | None,
) -> None:  # fmt: skip
    terms = Terms(
        allowances=(
            Allowance(measure="tokens", included=Decimal(included), overage_usd=overage),
        ),
        discounts=(Discount(percent=Decimal("33.333333")),), minimum_usd=least, cap_usd=cap,
    )  # fmt: skip
    check_terms(terms)
    total = billable + sum(_amounts(terms, billable, Used(billable, quantity)).values())
    assert total >= (0 if least is None else int(least) * USD)
    if cap is not None:
        assert total <= int(cap) * USD
    if overage is None and quantity <= included and quantity:
        assert total == (0 if least is None else int(least) * USD)


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        (Terms(allowances=(Allowance(measure="moons", included=Decimal(1)),)), "measure"),
        (Terms(allowances=(Allowance(measure="calls", included=Decimal("1.5")),)), "included"),
        (Terms(match=Match(feature="x")), "match.feature"),
        (Terms(cap_usd=Decimal(1), minimum_usd=Decimal(2)), "cap_usd"),
        (Terms(fee_usd=Decimal(-1)), "fee_usd"),
        (
            Terms(discounts=(Discount(percent=Decimal(1)), Discount(percent=Decimal(2)))),
            "discounts",
        ),
    ],
)
def test_terms_that_cannot_be_meant_are_refused(terms: Terms, problem: str) -> None:
    with pytest.raises(BillingError, match=problem):
        check_terms(terms)


def _month(ledger: Ledger, **terms: Any) -> None:
    ledger.rule("all", basis="cost_plus", markup_percent="100")
    ledger.put("plans", {"kind": "plans", "tenants": {"acme": "pro", "quiet": "pro"}})
    ledger.put("pro", {"kind": "terms", "match": {"plan": "pro"}, **terms})


def test_a_month_is_booked_once_and_late_calls_by_their_difference(
    ledger: Ledger, desk: Desk
) -> None:
    _month(
        ledger, minimum_usd="1",
        allowances=[{"measure": "calls", "included": "1", "match": {"feature": "chat"}}],
    )  # fmt: skip
    ledger.book(
        ledger.call("acme", feature="chat"), ledger.call("acme", feature="chat"),
        ledger.call("acme"), ledger.call("beta"), ledger.call(None),
    )  # fmt: skip
    lines, runs = book_month(desk, OCTOBER)
    assert [(one.tenant_id, one.part, one.due) for one in lines] == [
        ("acme", "allowance", -12 * 10**9),
        ("acme", "minimum", USD - 24 * 10**9),
        ("quiet", "minimum", USD),
    ]
    assert runs == ["billing:2026-10:allowance:1", "billing:2026-10:minimum:1"]
    assert ledger.total("tenant_id = 'acme'") == 1
    assert book_month(desk, OCTOBER)[1] == []
    # one call of November changes nothing, one of October comes late
    ledger.book(ledger.call("acme", at_ns=OCTOBER_NS + 40 * DAY_NS))
    assert book_month(desk, OCTOBER)[1] == []
    ledger.book(ledger.call("acme", feature="chat", at_ns=OCTOBER_NS + DAY_NS))
    lines, runs = book_month(desk, OCTOBER)
    assert runs == ["billing:2026-10:minimum:2"]
    # three calls of the feature, one included, and the one beside it
    assert ledger.total("tenant_id = 'acme' AND called_at < '2026-11-01'") == 1
    ((calls, cost),) = ledger.rows(
        "SELECT sum(calls), sum(cost_usd) FROM entries WHERE adjustment = 'billing'"
    )
    assert (calls, cost) == (0, 0)
    assert ledger.verify().findings == ()


def test_terms_that_end_are_taken_back(ledger: Ledger, desk: Desk) -> None:
    ledger.rule("all", basis="cost_plus")
    body = {"kind": "terms", "match": {"tenant": "acme"}, "fee_usd": "7"}
    ledger.put("fee", body, 0)
    book_month(desk, OCTOBER)
    assert ledger.total() == 7
    ledger.put("fee", {"kind": "withdrawn"}, OCTOBER_NS)
    (line,) = month_lines(desk.reader, desk.books, OCTOBER)
    assert (line.due, line.booked, line.document_id) == (0, 7 * USD, None)
    book_month(desk, OCTOBER)
    assert ledger.total() == 0


def test_a_plan_may_be_told_by_a_tag(ledger: Ledger, desk: Desk) -> None:
    ledger.rule("all", basis="cost_plus")
    ledger.put("plans", {"kind": "plans", "tag": "plan"})
    ledger.put("pro", {"kind": "terms", "match": {"plan": "pro"}, "fee_usd": "3"})
    ledger.book(
        ledger.call("acme", tags={"plan": "pro"}), ledger.call("beta", tags={"plan": "free"}),
        ledger.call("gamma"),
    )  # fmt: skip
    (line,) = month_lines(desk.reader, desk.books, OCTOBER)
    assert (line.tenant_id, line.plan, line.part, line.due) == ("acme", "pro", "fee", 3 * USD)
