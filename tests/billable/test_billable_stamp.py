"""Every charge that is booked gets what its tenant is billed, by the rule that holds for it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.billable.billing_kit import DAY_NS, OCTOBER_NS

from tollbook.call import Status
from tollbook.ledger import rerate
from tollbook.ledger.billing_rerate import apply_billing, preview_billing
from tollbook.ledger.schema import Kind

if TYPE_CHECKING:
    from tests.billable.billing_kit import Ledger

# 1000 tokens at 2 and 500 at 8 USD per million: 0.006; by the list 0.012.
COST, LIST = "0.006000000000", "0.012000000000"
ALL_US = (0, 2**55)


def test_without_rules_nothing_is_said(ledger: Ledger) -> None:
    ledger.book(ledger.call())
    assert ledger.billed() == [(None, None, None)]
    assert ledger.verify().is_clean


@pytest.mark.parametrize(
    ("body", "amount"),
    [
        ({"basis": "cost_plus"}, COST),
        ({"basis": "cost_plus", "markup_percent": "25"}, "0.007500000000"),
        ({"basis": "cost_plus", "markup_percent": "-10"}, "0.005400000000"),
        ({"basis": "list"}, LIST),
        ({"basis": "list", "markup_percent": "-50"}, COST),
        ({"basis": "cost_plus", "model": "requested"}, "0.060000000000"),
        ({"basis": "list", "model": "requested"}, "0.120000000000"),
        ({"basis": "own_rates", "rates": {"input": "1", "output": "2"}}, "0.002000000000"),
        ({"basis": "per_unit", "units": {"call": "0.05"}}, "0.050000000000"),
        ({"basis": "cost_plus", "units": {"operation": "0.001"}}, "0.007000000000"),
        ({"basis": "cost_plus", "minimum_usd": "0.01"}, "0.010000000000"),
        ({"basis": "free"}, "0.000000000000"),
    ],
)
def test_bases(ledger: Ledger, body: dict[str, Any], amount: str) -> None:
    # asked for the big model, answered by the small one
    rule = ledger.rule("all", **body)
    ledger.book(ledger.call(model="big-1", actual="m-1"))
    ((billed, by, _),) = ledger.billed()
    assert (billed, by) == (amount, rule)
    assert ledger.verify().findings == ()


def test_the_most_specific_rule_bills(ledger: Ledger) -> None:
    default = ledger.rule("default", basis="cost_plus")
    by_model = ledger.rule("by-model", basis="cost_plus", match={"model": "M-*"})
    pattern = ledger.rule("pattern", basis="cost_plus", match={"tenant": "ac*"})
    exact = ledger.rule("exact", basis="cost_plus", match={"tenant": ["acme", "zeta"]})
    both = ledger.rule("both", basis="free", match={"tenant": "acme", "origin": "system"})
    pro = ledger.rule("pro", basis="free", match={"plan": "pro"})
    ledger.put("plans", {"kind": "plans", "tag": "plan", "tenants": {"p*": "pro", "px": "free"}})
    ledger.book(
        ledger.call("acme"), ledger.call("acme", request_origin="system"), ledger.call("acorn"),
        ledger.call("beta"), ledger.call(None, model="big-1"), ledger.call("pa"),
        ledger.call("px"), ledger.call("beta", tags={"plan": "pro"}),
    )  # fmt: skip
    chosen = [rule for _, rule, _ in ledger.billed()]
    assert chosen == [exact, both, pattern, by_model, default, pro, by_model, pro]
    assert ledger.verify().is_clean


def test_rules_hold_from_their_dates(ledger: Ledger) -> None:
    first = ledger.rule("a", basis="cost_plus", until_ns=OCTOBER_NS + 2 * DAY_NS)
    second = ledger.rule("b", OCTOBER_NS + 2 * DAY_NS, basis="free")
    later = ledger.rule("b", OCTOBER_NS + 4 * DAY_NS, basis="list")
    ledger.book(*(ledger.call(at_ns=OCTOBER_NS + day * DAY_NS) for day in (5, 0, 3, 1)))
    assert [rule for _, rule, _ in ledger.billed()] == [later, first, second, first]


def test_failed_retried_system_and_cached_calls(ledger: Ledger) -> None:
    ledger.rule("all", basis="cost_plus", retries=False, system=False, cached_percent="50")
    calls = [
        ledger.call(status=Status.ERROR),
        ledger.call(status=Status.CANCELLED),
        ledger.call(attempt=2),
        ledger.call(request_origin="system"),
        ledger.call(cached_from=b"c" * 16, is_billable=False),
        ledger.call(status=Status.REJECTED, is_billable=False, usage=()),
    ]
    ledger.book(*calls)
    told = [(amount, json.loads(flags or "[]")) for amount, _, flags in ledger.billed()]
    zero = "0.000000000000"
    assert told == [
        (zero, ["not charged: error"]),
        (COST, []),
        (zero, ["not charged: a further attempt"]),
        (zero, ["not charged: origin system"]),
        ("0.003000000000", ["cached answer, charged as work done"]),
        (zero, ["not charged: rejected"]),
    ]
    assert ledger.verify().findings == ()


def test_a_cached_answer_is_priced_by_list_as_if_it_were_made(ledger: Ledger) -> None:
    ledger.rule("all", basis="list")
    ledger.book(ledger.call(cached_from=b"c" * 16, is_billable=False))
    ((amount, _, flags),) = ledger.billed()
    assert amount == LIST
    assert "cached answer, charged as work done" in (flags or "")
    assert ledger.verify().findings == ()


def test_unknown_is_not_zero(ledger: Ledger) -> None:
    ledger.rule("all", basis="cost_plus", match={"tenant": "a"})
    ledger.rule("asked", basis="list", model="requested", match={"tenant": "b"})
    ledger.rule("else", basis="list", model="requested", unpriced="cost", match={"tenant": "c"})
    ledger.book(
        ledger.call("a", model="strange"), ledger.call("b", model="smart", actual="m-1"),
        ledger.call("c", model="smart", actual="m-1"),
    )  # fmt: skip
    told = [(amount, json.loads(flags or "[]")) for amount, _, flags in ledger.billed()]
    assert told == [
        (None, ["the cost is unknown"]),
        (None, ["no price for the model asked for"]),
        (COST, ["no price for the model asked for; the cost is used"]),
    ]
    assert ledger.verify().findings == ()


def test_rerating_bills_anew_and_mirrors_what_was(ledger: Ledger) -> None:
    ledger.rule("all", basis="cost_plus", markup_percent="100")
    ledger.book(ledger.call(), ledger.call("beta"))
    from tests.billable.billing_kit import prices  # noqa: PLC0415 -- beside what uses it

    rerate.rerate(ledger.store, ledger.shelf, prices(("m-*", "4", "16")))
    amounts = [amount for amount, _, _ in ledger.billed()]
    assert amounts == ["0.012000000000"] * 2 + ["-0.012000000000"] * 2 + ["0.024000000000"] * 2
    assert ledger.verify().findings == ()


def test_changed_rules_are_shown_then_booked_once(ledger: Ledger) -> None:
    ledger.rule("all", basis="cost_plus")
    ledger.book(ledger.call(), ledger.call("beta"), ledger.call("beta", is_stream=True),
                ledger.call("beta", cached_from=b"c" * 16, is_billable=False))  # fmt: skip
    new = ledger.rule("beta", basis="list", match={"tenant": "beta"})
    entries = ledger.rows("SELECT count(*) FROM entries")
    rows = preview_billing(ledger.store.reader(), ledger.biller, *ALL_US)
    assert ledger.rows("SELECT count(*) FROM entries") == entries
    (row,) = rows
    assert (row.tenant_id, row.rule, row.calls) == ("beta", new, 3)
    assert row.difference == 18 * 10**9  # three calls by 0.006 more
    before = ledger.total()
    assert apply_billing(ledger.store, *ALL_US, "list price agreed") == rows
    assert int((ledger.total() - before) * 10**12) == row.difference
    assert apply_billing(ledger.store, *ALL_US, "again") == []
    kinds = [kind for (kind,) in ledger.rows("SELECT kind FROM entries ORDER BY entry_id")]
    assert kinds == [Kind.CHARGE] * 4 + [Kind.REVERSAL] * 3 + [Kind.CHARGE] * 3
    assert ledger.rows("SELECT sum(calls), sum(cost_usd) FROM entries")[0][0] == 4
    assert ledger.verify().findings == ()


def test_verify_finds_what_was_tampered_with(ledger: Ledger) -> None:
    rule = ledger.rule("all", basis="cost_plus")
    ledger.book(ledger.call())
    ledger.store.biller = None
    with ledger.store.transaction() as connection:
        connection.execute("UPDATE entries SET billable_usd = 1")
    found = ledger.verify().findings
    assert f"what is billed is not what {rule} makes of it" in [one.problem for one in found]


def test_a_rule_that_cannot_be_read_is_left_out(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.put("odd", {"kind": "rule", "basis": "by the moon"})
    ledger.book(ledger.call())
    assert ledger.billed() == [(None, None, None)]
    assert "billing_rule/odd/1" in caplog.text


def test_documents_hold_what_they_are_told() -> None:
    from tollbook.prices.billable import Rule  # noqa: PLC0415 -- beside what uses it

    body = {"kind": "rule", "basis": "cost_plus", "markup_percent": "12.5"}
    rule = msgspec.convert(body, Rule)
    assert msgspec.json.decode(msgspec.json.encode(rule)) == body


def test_usage_that_comes_late_is_billed_anew(ledger: Ledger) -> None:
    from tollbook.call import LateUsage  # noqa: PLC0415 -- beside what uses it
    from tollbook.ledger.cards import UsedCards  # noqa: PLC0415 -- as above
    from tollbook.ledger.late_usage import LateBooks  # noqa: PLC0415 -- as above

    rule = ledger.rule("all", basis="cost_plus", markup_percent="100")
    call = ledger.call(provider_response_id="resp_1", usage=(), usage_complete=False)
    ledger.book(call)
    at_ns = call.opened.started_at_ns + 1000
    usage = b'{"prompt_tokens":1000,"completion_tokens":500}'
    late = LateUsage(b"l" * 16, at_ns, "openai", "resp_1", (usage,))
    books = LateBooks(ledger.store, UsedCards(ledger.cost_prices, ledger.shelf))
    with ledger.store.transaction() as connection:
        books.book(connection, [late], at_ns // 1000, None)
    estimated, reversed_, charged = ledger.billed()
    assert reversed_[1:] == estimated[1:]
    assert charged[:2] == ("0.012000000000", rule)
    assert ledger.total() == Decimal("0.012")
    assert ledger.verify().findings == ()


def test_another_owner_is_billed_by_another_rule(ledger: Ledger) -> None:
    import pyarrow as pa  # noqa: PLC0415 -- beside what uses it

    from tollbook.ledger.corrections import Correction, corrections  # noqa: PLC0415 -- as above
    from tollbook.ledger.schema import ENTRY_NAMES  # noqa: PLC0415 -- as above

    ledger.rule("all", basis="cost_plus")
    beta = ledger.rule("beta", basis="list", match={"tenant": "beta"})
    call = ledger.call("acme")
    ledger.book(call)
    with ledger.store.transaction() as connection:
        table = connection.sql(f"SELECT {', '.join(ENTRY_NAMES)} FROM entries").to_arrow_table()
        taken = corrections(table, [Correction(0, None, "the owner became known")])
        ledger.store.append(taken, 1)
        at = table.column_names.index("tenant_id")
        owned = table.set_column(at, "tenant_id", pa.array(["beta"]))
        again = {name: owned.column(name) for name in ENTRY_NAMES[2:] if name != "booked_at"}
        again |= {"replaces": pa.array([1]), "reason": pa.array(["the owner became known"])}
        ledger.store.append(again, 1)
    amounts = [amount for amount, _, _ in ledger.billed()]
    assert amounts == [COST, f"-{COST}", LIST]
    assert ledger.billed()[2][1] == beta
    assert ledger.verify().findings == ()
