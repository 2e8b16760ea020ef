"""What-if: against an independent computation, against the real guard, and at its edges."""

from __future__ import annotations

import heapq
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.budgeting.hosts_kit import ByCall
from tests.budgeting.kit import START, House, Made
from tests.budgets.kit import call, closed_of, rules_of, table_in

from tollbook import clock
from tollbook.budgeting.history import PastCall, past_calls
from tollbook.budgeting.replay import REFUSED, Replay, Verdict
from tollbook.budgeting.written import BudgetError
from tollbook.budgets.guard import Guard, Refused
from tollbook.call import Identity
from tollbook.money import usd_text
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.budgets.rules import Rule

SINCE, UNTIL = START - timedelta(days=40), START + timedelta(days=40)
START_S = int(START.timestamp())
RANGE = {"since": SINCE.isoformat(), "until": UNTIL.isoformat()}
RELAXED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TENANTS = st.sampled_from(["acme", "globex", None])
MADE = st.builds(
    Made,
    at_s=st.integers(0, 4 * 86_400), tenant=TENANTS, model=st.sampled_from(["m-1", "m-2"]),
    input_cost=st.one_of(st.integers(0, 100), st.none()), output_cost=st.integers(0, 100),
    input_tokens=st.integers(0, 50), output_tokens=st.integers(0, 50),
    most=st.one_of(st.none(), st.integers(1, 60)), lasts_s=st.just(0), status=st.just("ok"),
    metering=st.just("metered"),
)  # fmt: skip
WINDOWS = st.sampled_from(["hour", "day", "week", "month"])
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])


def _usd(pico: int) -> str:
    return usd_text(pico)


@RELAXED
@given(calls=st.lists(MADE, max_size=30), window=WINDOWS, unit=st.sampled_from(
    ["usd", "tokens", "requests", "soft"]
))  # fmt: skip
def test_a_rule_that_never_refuses_blocks_nothing(
    shared: House, calls: list[Made], window: str, unit: str
) -> None:
    shared.clear()
    shared.write(calls)
    limits: dict[str, dict[str, Any]] = {
        "usd": {"limit_usd": "1000", "unknown_price": "hold", "hold_usd": "0.1"},
        "tokens": {"limit_tokens": 10**9}, "requests": {"limit_requests": 10**6},
        "soft": {"limit_usd": "0", "mode": "soft"},
    }  # fmt: skip
    found = shared.ask("what_if", each="tenant", window=window, **limits[unit], **RANGE)
    assert found["blocked_calls"] == found["waited_calls"] == found["blocked_owners"] == 0
    assert found["blocked_cost_usd"] == _usd(0)
    assert found["calls"] == len(calls)
    known = [one for one in calls if one.input_cost is not None]
    assert found["cost_usd"] == _usd(sum((one.input_cost or 0) + one.output_cost for one in known))
    assert sum(row["calls"] for row in found["rows"]) == len(calls)


def _window_of(at: datetime, window: str, zone: str) -> Any:
    local = at.astimezone(ZoneInfo(zone))
    if window == "hour":
        return (local.date(), local.hour, local.utcoffset())
    if window == "week":
        return local.isocalendar()[:2]
    return (local.year, local.month) if window == "month" else local.date()


