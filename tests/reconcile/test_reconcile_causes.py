"""Each planted difference is found, named and sized to the last digit, alone and with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.reconcile.reconcile_kit import (
    CACHED,
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

from tollbook.chargeback.reconcile.model import Cause, MoneyBasis
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.reconcile.reconcile_kit import Place

    from tollbook.chargeback.reconcile.model import Difference, Reconciliation


def _cost(calls: Sequence[Call]) -> int:
    return sum(sum(one.costs().values()) for one in calls)


def _only(run: Reconciliation) -> Difference:
    (one,) = run.differences
    return one


def _tell(place: Place, calls: Sequence[Call], shift_h: int = 0) -> None:
    usage = lines_of(calls, money=False, key="key_gateway", shift_h=shift_h)
    place.state(Basis.USAGE, usage)
    place.state(Basis.COST, lines_of(calls, money=True, shift_h=shift_h))


def test_where_all_agree_there_is_no_difference(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    _tell(place, calls)
    run = place.reconcile()
    assert (run.differences, run.billed, run.basis) == ((), _cost(calls), MoneyBasis.COST)
    assert (run.coverage, run.accuracy, run.is_final) == ("100.0000", "100.0000", True)


def test_nothing_imported_is_not_a_difference_of_everything(place: Place) -> None:
    place.book(list(month_of_calls()))
    run = place.reconcile()
    assert (run.basis, run.differences, run.coverage) == (MoneyBasis.NONE, (), None)
    assert run.words


def test_traffic_on_a_key_that_the_ledger_lacks_is_bypass(place: Place) -> None:
    calls = list(month_of_calls())
    past = [Call(f"2026-10-{day:02}T09:00", {IN: 900 + day, OUT: 70}) for day in range(3, 20)]
    place.book(calls)
    place.state(
        Basis.USAGE,
        [
            *lines_of(calls, money=False, key="key_gateway"),
            *lines_of(past, money=False, key="key_playground"),
        ],
    )
    place.state(Basis.COST, lines_of([*calls, *past], money=True))
    run = place.reconcile()
    one = _only(run)
    assert (one.cause, one.amount) == (Cause.BYPASS, _cost(past))
    assert one.evidence["api_key"] == "key_playground"
    assert one.tokens == sum(sum((call.tokens or {}).values()) for call in past)
    assert len(one.days) == 17
    assert run.covered == run.billed - _cost(past)


def test_a_model_that_no_call_is_of_is_bypass_too(place: Place) -> None:
    calls = list(month_of_calls())
    past = [Call("2026-10-09T09:00", {IN: 900}, model="m-other")]
    place.book(calls)
    _tell(place, [*calls, *past])
    one = _only(place.reconcile())
    assert (one.cause, one.amount, one.model) == (Cause.BYPASS, _cost(past), "m-other")


def test_a_doubled_hour_is_found_by_the_half_of_it(place: Place) -> None:
    calls = list(month_of_calls(per_day=12))
    twice = [one for one in calls if one.at.startswith("2026-10-14T14")]
    assert twice
    place.book([*calls, *twice])
    _tell(place, calls)
    one = _only(place.reconcile())
    assert (one.cause, one.amount) == (Cause.DOUBLED, -_cost(twice))
    assert one.evidence["since"] == "2026-10-14T14:00Z"
    assert one.until_ns - one.since_ns == 3600 * 10**9


def test_a_doubled_day_is_found(place: Place) -> None:
    calls = list(month_of_calls())
    twice = [one for one in calls if one.at.startswith("2026-10-20")]
    place.book([*calls, *twice])
    _tell(place, calls)
    assert by_cause(place.reconcile()) == {Cause.DOUBLED: -_cost(twice)}


def test_a_wrong_card_shows_the_price_that_was_billed(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    dearer = RATES | {OUT: 9_000_000}
    place.state(Basis.USAGE, lines_of(calls, money=False))
    place.state(Basis.COST, lines_of(calls, money=True, rates=dearer))
    run = place.reconcile()
    tokens = sum((one.tokens or {})[OUT] for one in calls)
    assert by_cause(run) == {Cause.WRONG_CARD: tokens * 1_000_000}
    assert {one.kind for one in run.differences} == {OUT}
    (rates,) = run.differences[0].evidence["rates"]
    assert (rates["billed_usd"], rates["card_usd"], rates["per"]) == ("9", "8", "MTok")
    assert (rates["since"], rates["until"]) == ("2026-10-01", "2026-10-31")


def test_a_price_that_changed_within_the_month_has_its_day(place: Place) -> None:
    calls = list(month_of_calls())
    before = [one for one in calls if one.at < "2026-10-16"]
    after = [one for one in calls if one.at >= "2026-10-16"]
    place.book(calls)
    place.state(Basis.USAGE, lines_of(calls, money=False))
    cheaper = RATES | {IN: 1_500_000}
    place.state(
        Basis.COST,
        [*lines_of(before, money=True), *lines_of(after, money=True, rates=cheaper)],
    )
    run = place.reconcile()
    tokens = sum((one.tokens or {})[IN] for one in after)
    assert by_cause(run) == {Cause.WRONG_CARD: -tokens * 500_000}
    assert run.differences[0].evidence["rates"][0]["since"] == "2026-10-16"


def test_calls_without_a_price_are_a_wrong_card(place: Place) -> None:
    calls = list(month_of_calls())
    unpriced = [Call("2026-10-03T10:00", {IN: 500}, model="m-new", price_state="unpriced")]
    place.book([*calls, *unpriced])
    _tell(place, [*calls, *unpriced])
    one = _only(place.reconcile())
    assert (one.cause, one.amount, one.model) == (Cause.WRONG_CARD, 500 * RATES[IN], "m-new")
    assert one.evidence["rates"][0]["card_usd"] is None


def test_a_day_without_usage_report_is_compared_by_dollars(place: Place) -> None:
    calls = list(month_of_calls())
    there = [one for one in calls if not one.at.startswith("2026-10-05")]
    place.book(calls)
    place.state(Basis.USAGE, lines_of(there, money=False))
    place.state(Basis.COST, lines_of(calls, money=True))
    one = _only(place.reconcile())
    assert (one.cause, one.amount, one.days) == (Cause.PROVIDER_GAP, 0, ("2026-10-05",))
    gone = [call for call in calls if call.at.startswith("2026-10-05")]
    assert one.evidence["ledger_usd"] == usd_text(_cost(gone))


def test_a_wrong_card_is_seen_also_on_the_day_without_usage_report(place: Place) -> None:
    calls = list(month_of_calls())
    there = [one for one in calls if not one.at.startswith("2026-10-05")]
    place.book(calls)
    place.state(Basis.USAGE, lines_of(there, money=False))
    dearer = RATES | {OUT: 9_000_000}
    lines = lines_of(calls, money=True, rates=dearer)
    place.state(Basis.COST, [line | {"quantity": None} for line in lines])
    tokens = sum((one.tokens or {})[OUT] for one in calls)
    assert by_cause(place.reconcile()) == {
        Cause.WRONG_CARD: tokens * 1_000_000, Cause.PROVIDER_GAP: 0,
    }  # fmt: skip


def test_a_day_that_cost_reports_lack_is_late_until_the_invoice_has_it(place: Place) -> None:
    calls = list(month_of_calls(per_day=60))
    there = [one for one in calls if not one.at.startswith("2026-10-30")]
    gone = _cost(calls) - _cost(there)
    assert gone > 10**11
    place.book(calls)
    place.state(Basis.USAGE, lines_of(calls, money=False))
    place.state(Basis.COST, lines_of(there, money=True))
    assert by_cause(place.reconcile()) == {Cause.PROVIDER_GAP: -gone}


def test_days_of_another_zone_are_sized_by_the_hour(place: Place) -> None:
    calls = list(month_of_calls(per_day=24))
    before = [Call("2026-09-30T22:30", {IN: 777, OUT: 77}), Call("2026-09-30T21:30", {IN: 5})]
    after = [Call("2026-11-01T01:00", {IN: 100})]
    place.book([*before, *calls, *after])
    told = [one for one in [*before, *calls] if "2026-09-30T22" <= one.at < "2026-10-31T22"]
    _tell(place, told, shift_h=-2)
    run = place.reconcile()
    one = _only(run)
    late = [call for call in calls if call.at >= "2026-10-31T22"]
    assert late
    assert (one.cause, one.amount) == (Cause.BOUNDARY, _cost(before[:1]) - _cost(late))
    assert one.evidence["shift_h"] == -2


def test_calls_at_midnight_cancel_between_two_days(place: Place) -> None:
    calls = list(month_of_calls())
    night = Call("2026-10-11T23:59", {IN: 4000, OUT: 600})
    place.book([*calls, night])
    _tell(place, [*calls, night._replace(at="2026-10-12T00:01")])
    run = place.reconcile()
    one = _only(run)
    assert (one.cause, one.amount, one.tokens) == (Cause.BOUNDARY, 0, 0)
    assert one.days == ("2026-10-11", "2026-10-12")


def test_the_same_tokens_under_another_name_are_a_mapping(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    _tell(
        place,
        [one._replace(model="m-tiny" if one.model == "m-small" else one.model) for one in calls],
    )
    run = place.reconcile()
    one = _only(run)
    assert (one.cause, one.amount) == (Cause.MAPPING, 0)
    assert one.evidence == {"ledger_model": "m-small", "provider_model": "m-tiny"}


def test_calls_without_usage_explain_what_the_provider_has_more(place: Place) -> None:
    calls = list(month_of_calls())
    silent = Call("2026-10-07T08:00", {IN: 1500, OUT: 300})
    place.book([*calls, silent._replace(tokens=None, price_state="unpriced")])
    _tell(place, [*calls, silent])
    one = _only(place.reconcile())
    assert (one.cause, one.amount) == (Cause.MISSING_USAGE, _cost([silent]))
    assert one.evidence["calls_without_usage"] == 1


def test_attempts_taken_for_not_billed_explain_it_too(place: Place) -> None:
    calls = list(month_of_calls())
    failed = Call("2026-10-07T08:00", {IN: 1500, OUT: 30})
    place.book([*calls, failed._replace(tokens=None, price_state="not_billed")])
    _tell(place, [*calls, failed])
    assert by_cause(place.reconcile()) == {Cause.RETRIED: _cost([failed])}


def test_estimates_that_came_in_different(place: Place) -> None:
    calls = list(month_of_calls())
    real = Call("2026-10-07T08:00", {IN: 1500, OUT: 300})
    guess = real._replace(tokens={IN: 1400, OUT: 450}, usage_source="estimated")
    place.book([*calls, guess])
    _tell(place, [*calls, real])
    assert by_cause(place.reconcile()) == {Cause.ESTIMATE: _cost([real]) - _cost([guess])}


def test_what_no_rule_explains_says_so_on_both_sides(place: Place) -> None:
    calls = list(month_of_calls())
    more, less = Call("2026-10-04T08:00", {IN: 70_001}), Call("2026-10-22T08:00", {IN: 9_001})
    place.book([*calls, less])
    _tell(place, [*calls, more])
    run = place.reconcile()
    assert {one.cause for one in run.differences} == {Cause.UNEXPLAINED}
    assert sorted(one.amount for one in run.differences) == [-_cost([less]), _cost([more])]
    assert run.unexplained == _cost([less]) + _cost([more])


def test_the_invoice_has_taxes_credits_fees_and_a_rounded_sum(place: Place) -> None:
    calls = list(month_of_calls(per_day=40))
    place.book(calls)
    _tell(place, calls)
    usage = (_cost(calls) // 10**10 + 1) * 10**10
    place.state(
        Basis.INVOICE,
        [
            invoice_line(usd_text(usage)),
            invoice_line("11.88", Category.TAX, "VAT"),
            invoice_line("-250", Category.CREDIT, "Grant"),
            invoice_line("3.50", Category.USAGE, "Provisioned throughput"),
            invoice_line("1.25", Category.PURCHASE, "Support"),
            invoice_line("5", Category.ADJUSTMENT, "Minimum monthly charge"),
        ],
    )
    run = place.reconcile()
    assert run.basis is MoneyBasis.INVOICE
    assert by_cause(run) == {
        Cause.TAX: 11_880_000_000_000, Cause.CREDIT: -250 * 10**12,
        Cause.COMMITMENT: 3_500_000_000_000, Cause.FEE: 1_250_000_000_000,
        Cause.MINIMUM: 5 * 10**12, Cause.ROUNDING: usage - _cost(calls),
    }  # fmt: skip
    assert run.usage_billed == usage
    assert run.bill == "st-3"


def test_a_typed_total_alone_is_compared_through_the_usage(place: Place) -> None:
    calls = list(month_of_calls())
    past = [Call("2026-10-09T09:00", {IN: 9_000_000})]
    place.book(calls)
    place.state(
        Basis.USAGE,
        [*lines_of(calls, money=False, key="a"), *lines_of(past, money=False, key="b")],
    )
    total = _cost(calls) + _cost(past) + 40 * 10**10
    place.state(Basis.INVOICE, [invoice_line(usd_text(total))])
    assert by_cause(place.reconcile()) == {Cause.BYPASS: _cost(past), Cause.ROUNDING: 40 * 10**10}


def test_an_invoice_in_another_currency_leaves_exchange(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    _tell(place, calls)
    line = {
        "amount": _cost(calls) * 101 // 100, "currency": "EUR",
        "amount_in_currency": _cost(calls) * 9 // 10,
    }  # fmt: skip
    place.state(Basis.INVOICE, [line], currency="EUR")
    assert by_cause(place.reconcile()) == {Cause.FX: _cost(calls) // 100}


def test_a_cost_report_without_kinds_is_compared_without_kinds(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    lines = [
        line | {"kind": None, "amount": line["amount"], "quantity": line["quantity"]}
        for line in lines_of(calls, money=True)
    ]
    place.state(Basis.COST, lines)
    assert place.reconcile().differences == ()


def test_kinds_and_tiers_that_are_not_told_are_folded(place: Place) -> None:
    calls = [
        Call("2026-10-02T08:00", {IN: 900, CACHED: 100, OUT: 10}),
        Call("2026-10-03T08:00", {IN: 500, OUT: 10}, tier="batch"),
    ]
    place.book(calls)
    merged = [
        one._replace(tokens={
            IN: (one.tokens or {})[IN] + (one.tokens or {}).get(CACHED, 0),
            OUT: (one.tokens or {})[OUT],
        }, tier=None)
        for one in calls
    ]  # fmt: skip
    lines = lines_of(merged, money=True)
    lines[0]["amount"] -= 100 * (RATES[IN] - RATES[CACHED])
    place.state(Basis.COST, lines)
    assert place.reconcile().differences == ()


def test_a_month_of_money_is_laid_over_its_days(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    place.state(Basis.USAGE, lines_of(calls, money=False))
    sums: dict[tuple[str, str], int] = {}
    for line in lines_of(calls, money=True, rates=RATES | {IN: 2_500_000}):
        at = (line["model"], line["kind"])
        sums[at] = sums.get(at, 0) + line["amount"]
    place.state(
        Basis.COST,
        [{"model": model, "kind": kind, "amount": usd} for (model, kind), usd in sums.items()],
    )
    tokens = sum((one.tokens or {})[IN] for one in calls)
    found = by_cause(place.reconcile())
    assert abs(found.pop(Cause.ROUNDING, 0)) <= 100
    assert abs(found.pop(Cause.WRONG_CARD) - tokens * 500_000) <= 100
    assert not found


def test_all_at_once_each_keeps_its_size(place: Place) -> None:
    calls = list(month_of_calls(per_day=24))
    past = [
        Call(f"2026-10-{day:02}T09:00", {IN: 900 + day, OUT: 70}, model="m-large")
        for day in range(1, 32)
    ]
    twice = [one for one in calls if one.at.startswith("2026-10-14T13")]
    silent = Call("2026-10-18T08:00", {IN: 1500, OUT: 300}, model="m-small")
    place.book([*calls, *twice, silent._replace(tokens=None, price_state="unpriced")])
    dearer = RATES | {OUT: 8_400_000}
    place.state(
        Basis.USAGE,
        [
            *lines_of([*calls, silent], money=False, key="gateway"),
            *lines_of(past, money=False, key="play"),
        ],
    )
    place.state(Basis.COST, lines_of([*calls, *past, silent], money=True, rates=dearer))
    place.state(
        Basis.INVOICE,
        [
            {"amount": sum(
                line["amount"]
                for line in lines_of([*calls, *past, silent], money=True, rates=dearer)
            )},
            invoice_line("-2", Category.CREDIT, "Grant"),
        ],
    )  # fmt: skip
    run = place.reconcile()
    extra = 400_000
    out = sum((one.tokens or {})[OUT] for one in calls)
    assert by_cause(run) == {
        Cause.BYPASS: _cost(past) + extra * 70 * 31,
        Cause.DOUBLED: -_cost(twice),
        Cause.MISSING_USAGE: _cost([silent]) + extra * 300,
        Cause.WRONG_CARD: extra * out,
        Cause.CREDIT: -2 * 10**12,
    }
    assert run.ledger == ledger_cost(place)
    assert sum(one.amount for one in run.differences) == run.billed - run.ledger


def _adjust(place: Place, adjustment: AdjustmentType, amount: int, **told: Any) -> None:
    one = Adjustment(
        adjustment=adjustment, at_ns=ns("2026-10-08T00:00"), cost=amount, provider="openai",
        reason="terms", **told,
    )  # fmt: skip
    assert book_adjustments(place.store, f"terms:{adjustment}:{amount}", [one]) == 1


def test_capacity_is_compared_with_what_its_terms_booked(place: Place) -> None:
    calls = list(month_of_calls())
    served = [Call("2026-10-08T08:00", {IN: 5000, OUT: 100}, model="m-ptu")]
    place.book([*calls, *served])
    _tell(place, calls)
    line = {"amount": 90 * 10**12, "description": "Provisioned Managed Unit"}
    place.state(Basis.COST, [*lines_of(calls, money=True), line])
    for kind, amount in served[0].costs().items():
        _adjust(place, AdjustmentType.COMMITMENT, -amount, model="m-ptu", kind=kind)
    _adjust(place, AdjustmentType.COMMITMENT, 60 * 10**12, model="m-ptu")
    _adjust(place, AdjustmentType.IDLE_COMMITMENT, 29 * 10**12)
    one = _only(place.reconcile())
    assert (one.cause, one.amount) == (Cause.COMMITMENT, 10**12)
    assert one.evidence["booked_by_terms_usd"] == usd_text(89 * 10**12)


def test_a_volume_tier_that_was_booked_is_no_wrong_card(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    late = [one for one in calls if one.at >= "2026-10-21"]
    early = [one for one in calls if one.at < "2026-10-21"]
    cheaper = RATES | {IN: 1_000_000}
    place.state(Basis.USAGE, lines_of(calls, money=False))
    place.state(
        Basis.COST, [*lines_of(early, money=True), *lines_of(late, money=True, rates=cheaper)]
    )
    for model in ("m-large", "m-small"):
        tokens = sum((one.tokens or {})[IN] for one in late if one.model == model)
        _adjust(place, AdjustmentType.VOLUME_TIER, -tokens * 10**6, model=model, kind=IN)
    run = place.reconcile()
    assert run.difference == 0
    assert not [one for one in run.differences if one.cause is Cause.WRONG_CARD]
    assert run.unexplained == 0


def test_usage_of_a_month_in_one_line_is_no_gap(place: Place) -> None:
    calls = list(month_of_calls())
    place.book(calls)
    sums: dict[tuple[str, str], int] = {}
    for line in lines_of(calls, money=False):
        at = (line["model"], line["kind"])
        sums[at] = sums.get(at, 0) + line["quantity"]
    place.state(
        Basis.USAGE,
        [{"model": model, "kind": kind, "quantity": n} for (model, kind), n in sums.items()],
    )
    place.state(Basis.COST, lines_of(calls, money=True))
    assert place.reconcile().differences == ()


def test_a_call_at_midnight_on_a_day_without_others_is_no_gap(place: Place) -> None:
    calls = list(month_of_calls(range(1, 20)))
    night = Call("2026-10-24T23:59", {IN: 4000, OUT: 600})
    place.book([*calls, night])
    _tell(place, [*calls, night._replace(at="2026-10-25T00:01")])
    one = _only(place.reconcile())
    assert (one.cause, one.amount, one.days) == (Cause.BOUNDARY, 0, ("2026-10-24", "2026-10-25"))
