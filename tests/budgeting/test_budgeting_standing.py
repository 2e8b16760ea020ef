"""Where owners stand: parts add up, sums are the ledger's, the live table is read where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.budgeting.kit import START, House, Made
from tests.budgets.kit import FixedPrices, call, closed_of, rules_of, table_in

from tollbook import __version__, clock
from tollbook.budgeting import standing
from tollbook.budgeting.shelf import TopUp, in_force
from tollbook.budgeting.standing import LEDGER, LIVE, Stand, freed_at_s, standings
from tollbook.budgets.guard import Guard, Refused
from tollbook.budgets.rules import read_rules
from tollbook.call import Identity
from tollbook.config import Config
from tollbook.money import pico_from_usd
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from pathlib import Path

NOW = START + timedelta(days=2, hours=5, minutes=30)
NOW_S = int(NOW.timestamp())
RELAXED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MADE = st.builds(
    Made, at_s=st.integers(0, 3 * 86_400), tenant=st.sampled_from(["acme", "globex", None]),
    input_cost=st.integers(0, 10**12), input_tokens=st.integers(0, 1000),
    status=st.sampled_from(["ok", "ok", "error", "rejected"]), model=st.just("m-1"),
    output_cost=st.just(0), output_tokens=st.just(0), most=st.none(), lasts_s=st.just(0),
    metering=st.just("metered"),
)  # fmt: skip


def _at(now: datetime = NOW) -> Any:
    return mock.patch.object(clock, "unix_ns", return_value=int(now.timestamp()) * 10**9)


@RELAXED
@given(
    calls=st.lists(MADE, max_size=25), limit=st.integers(0, 5 * 10**12),
    unit=st.sampled_from(["usd", "tokens", "requests"]),
    kind=st.sampled_from(["calendar", "rolling"]),
    window=st.sampled_from(["hour", "day", "week", "month"]),
    extra=st.dictionaries(st.sampled_from(["acme", "initech"]), st.integers(1, 10**12)),
)  # fmt: skip
def test_parts_add_up_and_sums_are_the_ledgers(
    shared: House, calls: list[Made], limit: int, unit: str, kind: str, window: str,
    extra: dict[str, int],
) -> None:  # fmt: skip
    shared.clear()
    shared.write(calls)
    limits: dict[str, dict[str, Any]] = {
        "usd": {"limit_usd": f"{limit}E-12"}, "tokens": {"limit_tokens": limit},
        "requests": {"limit_requests": limit},
    }  # fmt: skip
    (rule,) = rules_of(**limits[unit], each=["tenant"], window=window, rolling=kind == "rolling")
    top_ups = tuple(
        TopUp(budget="cap", owner=(owner,), unit=unit, amount=amount, reason="x",
              expires_at_ns=2**62)
        for owner, amount in extra.items()
    )  # fmt: skip
    found = in_force(shared.books, [rule.budget], NOW_S * 10**9)._replace(top_ups=top_ups)
    stands = standings(shared.reader, shared.root, found, NOW_S)
    counted = rule.window(NOW_S)
    by_hand: dict[str, int] = {}
    for one in calls:
        at_s = int((START + timedelta(seconds=one.at_s)).timestamp())
        if one.status != "rejected" and counted.start_s <= at_s < counted.end_s:
            amount = {"usd": one.input_cost or 0, "tokens": one.input_tokens, "requests": 1}[unit]
            tenant = one.tenant or "unknown"
            by_hand[tenant] = by_hand.get(tenant, 0) + amount
    assert {one.owner[0]: one.spent for one in stands if one.spent} == {
        owner: amount for owner, amount in by_hand.items() if amount
    }  # fmt: skip
    assert {one.owner[0] for one in stands} >= set(extra)
    for stand in stands:
        _adds_up(stand)
        assert stand.top_ups == extra.get(stand.owner[0], 0)
        assert stand.source == LEDGER


def _adds_up(one: Stand) -> None:
    assert one.whole == one.limit + one.top_ups
    assert one.spent + one.held + one.left - one.over == one.whole
    assert not (one.left and one.over)
    assert one.is_blocked == (one.left == 0)
    exhausted_s = one.exhausted_at_s(NOW_S)
    if exhausted_s is not None:
        assert NOW_S <= exhausted_s < one.span.end_s
        gone_s = NOW_S - one.span.start_s
        assert one.spent * (exhausted_s - one.span.start_s) >= one.whole * gone_s


def _workers(root: Path) -> SpoolWriter:
    """Have it look as if a gateway worker of this process ran on the directory."""
    spool = root / "spool"
    spool.mkdir()
    return SpoolWriter(spool, new_writer_name(0), Config().spool, version=__version__)


def test_where_gateways_run_their_counters_are_read_with_what_calls_hold(house: House) -> None:
    (rule,) = rules_of(limit_usd="100E-12", each=["tenant"], window="day")
    house.write([Made(input_cost=30)])
    found = in_force(house.books, [rule.budget], NOW_S * 10**9)
    writer = _workers(house.root)
    guard = Guard((rule,), table_in(house.root), "w-1", FixedPrices(20), lambda: NOW_S)
    try:
        one, two = (guard.admit(call()) for _ in range(2))
        assert not isinstance(one, Refused)
        assert not isinstance(two, Refused)
        guard.settle(one, call(), closed_of(call()))
        other = guard.admit(call(identity=Identity(tenant_id="globex")))
        assert not isinstance(other, Refused)
        stands = {
            stand.owner: stand
            for stand in standings(house.reader, house.root, found, NOW_S)
        }  # fmt: skip
        # Nobody has told the table of what was booked before: the live counters count.
        house.clear()
        house.write([Made(at_s=2 * 86_400 + 60, input_cost=30)])
        stands = {
            stand.owner: stand
            for stand in standings(house.reader, house.root, found, NOW_S)
        }  # fmt: skip
    finally:
        guard.close()
        writer.close()
    acme = stands["acme",]
    assert (acme.spent, acme.held, acme.source) == (20, 20, LIVE)
    _adds_up(acme)


def test_states_forecast_and_reset_are_told_in_the_budgets_zone(house: House) -> None:
    house.config.budgets.clear()
    house.write([
        Made(at_s=2 * 86_400 + 1, tenant="acme", input_cost=100),
        Made(at_s=2 * 86_400 + 2, tenant="globex", input_cost=85),
        Made(at_s=2 * 86_400 + 3, tenant="initech", input_cost=40),
        Made(at_s=2 * 86_400 + 4, tenant="umbrella", input_cost=1),
    ])  # fmt: skip
    with _at(START):
        house.ask("set", name="cap", limit_usd="100E-12", each="tenant", window="day",
                  timezone="Europe/Berlin", reason="test")  # fmt: skip
        house.ask("set", name="soft", limit_usd="100E-12", mode="soft", window="day",
                  timezone="Europe/Berlin", reason="test")  # fmt: skip
    with _at():
        found = house.ask("standing")
        rows = {row["owner"]: row for row in found["rows"] if row["budget"] == "cap"}
        (soft,) = [row for row in found["rows"] if row["budget"] == "soft"]
        blocked = house.ask("standing", state="blocked")["rows"]
        mine = house.ask("standing", owner="globex")["rows"]
        first = house.ask("standing", limit=1)
    assert [row["state"] for row in found["rows"]] == [
        "blocked", "over", "warned", "on track to exceed", "ok",
    ]  # fmt: skip
    acme = rows["tenant=acme"]
    assert acme["blocked_until"] == acme["resets_at"] == "2026-11-05T00:00:00+01:00"
    assert acme["window_start"] == "2026-11-04T00:00:00+01:00"
    assert acme["exhausted_at"] is None
    # 40 in 6.5 hours: 100 after 16 hours and a quarter.
    assert rows["tenant=initech"]["exhausted_at"] == "2026-11-04T16:15:00+01:00"
    assert (soft["state"], soft["left"], soft["blocked_until"]) == ("over", "0.000000000000", None)
    assert soft["over"] == "0.000000000126"
    assert [row["owner"] for row in blocked] == ["tenant=acme"]
    assert [row["owner"] for row in mine] == ["tenant=globex"]
    assert (len(first["rows"]), first["matching"]) == (1, 5)
    assert found["states"] == dict.fromkeys(standing.STATES, 1)


def test_a_rolling_window_says_when_it_has_room_again(house: House) -> None:
    house.write([Made(at_s=2 * 86_400 + hour * 3600, input_cost=60) for hour in (1, 2)])
    with _at(START):
        house.ask("set", name="cap", limit_usd="100E-12", window="day", rolling="true",
                  reason="test")  # fmt: skip
    with _at():
        rows = [one for one in house.ask("standing")["rows"] if one["budget"] == "cap"]
    (row,) = rows
    assert row["state"] == "blocked"
    assert row["resets_at"] is None
    # A sixtieth of a day is 24 minutes: the part that the first call is in begins at 00:48.
    assert row["blocked_until"] == "2026-11-05T01:12:00Z"
    assert row["window_words"] == "the last 24 hours"


def test_room_comes_back_part_by_part() -> None:
    (rule,) = rules_of(limit_requests=3, window="minute")
    assert freed_at_s(rule, {100: 2, 101: 1}, 4) is None
    assert freed_at_s(rule, {100: 2, 101: 1}, 3) == 161
    assert freed_at_s(rule, {100: 2, 101: 3}, 3) == 162
    assert freed_at_s(rule, {100: 2}, 0) is None


def test_steps_are_shown_in_advance_and_the_next_one_is_named(house: House) -> None:
    house.write([Made(at_s=2 * 86_400 + 60, input_cost=55)])
    with _at(START):
        house.ask("set", name="cap", limit_usd="100E-12", window="day", each="tenant",
                  steps="50 rate 30; 70 model m-small; 95 refuse", reason="test")  # fmt: skip
        house.ask("top_up", name="cap", owner="acme", amount="0.0000000001", expires="30d",
                  reason="test")  # fmt: skip
    with _at():
        row = next(one for one in house.ask("standing")["rows"] if one["budget"] == "cap")
        listed = {one["name"]: one for one in house.ask("list")["rows"]}["cap"]
    assert row["next_step"] == {
        "at_percent": 50, "at_amount": "0.000000000100", "what": "at most 30 calls a minute",
    }  # fmt: skip
    assert [one["at_amount"] for one in listed["step_rows"]] == [
        "0.000000000050", "0.000000000070", "0.000000000095",
    ]  # fmt: skip


def test_calls_at_once_show_who_called_lately(house: House) -> None:
    house.write([Made(at_s=2 * 86_400 + 5 * 3600)])
    with _at(START):
        house.ask("set", name="cap", limit_concurrent=3, each="tenant", reason="test")
    with _at():
        row = next(one for one in house.ask("standing")["rows"] if one["budget"] == "cap")
    assert (row["spent"], row["left"], row["state"]) == ("0", "3", "ok")
    assert row["resets_at"] is None


def test_the_course_of_a_window_ends_at_what_was_spent(house: House) -> None:
    house.write([
        Made(at_s=day * 86_400 + hour * 3600, tenant=tenant, input_cost=10)
        for day in range(3) for hour in (1, 9) for tenant in ("acme", "globex")
        if day < 2 or hour < 5
    ])  # fmt: skip
    with _at(START):
        house.ask("set", name="cap", limit_usd="1", each="tenant", window="week", reason="test")
    with _at(), mock.patch.object(clock, "utc_now", return_value=NOW):
        found = house.ask("course", name="cap")
        rows = [one for one in house.ask("standing")["rows"] if one["budget"] == "cap"]
    last: dict[str, str] = {}
    for one in found["rows"]:
        assert pico_from_usd(one["spent"]) > pico_from_usd(last.get(one["owner"], "0"))
        last[one["owner"]] = one["spent"]
    assert last == {row["owner"]: row["spent"] for row in rows}
    assert {one["limit"] for one in found["rows"]} == {"1.000000000000"}
    assert found["step"] == "day"


def test_nothing_is_left_of_a_stop_that_has_ended(house: House) -> None:
    house.config.budgets.clear()
    now = datetime.now(tz=UTC)
    name = house.ask("stop", field="tenant", value="acme", until="1h", reason="x")["name"]
    with _at(now + timedelta(hours=2)):
        assert [row["budget"] for row in house.ask("standing")["rows"]] == []
        assert house.ask("list")["rows"] == []
    found = in_force(house.books, (), int(now.timestamp() + 60) * 10**9)
    assert [rule.budget.name for rule in read_rules(found.budgets, "books")] == [name]