def _blocked_by_hand(
    calls: Sequence[Made], window: str, zone: str, limit: int, default: int
) -> list[int]:
    """Which calls do not fit, of calls that last no time: sums over all that passed before."""
    outputs: dict[str, list[int]] = {}
    for one in calls:
        sums = outputs.setdefault(one.model, [0, 0])
        sums[0] += one.output_cost
        sums[1] += one.output_tokens
    passed: list[tuple[Any, int]] = []
    blocked = []
    for number, one in enumerate(calls):
        key = (one.tenant, _window_of(START + timedelta(seconds=one.at_s), window, zone))
        spent = sum(cost for other, cost in passed if other == key)
        most = one.most or default
        cost, tokens = one.output_cost, one.output_tokens
        if not tokens:
            cost, tokens = outputs[one.model]
        written = -(-cost * most // tokens) if tokens else 0
        is_unknown = one.input_cost is None
        needs = (one.input_cost or 0) + written
        if is_unknown or spent >= limit or spent + needs > limit:
            blocked.append(number)
        else:
            passed.append((key, (one.input_cost or 0) + one.output_cost))
    return blocked


@RELAXED
@given(
    calls=st.lists(MADE, min_size=1, max_size=25, unique_by=lambda one: one.at_s), window=WINDOWS,
    zone=ZONES, limit=st.integers(0, 600), default=st.integers(1, 40),
)  # fmt: skip
def test_blocked_calls_are_those_of_a_computation_by_hand(
    shared: House, calls: list[Made], window: str, zone: str, limit: int, default: int
) -> None:
    calls = sorted(calls, key=lambda one: one.at_s)
    if not limit:
        calls = [one._replace(input_cost=one.input_cost or 0) for one in calls]
    calls = [one if one.input_cost is not None else one._replace(output_cost=0) for one in calls]
    shared.clear()
    shared.write(calls)
    found = shared.ask(
        "what_if", limit_usd=f"{limit}E-12", each="tenant", window=window, timezone=zone,
        default_output_tokens=default, **RANGE,
    )  # fmt: skip
    blocked = [calls[number] for number in _blocked_by_hand(calls, window, zone, limit, default)]
    assert found["blocked_calls"] == len(blocked)
    cost = sum(0 if one.input_cost is None else one.input_cost + one.output_cost for one in blocked)
    assert found["blocked_cost_usd"] == _usd(cost)
    tenants: dict[str, int] = {}
    for one in blocked:
        name = f"tenant={one.tenant or 'unknown'}"
        tenants[name] = tenants.get(name, 0) + 1
    by_owner = {row["owner"]: row["blocked_calls"] for row in found["rows"]}
    assert {owner: number for owner, number in by_owner.items() if number} == tenants
    assert found["blocked_owners"] == len(tenants)
    if blocked:
        first = (START + timedelta(seconds=blocked[0].at_s)).isoformat().replace("+00:00", "Z")
        assert found["first_blocked_at"] == first


PAST = st.builds(
    lambda at, lasts, tenant, hold, share: PastCall(
        at_us=(START_S * 10 + at) * 100_000, ends_us=(START_S * 10 + at + lasts) * 100_000,
        owner=(tenant,), pico=hold * share // 4, tokens=0, hold_pico=hold, hold_tokens=0,
    ),
    st.integers(0, 40_000), st.integers(0, 3000), st.sampled_from(["acme", "globex"]),
    st.integers(0, 60), st.integers(0, 4),
)  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"window": "hour"}, {"window": "hour", "rolling": True}, {"window": "minute"},
    {"window": "day", "steps": [
        {"at_percent": 30, "action": "rate", "requests_per_minute": 3},
        {"at_percent": 60, "action": "model", "model": "m-small"},
        {"at_percent": 80, "action": "refuse"},
    ]},
]  # fmt: skip


def _by_the_guard(rule: Rule, calls: Sequence[PastCall]) -> list[bool]:
    """Have the real guard admit and settle the same calls; whether each was refused."""
    with tempfile.TemporaryDirectory() as root:
        now = [0]
        guard = Guard((rule,), table_in(Path(root)), "w-1", ByCall(), lambda: now[0])
        ending: list[tuple[int, int, Any]] = []
        refused = []

        def until(at_us: int) -> None:
            while ending and ending[0][0] <= at_us:
                ends_us, _, (opened, holds, pico) = heapq.heappop(ending)
                now[0] = ends_us // 10**6
                closed = closed_of(opened, http_status=200, output_chars=pico)
                guard.settle(holds, opened, closed)

        for number, one in enumerate(calls):
            until(one.at_us)
            now[0] = one.at_us // 10**6
            opened = call(
                identity=Identity(tenant_id=one.owner[0]), input_chars=one.hold_pico,
                started_at_ns=one.at_us * 1000,
            )  # fmt: skip
            holds = guard.admit(opened)
            refused.append(isinstance(holds, Refused))
            if not isinstance(holds, Refused):
                heapq.heappush(ending, (one.ends_us, number, (opened, holds, one.pico)))
        guard.close()
        return refused


@RELAXED
@given(
    calls=st.lists(PAST, min_size=1, max_size=40), limit=st.integers(1, 300),
    fields=st.sampled_from(RULES),
)  # fmt: skip
def test_a_replay_refuses_what_the_gateways_guard_refuses(
    calls: list[PastCall], limit: int, fields: dict[str, Any]
) -> None:
    calls = sorted(calls, key=lambda one: one.at_us)
    (rule,) = rules_of(limit_usd=f"{limit}E-12", each=["tenant"], **fields)
    fates = Replay(rule, wait_us=0).run(calls)
    assert [fate.call for fate in fates] == calls
    assert [fate.verdict in REFUSED for fate in fates] == _by_the_guard(rule, calls)


@RELAXED
@given(calls=st.lists(PAST, max_size=40), limit=st.integers(1, 300), wait_s=st.integers(0, 60))
def test_every_call_has_one_fate_and_waiting_never_exceeds_its_time(
    calls: list[PastCall], limit: int, wait_s: int
) -> None:
    calls = sorted(calls, key=lambda one: one.at_us)
    (rule,) = rules_of(limit_usd=f"{limit}E-12", each=["tenant"], window="month")
    fates = Replay(rule, wait_us=wait_s * 10**6).run(calls)
    assert sorted(fate.call for fate in fates) == sorted(calls)
    assert all(0 <= fate.at_us - fate.call.at_us <= wait_s * 10**6 for fate in fates)
    for owner in ("acme", "globex"):
        spent = sum(one.call.pico or 0 for one in fates
                    if one.verdict is Verdict.PASSED and one.call.owner == (owner,))  # fmt: skip
        assert spent <= limit


