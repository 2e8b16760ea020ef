"""Each kind of rule: fires where it should, and is silent just beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.alerts.alerts_kit import NOW, USD, House

from tollbook.alerts.evaluate import evaluate
from tollbook.alerts.finance import nobody
from tollbook.alerts.rule import DEFAULT_RULES, Kind, Rule, RuleError, read_rule
from tollbook.alerts.source import GridSource, LedgerSource
from tollbook.money import usd_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.alerts.signal import Signal

HOUR = timedelta(hours=1)
RECENT = NOW - timedelta(minutes=20)


def rule(kind: Kind, **changes: Any) -> Rule:
    return read_rule("probe", {"kind": kind.value, **changes})


def fired(house: House, one: Rule, ask: Any = nobody) -> list[Signal]:
    found = evaluate([one], LedgerSource(house.reader), ask, NOW)
    assert not found.problems
    assert found.evaluated == {"probe"}
    return list(found.signals)


def test_burn_rate_fires_for_the_tenant_that_is_unusual(house: House) -> None:
    for tenant in ("acme", "globex"):
        house.hourly(tenant, USD, until=NOW - HOUR)
    house.spend(RECENT, 9 * USD, tenant="acme", calls=300)
    house.spend(RECENT, USD, tenant="globex", calls=40)
    (one,) = fired(house, rule(Kind.BURN_RATE))
    assert one.named == {"tenant": "acme"}
    assert one.observed == "9.000000000000"
    assert one.expected == "1.000000000000"
    assert one.excess_pico == 8 * USD
    assert one.where == ("tenant=acme",)
    assert (one.since, one.until) == (NOW - HOUR, NOW)


@pytest.mark.parametrize("changes", [{"min_usd": "9"}, {"min_calls": 301}, {"ratio_percent": 1000},
                                     {"where": ["tenant=globex"]}])  # fmt: skip
def test_burn_rate_knows_what_is_noise(house: House, changes: dict[str, Any]) -> None:
    house.hourly("acme", USD, until=NOW - HOUR)
    house.spend(RECENT, 9 * USD, tenant="acme", calls=300)
    assert len(fired(house, rule(Kind.BURN_RATE))) == 1
    assert fired(house, rule(Kind.BURN_RATE, **changes)) == []


def test_burn_rate_for_each_pair_and_without_a_tenant(house: House) -> None:
    house.hourly("acme", USD, until=NOW - HOUR, feature="chat")
    rows = [house.row(NOW - timedelta(hours=back), USD, calls=30) for back in range(2, 700)]
    house.add(rows)
    house.spend(RECENT, 9 * USD, tenant="acme", feature="chat", calls=300)
    house.spend(RECENT, 9 * USD, calls=300)
    found = fired(house, rule(Kind.BURN_RATE, each=["tenant", "feature"]))
    assert {one.entity for one in found} == {("acme", "chat"), (None, None)}
    assert {one.where for one in found} == {("tenant=acme", "feature=chat"),
                                            ("tenant=", "feature=")}  # fmt: skip


def test_silence_is_an_incident_where_the_rule_says_so(house: House) -> None:
    house.hourly("acme", USD, until=NOW - HOUR)
    house.spend(RECENT, USD, tenant="globex")
    assert fired(house, rule(Kind.BURN_RATE)) == []
    (one,) = fired(house, rule(Kind.BURN_RATE, no_data="alert"))
    assert one.entity == ("acme",)
    assert "no calls" in one.words


def test_deviation_sees_a_dearer_week(house: House) -> None:
    house.hourly("steady", USD, until=NOW, days=29)
    house.hourly("grows", USD, until=NOW - timedelta(days=7), days=22)
    house.hourly("grows", 2 * USD, until=NOW, days=7)
    (one,) = fired(house, rule(Kind.DEVIATION))
    assert one.entity == ("grows",)
    assert one.excess_pico > 150 * USD


def test_new_spender_needs_a_ledger_that_knows_somebody(house: House) -> None:
    house.spend(NOW - 2 * HOUR, 20 * USD, tenant="fresh", calls=50)
    assert fired(house, rule(Kind.NEW_SPENDER)) == []
    house.hourly("old", USD, until=NOW)
    (one,) = fired(house, rule(Kind.NEW_SPENDER))
    assert one.entity == ("fresh",)
    assert one.excess_pico == 20 * USD


def test_request_cost_adds_up_the_calls_of_a_request(house: House) -> None:
    rows = []
    for day in range(1, 8):
        rows += [
            house.row(NOW - timedelta(days=day, hours=1, minutes=number), USD // 10, feature="chat",
                      request=f"r{day}-{number}")
            for number in range(120)
        ]  # fmt: skip
    for number in range(120):
        parts = 20 if number < 5 else 1
        rows += [
            house.row(NOW - 2 * HOUR, USD // 10, feature="chat", request=f"now-{number}")
            for _ in range(parts)
        ]
    house.add(rows)
    (one,) = fired(house, rule(Kind.REQUEST_COST, baseline_days=6))
    assert one.entity == ("chat",)
    assert one.observed == "2.000000000000"
    assert one.expected == "0.100000000000"
    assert one.calls == 120


def priced(house: House, at: Any, rate: int, tokens: int = 100_000, read: int = 0) -> None:
    house.spend(
        at, rate * tokens + rate * read // 10, model="m", calls=200, tenant="acme", feature="chat",
        uncached_input_tokens=tokens, uncached_input_tokens_cost_usd=usd_decimal(rate * tokens),
        cache_read_tokens=read, cache_read_tokens_cost_usd=usd_decimal(rate * read // 10),
    )  # fmt: skip


def test_price_change_is_by_token_and_not_by_the_mix(house: House) -> None:
    for day in range(1, 6):
        priced(house, NOW - timedelta(days=day), 30 * 10**6)
    priced(house, NOW - 2 * HOUR, 30 * 10**6, tokens=3_000_000)
    assert fired(house, rule(Kind.PRICE_CHANGE)) == []
    priced(house, NOW - HOUR, 42 * 10**6, tokens=3_000_000)
    (one,) = fired(house, rule(Kind.PRICE_CHANGE))
    assert one.entity == ("openai", "m")
    assert one.observed == "36.000000000000"
    assert one.expected == "30.000000000000"
    assert one.excess_pico == 36 * USD


def test_runaway_runs_by_cost_calls_and_repeated_steps(house: House) -> None:
    house.spend(RECENT, 26 * USD, run="dear", calls=20, tenant="acme")
    house.spend(RECENT, 2 * USD, run="long", calls=250, tenant="acme")
    house.spend(RECENT, 2 * USD, run="deep", step="plan", calls=150, tenant="globex")
    house.spend(RECENT, 2 * USD, run="fine", step="plan", calls=50, tenant="acme")
    house.spend(RECENT, 90 * USD, calls=900, tenant="acme")
    found = {one.entity[0]: one for one in fired(house, rule(Kind.RUNAWAY_RUN))}
    assert set(found) == {"dear", "long", "deep"}
    assert "more than $25.00" in found["dear"].words
    assert "250 calls" in found["long"].words
    assert "one step 150 times" in found["deep"].words
    assert found["deep"].tenant == "globex"


def test_a_run_is_held_against_the_median_of_many(house: House) -> None:
    rows = [house.row(RECENT, USD // 10, run=f"r{at}", calls=10) for at in range(30)]
    house.add([*rows, house.row(RECENT, 3 * USD, run="odd", calls=12)])
    (one,) = fired(house, rule(Kind.RUNAWAY_RUN))
    assert one.entity == ("odd",)


def test_error_storm_against_the_usual_share(house: House) -> None:
    house.hourly("acme", USD, until=NOW - HOUR, days=8, provider="anthropic")
    house.hourly("acme", 0, until=NOW - HOUR, days=8, provider="flaky", status="error", calls=40)
    house.hourly("acme", USD, until=NOW - HOUR, days=8, provider="flaky", calls=60)
    for provider in ("anthropic", "flaky"):
        house.spend(RECENT, 0, status="error", calls=80, provider=provider)
        house.spend(RECENT, USD, calls=120, provider=provider)
    (one,) = fired(house, rule(Kind.ERROR_STORM))
    assert one.entity == ("anthropic",)
    assert one.observed == "40.0"
    assert one.expected == "0.0"


def test_retry_storm_counts_further_attempts(house: House) -> None:
    house.hourly("acme", USD, until=NOW - HOUR, days=8)
    house.add([house.row(RECENT, USD // 10, tenant="acme", retry_of=b"1" * 16) for _ in range(100)])
    house.spend(RECENT, 5 * USD, tenant="acme", calls=100)
    (one,) = fired(house, rule(Kind.RETRY_STORM))
    assert one.observed == "50.0"
    assert one.excess_pico == 7 * USD + USD // 2
    assert fired(house, rule(Kind.RETRY_STORM, limit="51")) == []


def test_cache_collapse_in_dollars_of_the_full_price(house: House) -> None:
    for day in range(1, 6):
        priced(house, NOW - timedelta(days=day), 10 * 10**6, tokens=200_000, read=800_000)
    priced(house, NOW - 2 * HOUR, 10 * 10**6, tokens=900_000, read=100_000)
    (one,) = fired(house, rule(Kind.CACHE_COLLAPSE))
    assert one.entity == ("chat",)
    assert (one.observed, one.expected) == ("10.0", "80.0")
    assert one.excess_pico == 700_000 * 9 * 10**6
    assert fired(house, rule(Kind.CACHE_COLLAPSE, limit="90")) == []


def test_unattributed_and_unpriced(house: House) -> None:
    house.spend(RECENT - HOUR, 90 * USD, tenant="acme", calls=900)
    house.spend(RECENT - HOUR, 6 * USD, calls=60)
    house.spend(RECENT - HOUR, 4 * USD, tenant="unknown", calls=60)
    house.spend(RECENT - HOUR, None, tenant="acme", model="secret", price_state="unpriced", calls=3)
    (share,) = fired(house, rule(Kind.UNATTRIBUTED))
    assert share.excess_pico == 10 * USD
    assert share.where == ("tenant=",)
    (model,) = fired(house, rule(Kind.UNPRICED))
    assert model.named == {"provider": "openai", "model": "secret"}
    assert model.observed == "3"


def answers(**known: dict[str, Any]) -> Any:
    def ask(name: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        return known.get(name.replace(".", "_"))

    return ask


STANDING = {
    "budget": "monthly", "owner_fields": {"tenant": "acme"}, "unit": "usd",
    "limit": "100.000000000000", "top_ups": "0.000000000000", "spent": "85.000000000000",
    "percent": 85, "window": "month", "window_start": "2026-03-01T00:00:00+00:00",
    "resets_at": "2026-04-01T00:00:00+00:00",
}  # fmt: skip


def test_caps_near_and_over_by_the_end_of_the_month(house: House) -> None:
    ask = answers(budgets_standing={"rows": [STANDING, STANDING | {"percent": 20, "spent": "1"}]})
    (near,) = fired(house, rule(Kind.CAP_NEAR), ask)
    assert near.named == {"budget": "monthly", "tenant": "acme"}
    assert near.where == ("tenant=acme",)
    (over,) = fired(house, rule(Kind.FORECAST_OVER), ask)
    hours, gone = 31 * 24, 11 * 24 + 15
    assert over.excess_pico == 85 * USD * hours // gone - 100 * USD


def test_no_budgets_and_no_margins_are_no_problem(house: House) -> None:
    for kind in (Kind.CAP_NEAR, Kind.MARGIN_BELOW, Kind.FORECAST_OVER):
        assert fired(house, rule(kind)) == []


def test_forecast_of_the_month_against_a_limit(house: House) -> None:
    house.hourly("acme", USD, until=NOW, days=12)
    (one,) = fired(house, rule(Kind.FORECAST_OVER, limit="300", each=["tenant"]))
    assert one.entity == ("acme",)
    assert 430 * USD < one.excess_pico < 450 * USD
    assert fired(house, rule(Kind.FORECAST_OVER, limit="900")) == []


def test_margin_below_its_target(house: House) -> None:
    row = {"tenant": "acme", "alerts": ["margin of 10.00 % is below 40 %"], "calls": 5,
           "gross_margin_usd": "10.000000000000", "margin_percent": "10.00"}  # fmt: skip
    ask = answers(margin_show={"rows": [row, row | {"tenant": "fine", "alerts": []}]})
    (one,) = fired(house, rule(Kind.MARGIN_BELOW), ask)
    assert one.entity == ("acme",)
    assert one.words == "margin of 10.00 % is below 40 %"


def test_every_kind_has_a_built_in_rule_that_a_quiet_ledger_does_not_fire(house: House) -> None:
    assert {one.kind for one in DEFAULT_RULES.values()} == set(Kind)
    house.hourly("acme", USD, until=NOW + HOUR, days=40)
    found = evaluate(DEFAULT_RULES.values(), LedgerSource(house.reader), nobody, NOW)
    assert found.signals == ()
    assert found.problems == ()
    assert found.evaluated == set(DEFAULT_RULES)


def test_memory_says_what_the_ledger_says(house: House) -> None:
    house.hourly("acme", USD, until=NOW, days=12)
    house.spend(RECENT, 30 * USD, tenant="acme", calls=300)
    house.spend(RECENT, 20 * USD, calls=300)
    from tollbook.alerts.baseline import hour_of  # noqa: PLC0415 -- here only

    last = hour_of(NOW)
    ledger = LedgerSource(house.reader)
    grid = GridSource(LedgerSource(house.reader), last - 24 * 12, last)
    for by in ((), ("tenant",), ("tenant", "provider")):
        for back, width in ((0, 1), (0, 24), (1, 24), (2, 24), (30, 24), (0, 168), (5, 168)):
            until = NOW - back * HOUR
            span = (until - width * HOUR, until)
            assert grid.window(by, (), *span) == ledger.window(by, (), *span), (by, back, width)


def test_rules_are_evaluated_with_few_queries(house: House) -> None:
    house.hourly("acme", USD, until=NOW, days=31)
    house.spend(RECENT, 30 * USD, tenant="acme", calls=300)
    source = LedgerSource(house.reader)
    evaluate(DEFAULT_RULES.values(), source, nobody, NOW)
    first = source.queries
    assert first < 40
    source.forget(NOW + timedelta(minutes=1))
    fast = [DEFAULT_RULES[name] for name in ("burn-rate", "error-storm", "retry-storm",
                                             "runaway-run")]  # fmt: skip
    evaluate(fast, source, nobody, NOW + timedelta(minutes=1))
    # The baseline is that of the hour: only the last hour is asked again.
    assert source.queries - first <= 4


@pytest.mark.parametrize(("body", "words"), [
    ({"kind": "nonsense"}, "kind is not one of"),
    ({"kind": "burn_rate", "each": ["colour"]}, "there is no dimension 'colour'"),
    ({"kind": "burn_rate", "each": ["hour"]}, "there is no dimension 'hour'"),
    ({"kind": "burn_rate", "where": ["tenant"]}, "is not a filter"),
    ({"kind": "burn_rate", "min_usd": "much"}, "is not an amount of money"),
    ({"kind": "burn_rate", "min_usd": "-1"}, "zero or more"),
    ({"kind": "burn_rate", "tz": "Mars/Base"}, "not an IANA time zone"),
    ({"kind": "error_storm", "limit": "0.5"}, "whole number of percent"),
    ({"kind": "burn_rate", "window_h": 0}, ">= 1"),
    ({"kind": "runaway_run", "each": ["tenant"]}, "for each agent_run"),
    ({"kind": "burn_rate", "colour": 1}, "unknown field"),
])  # fmt: skip
def test_a_rule_that_cannot_be_is_told_in_one_line(body: dict[str, Any], words: str) -> None:
    with pytest.raises(RuleError, match=words) as caught:
        read_rule("mine", body)
    assert "\n" not in caught.value.message
    assert "'mine'" in caught.value.message
