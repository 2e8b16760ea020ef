"""After a true-up the ledger of the month is the invoice; twice is once, a change the change."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.reconcile.reconcile_kit import (
    IN,
    OUT,
    RATES,
    Call,
    by_cause,
    invoice_line,
    ledger_cost,
    lines_of,
    month_of_calls,
    ns,
)

from tollbook.books.tables_periods import period_closes
from tollbook.budgets.rules import read_rules
from tollbook.budgets.window import Span
from tollbook.chargeback.periods.cutoffs import entry_window
from tollbook.chargeback.reconcile import trueup
from tollbook.chargeback.reconcile.errors import NothingBilledError, PolicyError
from tollbook.chargeback.reconcile.model import Cause, State
from tollbook.chargeback.reconcile.policy import put_policy
from tollbook.chargeback.reconcile.shelf import accepted_months, remark
from tollbook.chargeback.reconcile.trueup import book_true_up, plan_true_up
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.config.budgets import Budget
from tollbook.ledger.adjust import book_adjustments
from tollbook.ledger.budgetsums import booked_in, not_settled_after
from tollbook.ledger.cards import CardShelf
from tollbook.ledger.verify import verify
from tollbook.money import usd_text
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.rollup import rollup_query, run_rollup
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.reconcile.reconcile_kit import Place

    from tollbook.chargeback.reconcile.trueup import TrueUp
    from tollbook.ledger.adjust import Adjustment
    from tollbook.ledger.store import Store


def _true_up(place: Place) -> TrueUp:
    plan = plan_true_up(place.desk(), place.reconcile())
    book_true_up(place.desk(), plan)
    return plan


def _by(place: Place, *by: str, adjustment: str | None = None) -> dict[Any, int]:
    where: tuple[Filter, ...] = (Filter("provider", ("openai",)),)
    if adjustment is not None:
        where += (Filter("adjustment", (adjustment,)),)
    query = SpendQuery(
        since=datetime(2026, 10, 1, tzinfo=UTC), until=datetime(2026, 11, 1, tzinfo=UTC), by=by,
        where=where, measures=("cost_usd", IN, OUT),
    )  # fmt: skip
    rows = wide_rows(DuckdbReader(place.store.reader()), query)
    return {tuple(row[name] for name in by): row["cost_usd"] for row in rows if row["cost_usd"]}


def _planted(place: Place) -> int:
    """Book and tell a month with a wrong card, a doubled hour, bypass, tax and a credit."""
    calls = list(month_of_calls())
    past = [Call(f"2026-10-{day:02}T09:00", {IN: 900 + day}) for day in range(1, 20)]
    twice = [one for one in calls if one.at.startswith("2026-10-14T14")]
    place.book([*calls, *twice])
    told = lines_of([*calls, *past], money=True, rates=RATES | {OUT: 8_500_000})
    place.state(
        Basis.USAGE,
        [*lines_of(calls, money=False, key="own"), *lines_of(past, money=False, key="past")],
    )
    place.state(Basis.COST, told)
    usage: int = sum(line["amount"] for line in told)
    payable = -(-usage // 10**10) * 10**10
    place.state(
        Basis.INVOICE,
        [
            invoice_line(usd_text(payable)),
            invoice_line("4.20", Category.TAX, "VAT"),
            invoice_line("-1", Category.CREDIT, "Grant"),
        ],
    )
    return payable + 3_200_000_000_000


def test_the_ledger_of_the_month_is_the_invoice_afterwards(place: Place) -> None:
    invoice = _planted(place)
    plan = _true_up(place)
    assert plan.run.billed == invoice
    assert ledger_cost(place) == invoice
    assert sum(_by(place, "tenant").values()) == invoice
    run = place.reconcile()
    assert (run.difference, run.trued_up) == (plan.amount, plan.amount)
    assert run.run_id == plan.run.run_id


def test_booking_twice_books_once(place: Place) -> None:
    _planted(place)
    _true_up(place)
    again = plan_true_up(place.desk(), place.reconcile())
    assert again.postings == []
    assert book_true_up(place.desk(), again) == []


def test_a_changed_statement_books_the_change_alone(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    for rate in (8_500_000, 8_300_000, 8_000_000):
        told = lines_of(calls, money=True, rates=RATES | {OUT: rate})
        place.state(Basis.COST, told)
        _true_up(place)
        assert ledger_cost(place) == sum(line["amount"] for line in told)
    assert sum(_by(place, "adjustment_id", adjustment="true_up").values()) == 0


def test_each_cause_has_its_type_and_owners(place: Place) -> None:
    _planted(place)
    found = by_cause(_true_up(place).run)
    booked = _by(place, "adjustment_id", "adjustment", "tenant")
    sums: dict[str, int] = {}
    for (adjustment_id, adjustment, tenant), amount in booked.items():
        if adjustment_id is None:
            continue
        cause = adjustment_id.split(":")[3]
        sums[cause] = sums.get(cause, 0) + amount
        expected = cause if cause in {"tax", "credit", "rounding"} else "true_up"
        assert adjustment == expected
        if cause in {"tax", "credit", "rounding", "bypass"}:
            assert tenant is None
    assert sums == {cause.value: amount for cause, amount in found.items()}
    doubled = {tenant for (one, _, tenant) in booked if one and ":doubled:" in one}
    assert doubled == {"acme"}, "only the tenants of the doubled hour"


def test_quantities_that_no_call_reported_are_booked(place: Place) -> None:
    _planted(place)
    _true_up(place)
    query = SpendQuery(
        since=datetime(2026, 10, 1, tzinfo=UTC), until=datetime(2026, 11, 1, tzinfo=UTC), by=(),
        where=(Filter("provider", ("openai",)),), measures=(IN, "calls"),
    )  # fmt: skip
    (row,) = wide_rows(DuckdbReader(place.store.reader()), query)
    calls = list(month_of_calls())
    past = sum(900 + day for day in range(1, 20))
    assert row[IN] == sum((one.tokens or {})[IN] for one in calls) + past


def test_a_policy_names_a_tenant_and_keeps_a_variance(place: Place) -> None:
    invoice = _planted(place)
    body = {"causes": {"bypass": "tenant:platform", "tax": "keep", "credit": "keep"}}
    put_policy(
        place.books, "openai", msgspec.json.encode(body).decode(),
        effective_from_ns=ns("2026-01-01T00:00"), author="ann", reason="as agreed",
    )  # fmt: skip
    plan = _true_up(place)
    assert plan.policy_id == "true_up_policy/openai/1"
    assert plan.kept == 3_200_000_000_000
    assert ledger_cost(place) == invoice - plan.kept
    platform = _by(place, "tenant", adjustment="true_up")["platform",]
    assert platform == by_cause(plan.run)[Cause.BYPASS]


def test_a_wrong_policy_says_where(place: Place) -> None:
    for body, words in (
        ('{"causes": {"bypass": "everybody"}}', "causes.bypass"),
        ('{"causes": {"magic": "keep"}}', "magic"),
        ('{"cause": {}}', "cause"),
    ):
        with pytest.raises(PolicyError, match=words):
            put_policy(place.books, "default", body, effective_from_ns=0, author="ann", reason="no")


def test_own_keys_say_what_bypassed(place: Place) -> None:
    calls = list(month_of_calls())
    past = [one._replace(tenant=None) for one in calls]
    place.book(calls)
    place.state(
        Basis.USAGE,
        [*lines_of(calls, money=False, key="own"), *lines_of(past, money=False, key="past")],
    )
    place.state(Basis.COST, lines_of([*calls, *past], money=True))
    put_policy(
        place.books, "default", '{"own_keys": ["own"]}', effective_from_ns=0, author="ann",
        reason="keys of the gateway",
    )  # fmt: skip
    (one,) = place.reconcile().differences
    assert (one.cause, one.evidence["api_key"]) == (Cause.BYPASS, "past")
    assert one.evidence["known_by"] == "own_keys"


def test_without_money_there_is_nothing_to_true_up_to(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    place.state(Basis.USAGE, lines_of(calls[:-1], money=False))
    run = place.reconcile()
    assert by_cause(run) == {Cause.UNEXPLAINED: -sum(calls[-1].costs().values())}
    with pytest.raises(NothingBilledError, match="no statement of cost and no invoice"):
        plan_true_up(place.desk(), run)


def test_budgets_do_not_count_true_ups(place: Place) -> None:
    _planted(place)
    last = place.store.last_entry_id
    (rule,) = read_rules([Budget(name="all", each=["tenant"], limit_usd=Decimal(100))], "test")
    month = Span(ns("2026-10-01T00:00") // 10**9, ns("2026-11-01T00:00") // 10**9)
    with place.store.reader() as connection:
        before = sorted(map(str, booked_in(DuckdbReader(connection).fetch, rule, month)))
    _true_up(place)
    assert place.store.last_entry_id > last
    with place.store.reader() as connection:
        fetch = DuckdbReader(connection).fetch
        assert list(not_settled_after(fetch, last)) == []
        assert sorted(map(str, booked_in(fetch, rule, month))) == before
        assert before


class _NoCards(CardShelf):
    def remember(self, new: Sequence[Any]) -> None:
        raise AssertionError(new)

    def find(self, card_ids: Any) -> dict[str, Any]:
        assert not list(card_ids)
        return {}


def test_verify_finds_nothing_in_a_true_up(place: Place) -> None:
    _planted(place)
    with place.store.reader() as connection:
        before = verify(connection, _NoCards())
    _true_up(place)
    with place.store.reader() as connection:
        after = verify(connection, _NoCards())
    assert after.entries > before.entries
    assert after.findings == before.findings


def test_the_rollup_tells_the_delta_where_it_is_accepted(place: Place) -> None:
    invoice = _planted(place)
    _true_up(place)
    reader = DuckdbReader(place.store.reader())
    query = rollup_query([("period", "2026-10")], datetime(2026, 11, 21, tzinfo=UTC))
    before = run_rollup(reader, query, accepted_months(place.books))
    assert before.reconciliation == "not reconciled"
    run = place.reconcile()
    remark(place.books, run.run_id, author="ann", state=State.ACCEPTED)
    assert accepted_months(place.books) == {("openai", "2026-10")}
    report = run_rollup(reader, query, accepted_months(place.books))
    assert report.reconciliation == "reconciled"
    assert report.totals["reconciled_usd"] == usd_text(invoice)
    assert report.totals["invoice_delta_usd"] == usd_text(run.difference)
    assert all(row["reconciled_usd"] == row["cost_usd"] for row in report.rows)


def test_the_rollup_is_partly_known_where_one_provider_is_not(place: Place) -> None:
    _planted(place)
    place.book([Call("2026-10-05T10:00", {IN: 10}, model="c-1", provider="anthropic")])
    _true_up(place)
    reader = DuckdbReader(place.store.reader())
    query = rollup_query([("period", "2026-10")], datetime(2026, 11, 21, tzinfo=UTC))
    report = run_rollup(reader, query, {("openai", "2026-10")})
    assert report.reconciliation == "partly reconciled"
    unknown = [row for row in report.rows if row["reconciled_usd"] is None]
    assert [row["model"] for row in unknown] == ["c-1"]
    assert report.totals["reconciled_usd"] is None


def test_what_a_closed_month_lacks_is_booked_in_the_open_one(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    place.state(Basis.COST, lines_of(calls, money=True))
    _true_up(place)
    cutoff = place.store.last_entry_id
    with place.books.write() as connection:
        connection.execute(
            period_closes.insert().values(
                period="2026-10", seal="s", cutoff_entry_id=cutoff, timezone="UTC",
                mode="showback", closed_by="ann", closed_at_ns=1,
            )
        )  # fmt: skip
    billed = _as_billed(place, "2026-10")
    told = lines_of(calls, money=True, rates=RATES | {OUT: 8_300_000})
    place.state(Basis.COST, told)
    plan = _true_up(place)
    assert plan.billing_period == "2026-11"
    assert ledger_cost(place) == sum(line["amount"] for line in told)
    assert _as_billed(place, "2026-10") == billed
    assert _as_billed(place, "2026-11") == plan.amount != 0
    assert plan_true_up(place.desk(), place.reconcile()).postings == []


def _as_billed(place: Place, period: str) -> int:
    window = entry_window(place.books, place.config, period)
    query = SpendQuery(
        since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2027, 1, 1, tzinfo=UTC),
        billing_period=period, entry_window=window, measures=("cost_usd",),
    )  # fmt: skip
    (row,) = wide_rows(DuckdbReader(place.store.reader()), query)
    return int(row["cost_usd"] or 0)


def test_what_a_crash_left_out_is_booked_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = _planted(place)
    booked: list[str] = []

    def dying(store: Store, adjustment_id: str, given: Sequence[Adjustment]) -> int:
        if len(booked) == 2:
            raise OSError("disk full")
        booked.append(adjustment_id)
        return book_adjustments(store, adjustment_id, given)

    monkeypatch.setattr(trueup, "book_adjustments", dying)
    with pytest.raises(OSError, match="disk full"):
        _true_up(place)
    monkeypatch.undo()
    assert ledger_cost(place) != invoice
    _true_up(place)
    assert ledger_cost(place) == invoice