def test_a_call_waits_for_the_hold_of_another(house: House) -> None:
    house.write([
        Made(at_s=0, input_cost=0, output_cost=10, output_tokens=10, most=90, lasts_s=4),
        Made(at_s=1, input_cost=0, output_cost=10, output_tokens=10, most=80, lasts_s=4),
    ])  # fmt: skip
    asked = {"limit_usd": "100E-12", "each": "tenant", "window": "day", **RANGE}
    waiting = house.ask("what_if", **asked)
    assert (waiting["blocked_calls"], waiting["waited_calls"]) == (0, 1)
    refused = house.ask("what_if", wait_s="2", **asked)
    assert (refused["blocked_calls"], refused["waited_calls"]) == (1, 0)


def test_what_was_spent_before_the_range_counts_in_its_first_window(house: House) -> None:
    house.write([Made(at_s=3600, input_cost=80), Made(at_s=7200, input_cost=50)])
    asked: dict[str, Any] = {"limit_usd": "100E-12", "window": "day"}
    since = (START + timedelta(seconds=5000)).isoformat()
    found = house.ask("what_if", since=since, until=UNTIL.isoformat(), **asked)
    assert (found["calls"], found["blocked_calls"]) == (1, 1)
    found = house.ask(
        "what_if", since=since, until=UNTIL.isoformat(), **(asked | {"window": "hour"})
    )
    assert (found["calls"], found["blocked_calls"]) == (1, 0)


def test_a_stored_budget_is_tried_with_changes(house: House) -> None:
    house.write([Made(at_s=at, tenant=tenant) for at in range(4) for tenant in ("acme", "globex")])
    house.ask("set", name="cap", limit_requests=2, each="tenant", window="day", reason="test")
    found = house.ask("what_if", name="cap", **RANGE)
    assert found["said"] == (
        "Would have blocked 4 calls of 8 of 2 tenants, which cost 0.0000000004 USD."
    )
    assert house.ask("what_if", name="cap", limit_usd="1", **RANGE)["blocked_calls"] == 0
    only = house.ask("what_if", name="cap", match="tenant=acm*", **RANGE)
    assert (only["calls"], only["blocked_calls"]) == (4, 2)
    assert only["rule"]["match"] == {"tenant": "acm*"}
    assert house.ask("show", name="cap")["settings"]["limit_requests"] == 2


def test_top_ups_of_the_past_counted_then(house: House) -> None:
    now_ns = clock.unix_ns()
    house.ask("set", name="cap", limit_requests=1, window="hour", rolling="true", reason="test")
    house.ask("top_up", name="cap", amount="1", expires="2h", reason="test")
    start = datetime.fromtimestamp(now_ns / 10**9, tz=START.tzinfo) + timedelta(seconds=1)
    house.write([Made(at_s=at) for at in (0, 1, 2)], start)
    (row,) = house.ask("standing", name="cap")["rows"]
    assert (row["whole"], row["limit"]) == ("2", "1")
    replay = past_calls(house.reader, rules_of(limit_requests=1)[0], start - timedelta(hours=1),
                        start + timedelta(hours=1))  # fmt: skip
    assert len(replay) == 3
    (rule,) = rules_of(limit_requests=1, window="hour", rolling=True)
    fates = Replay(rule, extra=lambda _owner, _at_s: 1).run(replay)
    assert sum(fate.verdict in REFUSED for fate in fates) == 1


def test_steps_say_how_many_calls_they_would_have_touched(house: House) -> None:
    house.write([Made(at_s=at, input_cost=10) for at in range(12)])
    found = house.ask(
        "what_if", limit_usd="100E-12", window="day",
        steps="30 rate 2, 60 model m-small, 90 refuse", **RANGE,
    )  # fmt: skip
    assert [(one["at_percent"], one["calls"], one["refused_calls"]) for one in found["steps"]] == [
        (30, 9, 7), (60, 0, 0), (90, 0, 0),
    ]  # fmt: skip
    assert found["slowed_calls"] == found["blocked_calls"] == 7


def test_rejected_free_and_foreign_calls_do_not_count(house: House) -> None:
    house.write([
        Made(), Made(status="rejected"), Made(metering="free"), Made(tenant="globex"),
        Made(metering="unmetered", input_cost=0),
    ])  # fmt: skip
    found = house.ask("what_if", limit_requests=1, match="tenant=acme", **RANGE)
    assert (found["calls"], found["blocked_calls"]) == (2, 1)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, BudgetError),
        ({"limit_usd": "5", "since": "yesteryear"}, QueryError),
        ({"limit_usd": "5", "since": "2026-11-02", "period": "2026-11"}, QueryError),
        ({"limit_usd": "5", "tz": "Mars/Olympus"}, QueryError),
        ({"limit_usd": "much"}, QueryError),
        ({"limit_usd": "5", "colour": "blue"}, QueryError),
    ],
)
def test_questions_that_make_no_sense_are_refused(
    house: House, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        house.ask("what_if", **given)


def test_an_empty_range_answers_with_nothing(house: House) -> None:
    found = house.ask("what_if", limit_usd="5", since="2030-01-01", until="2030-02-01")
    assert (found["calls"], found["rows"]) == (0, [])
