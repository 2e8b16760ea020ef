"""Terms over a ledger: what they come to, booked once, and again only as the difference."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.periods.finance_kit import World, finance_world, usd
from tests.terms.terms_kit import AUGUST, Made, adjusted, apply, keep, make, tokens

from tollbook.chargeback.periods import operations as periods
from tollbook.chargeback.terms import operations
from tollbook.chargeback.terms.errors import TermFileError
from tollbook.chargeback.terms.files import read_terms

if TYPE_CHECKING:
    from pathlib import Path

GRADUATED: dict[str, Any] = {
    "name": "tiers", "what": {
        "type": "volume",
        "bands": [{"upto": "1000"}, {"upto": "3000", "discount_percent": "10"},
                  {"discount_percent": "50"}],
    },
}  # fmt: skip


def test_graduated_tiers_take_off_by_band_and_are_shared_by_use(world: World) -> None:
    make(world, [tokens(1000), tokens(3000, tenant="globex"), tokens(9, provider="azure")])
    keep(world, GRADUATED)
    # 1000 at full price, 2000 less 10 %, 1000 less 50 %: 10 pico each.
    preview = world.ask(operations.PREVIEW, period="2026-08")
    assert adjusted(world) == {}
    answer = apply(world)
    assert (answer["rows"], answer["problems"]) == (preview["rows"], [])
    assert adjusted(world, "tenant", "provider") == {
        ("volume_tier", "acme", "openai"): -1_750, ("volume_tier", "globex", "openai"): -5_250,
    }  # fmt: skip
    assert adjusted(world, "tenant", "cost_center", "feature", "model", "named_period").keys() == {
        ("volume_tier", tenant, f"cc-{tenant}", "chat", "gpt-5", "2026-08")
        for tenant in ("acme", "globex")
    }
    assert answer["terms"][0]["facts"] == [
        {"volume": "4000", "unit": "units", "band": 3, "bands": 3}
    ]


def test_all_units_and_prices_by_kind(world: World) -> None:
    make(world, [Made({"uncached_input_tokens": 600, "visible_output_tokens": 600})])
    keep(world, {"name": "tiers", "what": {
        "type": "volume", "mode": "all_units", "applies_to": ["visible_output_tokens"],
        "bands": [{"upto": "1000"}, {"prices": {"visible_output_tokens": "0.000004"}}],
    }})  # fmt: skip
    apply(world)
    # All 600 at 4 pico instead of 10, and in the component of their kind.
    assert adjusted(world) == {("volume_tier",): -3_600}
    sums = world.reader.fetch(
        "SELECT sum(visible_output_tokens_cost_usd * 1000000000000)::BIGINT FROM entries"
    )
    assert sums == [(2_400,)]


def test_discount_by_spend_sees_what_earlier_terms_took_off(world: World) -> None:
    make(world, [Made({"web_search_requests": 10}, rate=10**12), tokens(90, rate=10**12)])
    keep(
        world,
        {"name": "searches", "what": {"type": "quota", "kinds": ["web_search_requests"],
                                      "units": 10}},
        {"name": "spend", "what": {"type": "volume", "measured": "usd", "bands": [
            {"upto": "50"}, {"discount_percent": "10"}]}},
    )  # fmt: skip
    answer = apply(world)
    assert adjusted(world) == {("free_quota",): -usd("10"), ("volume_tier",): -usd("4")}
    facts = {one["term"]: one["facts"][0] for one in answer["terms"]}
    assert (facts["spend"]["volume"], facts["spend"]["unit"]) == ("90", "USD")


def test_a_quota_of_days_is_of_days_in_its_own_zone(world: World) -> None:
    searches = [
        Made({"web_search_requests": count}, at=at, rate=100, tenant=tenant)
        for count, at, tenant in (
            (4, datetime(2026, 8, 2, 20, tzinfo=UTC), "acme"),
            # Still the 2nd of August in Los Angeles.
            (4, datetime(2026, 8, 3, 5, tzinfo=UTC), "globex"),
            (1, datetime(2026, 8, 3, 9, tzinfo=UTC), "acme"),
        )
    ]
    make(world, searches)
    keep(world, {"name": "grounding", "timezone": "America/Los_Angeles", "what": {
        "type": "quota", "kinds": ["web_search_requests"], "units": 6, "per": "day"}})  # fmt: skip
    apply(world)
    assert adjusted(world, "tenant") == {
        ("free_quota", "acme"): -400,
        ("free_quota", "globex"): -300,
    }


def test_a_minimum_lacks_by_cost_and_is_not_due_while_the_month_runs(world: World) -> None:
    make(world, [tokens(30, rate=10**12), tokens(10, rate=10**12, tenant="globex")])
    minimum = {"name": "least", "what": {"type": "minimum", "amount_usd": "100"}}
    keep(world, minimum)
    apply(world)
    assert adjusted(world, "tenant") == {
        ("minimum", "acme"): usd("45"),
        ("minimum", "globex"): usd("15"),
    }
    nobody = minimum | {"what": {**minimum["what"], "shortfall": "unattributed"}}  # type: ignore[dict-item]
    keep(world, nobody)
    apply(world)
    assert adjusted(world, "tenant") == {("minimum", None): usd("60")}
    keep(world, nobody | {"start": "2026-08-16T12:00:00Z", "effective_from": "2026-01-01"})
    apply(world)
    # Half of the month is in the term, and nothing was spent in it.
    assert adjusted(world) == {("minimum",): usd("50")}


def test_a_running_month_owes_no_minimum_yet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(
        world, {"name": "least", "what": {"type": "minimum", "amount_usd": "100"}},
        {"name": "ptu", "what": {"type": "capacity", "units": 2, "price_per_unit_usd": "0.5"}},
    )  # fmt: skip
    now = datetime(2026, 8, 3, 7, 40, tzinfo=UTC)
    monkeypatch.setattr("tollbook.clock.unix_ns", lambda: int(now.timestamp()) * 10**9)
    answer = apply(world)
    assert "least: the month is not over: nothing is due yet" in answer["problems"]
    assert adjusted(world) == {("idle_commitment",): usd("55")}
    later = now + timedelta(days=60)
    monkeypatch.setattr("tollbook.clock.unix_ns", lambda: int(later.timestamp()) * 10**9)
    apply(world)
    assert adjusted(world) == {("idle_commitment",): usd("744"), ("minimum",): usd("100")}


def test_capacity_is_used_by_its_owners_and_the_rest_is_idle(world: World) -> None:
    hour = datetime(2026, 8, 1, 5, tzinfo=UTC)
    # 2 units of 100 tokens a minute: 12,000 in an hour.
    make(world, [
        tokens(2_000, at=hour, price_tier="provisioned", rate=7),
        tokens(1_000, at=hour, price_tier="provisioned", tenant="globex", rate=7),
        tokens(24_000, at=hour + timedelta(hours=1), price_tier="provisioned", rate=7),
        tokens(5_000, at=hour, rate=7),
    ])  # fmt: skip
    keep(world, {
        "name": "ptu", "price_tier": "provisioned", "model": "gpt-5",
        "start": "2026-08-01", "end": "2026-08-02", "what": {
            "type": "capacity", "units": 2, "price_per_unit_usd": "1.5",
            "tokens_per_minute_per_unit": 100},
    })  # fmt: skip
    answer = apply(world)
    assert adjusted(world, "tenant", "model") == {
        ("commitment", "acme", "gpt-5"): usd("0.5") + usd("3"),
        ("commitment", "globex", "gpt-5"): usd("0.25"),
        ("idle_commitment", None, "gpt-5"): usd("72") - usd("3.75"),
        # What a card had charged for these calls is taken back: they are paid by the hour.
        ("volume_tier", "acme", "gpt-5"): -26_000 * 7, ("volume_tier", "globex", "gpt-5"): -7_000,
    }  # fmt: skip
    assert world.total("provider") == {("openai",): usd("72") + 35_000}
    facts = answer["terms"][0]["facts"][0]
    assert facts["hours_above_capacity"] == 1
    assert facts["used_percent"] == "5.21"


def test_two_capacities_take_the_same_charge_back_once(world: World) -> None:
    make(world, [tokens(100, rate=7), tokens(50, is_priced=False, model="arn")])
    capacity = {"start": "2026-08-01", "end": "2026-08-02", "what": {
        "type": "capacity", "units": 1, "price_per_unit_usd": "1"}}  # fmt: skip
    keep(world, {"name": "one", **capacity}, {"name": "two", **capacity, "model": "gpt*"})
    keep(world, {"name": "free", "what": {
        "type": "quota", "kinds": ["uncached_input_tokens"], "units": 10**9}})  # fmt: skip
    make(world, [tokens(100, rate=7, at=datetime(2026, 8, 1, 8, tzinfo=UTC))])
    answer = apply(world)
    # One call is within the day; the quota takes off what is left of the other.
    assert adjusted(world, "adjustment_id") == {
        ("commitment", "terms:2026-08:one:1"): usd("1"),
        ("idle_commitment", "terms:2026-08:one:1"): usd("23"),
        ("volume_tier", "terms:2026-08:one:1"): -700,
        ("commitment", "terms:2026-08:two:1"): usd("1"),
        ("idle_commitment", "terms:2026-08:two:1"): usd("23"),
        ("free_quota", "terms:2026-08:free:1"): -700,
    }  # fmt: skip
    assert (
        "one: the capacity is not known: hours with any traffic count as used"
        in (answer["problems"])
    )


def test_calls_without_a_price_use_capacity_and_are_named(world: World) -> None:
    make(world, [tokens(100, is_priced=False, model="arn:aws:1")])
    keep(world, {"name": "units", "start": "2026-08-12", "end": "2026-08-13", "what": {
        "type": "capacity", "units": 1, "price_per_unit_usd": "24", "per": "day"}})  # fmt: skip
    answer = apply(world)
    assert adjusted(world, "tenant") == {
        ("commitment", "acme"): usd("1"), ("idle_commitment", None): usd("23"),
    }  # fmt: skip
    assert answer["problems"][1].startswith("units: calls of arn:aws:1 stay unpriced; a card with")


def test_a_commitment_is_drawn_over_its_months_and_its_rest_is_idle(world: World) -> None:
    keep(
        world,
        GRADUATED | {"what": {"type": "volume", "bands": [{"discount_percent": "50"}]}},
        {"name": "annual", "start": "2026-06-15", "end": "2026-08-15",
         "what": {"type": "commitment", "amount_usd": "100"}},
    )  # fmt: skip
    for month, day in ((6, 1), (6, 20), (7, 3), (8, 14), (8, 20)):
        make(world, [tokens(20, rate=10**12, at=datetime(2026, month, day, 9, tzinfo=UTC))])
    for period in ("2026-06", "2026-07", "2026-08"):
        answer = apply(world, period)
    # Three calls of 20 are within the term. Discounts are of a month's first day: that of June is
    # before the term, that of August is within it with all its 20.
    facts = {one["term"]: one["facts"][0] for one in answer["terms"]}
    assert facts["annual"]["committed_usd"] == "100.000000000000"
    idle = adjusted(world)["idle_commitment",]
    assert usd(facts["annual"]["drawn_usd"]) == usd("30")
    assert usd(facts["annual"]["remaining_usd"]) == idle == usd("70")
    assert adjusted(world, "tenant", "named_period")["idle_commitment", None, "2026-08"] == idle


def test_windows_of_a_commitment_each_have_the_whole_amount(world: World) -> None:
    keep(world, {"name": "monthly", "start": "2026-01-31", "what": {
        "type": "commitment", "amount_usd": "10", "every_months": 1}})  # fmt: skip
    make(world, [tokens(4, rate=10**12, at=datetime(2026, 2, 20, tzinfo=UTC))])
    for period, idle in (("2026-01", 0), ("2026-02", 6), ("2026-03", 16), ("2026-04", 26)):
        apply(world, period)
        found = sum(adjusted(world).values())
        assert found == idle * 10**12, period


def test_apply_twice_is_once_and_late_calls_book_the_difference(world: World) -> None:
    make(world, [tokens(1000), tokens(3000, tenant="globex")])
    keep(world, GRADUATED)
    first = apply(world)
    assert (first["booked"], apply(world)["booked"]) == (2, 0)
    make(world, [tokens(1000, tenant="initech")])
    preview = world.ask(operations.PREVIEW, period="2026-08")
    assert sum(usd(row["difference_usd"]) for row in preview["rows"]) == -5_000
    second = apply(world)
    assert second["runs"] == [{"run_id": "terms:2026-08:tiers:2", "term": "tiers", "entries": 3}]
    assert sum(adjusted(world).values()) == -12_000
    rows = world.reader.fetch(
        "SELECT DISTINCT corrects FROM entries WHERE adjustment_id = 'terms:2026-08:tiers:2'"
    )
    assert rows == [("terms:2026-08:tiers:1",)]


def test_the_order_of_late_calls_does_not_matter(tmp_path: Path) -> None:
    calls = [
        tokens(700, tenant="acme"), tokens(1500, tenant="globex", feature=None),
        tokens(2001, tenant=None), tokens(333, model="o5", rate=17),
    ]  # fmt: skip
    ends = set()
    for at, order in enumerate(itertools.islice(itertools.permutations(calls), 0, 24, 11)):
        (tmp_path / str(at)).mkdir()
        with finance_world(tmp_path / str(at)) as world:
            keep(world, GRADUATED, {"name": "ptu", "model": "o5", "what": {
                "type": "capacity", "units": 1, "price_per_unit_usd": "0.01",
                "tokens_per_minute_per_unit": 100}})  # fmt: skip
            for one in order:
                make(world, [one])
                apply(world)
            ends.add(tuple(sorted(map(str, adjusted(world, "tenant", "feature", "day").items()))))
    assert len(ends) == 1


def test_a_new_version_takes_the_old_one_back_and_an_end_ends_it(world: World) -> None:
    make(world, [tokens(4000)])
    keep(world, GRADUATED)
    apply(world)
    keep(world, GRADUATED | {"what": {"type": "volume", "bands": [{"discount_percent": "1"}]}})
    assert apply(world)["booked"] == 1
    assert adjusted(world) == {("volume_tier",): -400}
    world.ask(operations.END, name="tiers", at="2026-08-01", reason="contract is over")
    answer = apply(world)
    assert adjusted(world) == {}
    assert answer["rows"][0]["amount_usd"] == "0.000000000000"
    assert [row["version"] for row in world.ask(operations.HISTORY)["rows"]] == [1, 2, 3]
    assert world.ask(operations.SHOW, period="2026-08")["rows"] == []
    assert [row["version"] for row in world.ask(operations.SHOW, period="2026-07")["rows"]] == [2]


def test_unpriced_calls_count_and_stay_unpriced(world: World) -> None:
    make(world, [tokens(3000, is_priced=False, model="new"), tokens(1000),
                 tokens(50_000, price_state="cached", rate=0)])  # fmt: skip
    keep(world, GRADUATED)
    answer = apply(world)
    # A quarter of the 4,000: 1000 full, 2000 less a tenth, 1000 less half.
    assert adjusted(world, "model") == {("volume_tier", "gpt-5"): -1_750}
    assert answer["problems"] == [
        "tiers: no price is known for some calls of new: they count, and nothing is changed"
    ]


def test_a_scope_can_be_narrower_than_a_provider(world: World) -> None:
    make(world, [tokens(4000, model="gpt-5-mini"), tokens(4000, feature="search", model="o5"),
                 tokens(4000, price_tier="batch"),
                 tokens(4000, model="o6", tags='{"pool":"ptu"}')])  # fmt: skip
    half = {"type": "volume", "bands": [{"discount_percent": "50"}]}
    for name, scope, model in (
        ("a", {"model": "gpt-5-*"}, "gpt-5-mini"), ("b", {"where": ["feature=search"]}, "o5"),
        ("c", {"price_tier": "batch"}, "gpt-5"), ("d", {"where": ["tag:pool=ptu"]}, "o6"),
    ):  # fmt: skip
        keep(world, {"name": name, "what": half, **scope})
        apply(world)
        assert adjusted(world, "model") == {("volume_tier", model): -20_000}
        world.ask(operations.END, name=name, at="2026-01-01", reason="next")
        apply(world)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"what": {"type": "volume", "bands": [{"upto": "5"}]}}, "the last band has an end"),
        ({"what": {"type": "volume", "bands": [{"upto": "5"}, {"upto": "5"}, {}]}}, "expected to"),
        ({"what": {"type": "volume", "bands": [{}, {}]}}, "band 1: only the last"),
        ({"what": {"type": "volume", "bands": [{"discount_percent": "101"}]}}, "more than 100"),
        ({"what": {"type": "quota", "kinds": ["searches"], "units": 1}}, "'searches' is none of"),
        ({"what": {"type": "minimum", "amount_usd": "-1"}}, "amount_usd: '-1' is not a decimal"),
        ({"what": {"type": "commitment", "amount_usd": "1"}}, "end: expected, or every_months"),
        ({"what": {"type": "capacity", "units": 1}}, "expected price_per_unit_usd or upfront"),
        ({"what": {"type": "capacity", "units": 1, "upfront_usd": "1"}}, "end: expected, since"),
        ({"end": "2025-01-01"}, "end is not after start"),
        ({"start": "soon"}, "start: expected a date"),
        ({"where": ["model=x"]}, "model has a field of its own"),
        ({"timezone": "Mars"}, "timezone"),
        ({"order": 20}, "order: expected more than 20"),
        ({"order": 9, "what": {"type": "quota", "kinds": ["images"], "units": 1}}, "quotas next"),
        ({"modle": "x"}, "modle"),
    ],
)
def test_a_wrong_term_is_told_by_name_and_field(change: dict[str, Any], problem: str) -> None:
    fine = {"name": "fine", "provider": "openai", "start": "2026-01-01"}
    text = msgspec.json.encode({"terms": [
        fine | {"what": GRADUATED["what"]}, fine | GRADUATED | change,
    ]}).decode()  # fmt: skip
    with pytest.raises(TermFileError, match=f"terms.json: price term tiers: .*{problem}"):
        read_terms("terms.json", text)


def test_nothing_of_a_wrong_file_is_kept(world: World) -> None:
    with pytest.raises(TermFileError):
        keep(world, {"name": "fine", "what": GRADUATED["what"]}, GRADUATED | {"end": "2025-01-01"})
    assert world.ask(operations.SHOW)["rows"] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "terms.json: "), ('{"terms":[]}', "length >= 1"),
     ('{"terms":[{"name":"A"}]}', "term 1, name: expected")],
)  # fmt: skip
def test_a_wrong_file_is_told(text: str, problem: str) -> None:
    with pytest.raises(TermFileError, match=problem):
        read_terms("terms.json", text)


def test_calls_of_a_closed_month_land_in_the_next(world: World) -> None:
    make(world, [tokens(4000, at=AUGUST)])
    keep(world, GRADUATED)
    apply(world)
    closed = world.total(period="2026-08")
    _close(world, "2026-08")
    make(world, [tokens(4000, at=AUGUST)])
    apply(world)
    assert world.total(period="2026-08") == closed
    # 4,000 tokens more, all in the last band.
    assert world.total("adjustment", period="2026-09") == {
        (None,): 40_000, ("volume_tier",): -20_000,
    }  # fmt: skip


def _close(world: World, period: str) -> None:
    from tollbook.books.tables_periods import period_closes  # noqa: PLC0415 -- one test's

    last = world.reader.fetch("SELECT max(entry_id) FROM entries")[0][0]
    with world.books.write() as connection:
        connection.execute(period_closes.insert().values(
            period=period, seal="s", cutoff_entry_id=last, timezone="UTC", mode="showback",
            closed_by="ada", closed_at_ns=1,
        ))  # fmt: skip


@pytest.mark.parametrize("timezone", ["America/New_York", "Asia/Tokyo"])
def test_months_of_terms_and_of_the_books_may_differ(tmp_path: Path, timezone: str) -> None:
    with finance_world(tmp_path, timezone=timezone) as world:
        make(world, [tokens(4000), tokens(4000, at=datetime(2026, 8, 1, 1, tzinfo=UTC))])
        keep(world, GRADUATED, {"name": "ptu", "what": {
            "type": "capacity", "units": 1, "price_per_unit_usd": "1"}})  # fmt: skip
        apply(world)
        assert apply(world)["booked"] == 0
        found = world.total("adjustment", period="2026-08")
        assert found["commitment",] + found["idle_commitment",] == usd("744")
        assert world.total("adjustment", period="2026-07").keys() <= {(None,)}
        # Dated within the month of the books, too, wherever the days of both overlap.
        (dates,) = world.reader.fetch(
            "SELECT min(called_at), max(called_at) FROM entries WHERE kind = 'adjustment'"
        )
        assert datetime(2026, 8, 1) <= dates[0] < dates[1] <= datetime(2026, 8, 31)  # noqa: DTZ001 -- as stored


def test_a_month_is_reconciled_only_with_its_terms_booked(world: World) -> None:
    def check() -> list[str | None]:
        found = world.ask(periods.CHECK, period="2026-08", step="reconciled")["rows"]
        return [one["problem"] for one in found if one["check"] == "terms-applied"]

    make(world, [tokens(4000)])
    assert check() == []
    keep(world, GRADUATED)
    assert check() == [
        "tiers: 0.000000007000 USD not booked as it comes to now; see tollbook terms apply"
    ]
    apply(world)
    assert check() == [None]
