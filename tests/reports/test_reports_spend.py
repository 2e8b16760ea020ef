"""Sums that hold: every report against an independent fold in plain Python."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tollbook.money import pico_from_usd, usd_decimal, usd_text
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.spend import FootingError, run_spend
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tests.reports.conftest import Entry, MemoryLedger

PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SINCE = datetime(2026, 3, 25, 12, tzinfo=UTC)
UNTIL = datetime(2026, 11, 5, 12, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns"]
# Close to where offsets change, where sums go wrong if they do.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
]  # fmt: skip
TIMES = st.one_of(
    st.datetimes(SINCE.replace(tzinfo=None), UNTIL.replace(tzinfo=None), timezones=st.just(UTC)),
    st.builds(
        lambda at, by: at + by,
        st.sampled_from(CHANGES),
        st.timedeltas(-timedelta(hours=26), timedelta(hours=26)),
    ),
)
STATES = st.sampled_from(
    [
        ("priced", "reported", "ok"), ("priced", "estimated", "cancelled"),
        ("unpriced", "reported", "ok"), ("unmetered", "none", "ok"),
        ("not_billed", "none", "error"), ("free", "none", "ok"),
        ("priced", "estimated", "interrupted"),
    ]
)  # fmt: skip
TOKENS = st.integers(0, 10**12)
DIMENSIONS = [
    "tenant", "feature", "model", "model_requested", "status", "usage_source", "price_state",
    "tag:team", "hour", "day", "week", "month",
]  # fmt: skip


@st.composite
def entry_fields(draw: st.DrawFn) -> dict[str, Any]:
    price_state, usage_source, status = draw(STATES)
    known = price_state not in {"unpriced", "unmetered"}
    pico = draw(st.integers(0, 10**24)) if price_state == "priced" else 0
    tag = draw(st.sampled_from([None, "red", "a'b"]))
    has_usage = usage_source != "none"
    return {
        "called_at": draw(TIMES),
        "tenant_id": draw(st.sampled_from([None, "acme", "globex", "unknown", "O'Hara; --"])),
        "feature": draw(st.sampled_from([None, "chat", "search"])),
        "model_requested": draw(st.sampled_from(["m", "n"])),
        "model_actual": draw(st.sampled_from([None, "m-1", "n"])),
        "price_state": price_state,
        "usage_source": usage_source,
        "status": status,
        "tags": json.dumps({"team": tag}) if tag else draw(st.sampled_from(["{}", None])),
        "cost_usd": usd_decimal(pico) if known else None,
        "uncached_input_tokens": draw(TOKENS) if has_usage else None,
        "cache_read_tokens": draw(TOKENS) if has_usage else None,
        "reasoning_tokens": draw(TOKENS) if has_usage else None,
    }


@st.composite
def ledgers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Charges, some of them reversed and booked anew for another tenant or at another price."""
    fields = draw(st.lists(entry_fields(), max_size=12))
    rows = []
    for one in fields:
        rows.append(one)
        if draw(st.booleans()) and draw(st.booleans()):
            rows.append(_negated(one))
            rows.append(draw(entry_fields()) | {"called_at": one["called_at"]})
    return rows


def _negated(fields: dict[str, Any]) -> dict[str, Any]:
    signed = ("cost_usd", "uncached_input_tokens", "cache_read_tokens", "reasoning_tokens")
    return (
        fields
        | {"calls": -1, "kind": "reversal"}
        | {name: -fields[name] for name in signed if fields[name] is not None}
    )


def _fill(ledger: MemoryLedger, rows: list[dict[str, Any]]) -> list[Entry]:
    ledger.clear()
    entries = [ledger.entry(**fields) for fields in rows]
    if entries:
        ledger.add(*entries)
    return entries


def _key(entry: Entry, name: str, tz: str) -> str | None:
    """Return a dimension's value the slow way, by zoneinfo, one entry at a time."""
    local = entry["called_at"].astimezone(zone_of(tz))
    day: date = local.date()
    tags = entry["tags"] or ""
    values: dict[str, str | None] = {
        "hour": local.replace(minute=0, second=0, microsecond=0).isoformat("T", "minutes"),
        "day": day.isoformat(),
        "week": (day - timedelta(days=day.weekday())).isoformat(),
        "month": day.isoformat()[:7],
        "tenant": entry["tenant_id"] or "unknown",
        "model": entry["model_actual"] or entry["model_requested"],
        "tag:team": tags.split('"')[3] if "team" in tags else None,
    }
    return values[name] if name in values else entry[name]


def _fold(entries: list[Entry], by: tuple[str, ...], tz: str) -> dict[tuple[Any, ...], list[int]]:
    """Sum calls, input, output tokens and pico by key; groups of zeros left out."""
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for entry in entries:
        total = sums[tuple(_key(entry, name, tz) for name in by)]
        total[0] += entry["calls"]
        total[1] += (entry["uncached_input_tokens"] or 0) + (entry["cache_read_tokens"] or 0)
        total[2] += entry["reasoning_tokens"] or 0
        total[3] += pico_from_usd(entry["cost_usd"] or 0)
        total[4] += entry["cache_read_tokens"] or 0
    return {key: total for key, total in sums.items() if any(total)}


def _answer(rows: list[dict[str, Any]], by: tuple[str, ...]) -> dict[tuple[Any, ...], list[int]]:
    return {
        tuple(row[name] for name in by): [
            row["calls"], row["input_tokens"] or 0, row["output_tokens"] or 0,
            pico_from_usd(row["cost_usd"] or "0"), row["cache_read_tokens"] or 0,
        ]
        for row in rows
    }  # fmt: skip


def _sum(rows: list[dict[str, Any]]) -> list[int]:
    numbers = [_answer([row], ())[()] for row in rows]
    return [sum(column) for column in zip(*numbers, strict=True)] or [0, 0, 0, 0, 0]


@given(
    ledgers(),
    st.lists(st.sampled_from(DIMENSIONS), min_size=1, max_size=3, unique=True),
    st.sampled_from(ZONES),
)
@PROPERTY
def test_a_report_equals_the_fold_of_its_entries(
    shared_ledger: MemoryLedger, rows: list[dict[str, Any]], by: list[str], tz: str
) -> None:
    if tz == "Australia/Lord_Howe":
        by = [name for name in by if name != "hour"] or ["day"]
    entries = _fill(shared_ledger, rows)
    query = SpendQuery(
        since=SINCE - timedelta(days=3), until=UNTIL + timedelta(days=3), tz=tz, by=tuple(by)
    )
    report = run_spend(shared_ledger.reader, query)
    folded = _fold(entries, query.by, tz)
    # A group that nets to zero calls, tokens and dollars is shown only if it has other kinds.
    assert _answer(report.rows, query.by) == folded
    assert _sum(report.rows) == _answer([report.totals], ())[()]


@given(ledgers(), st.sampled_from(ZONES), st.lists(TIMES, max_size=4))
@PROPERTY
def test_any_partition_of_a_range_sums_to_the_range(
    shared_ledger: MemoryLedger, rows: list[dict[str, Any]], tz: str, cuts: list[datetime]
) -> None:
    _fill(shared_ledger, rows)
    whole = SpendQuery(since=SINCE, until=UNTIL, tz=tz)
    edges = sorted({SINCE, UNTIL, *(cut for cut in cuts if SINCE < cut < UNTIL)})
    parts = [
        run_spend(shared_ledger.reader, replace(whole, since=since, until=until)).totals
        for since, until in pairwise(edges)
    ]
    assert _sum(parts) == _sum([run_spend(shared_ledger.reader, whole).totals])


@given(ledgers(), st.integers(1, 4), st.sampled_from(DIMENSIONS))
@PROPERTY
def test_the_first_rows_and_the_rest_add_up(
    shared_ledger: MemoryLedger, rows: list[dict[str, Any]], limit: int, dimension: str
) -> None:
    _fill(shared_ledger, rows)
    query = SpendQuery(since=SINCE, until=UNTIL, by=(dimension, "provider"))
    everything = run_spend(shared_ledger.reader, query)
    some = run_spend(shared_ledger.reader, replace(query, limit=limit))
    assert _sum(some.rows) == _sum(everything.rows)
    assert some.rows[:limit] == everything.rows[:limit]
    if len(everything.rows) > limit:
        assert some.rows[limit]["is_other"] is True
        assert some.rows[limit]["groups"] == len(everything.rows) - limit
        assert len(some.rows) == limit + 1


@given(
    ledgers(),
    st.sampled_from(["tenant", "feature", "model", "tag:team", "price_state"]),
    st.lists(
        st.sampled_from([None, "acme", "chat", "m-1", "n", "red", "a'b", "priced", "O'Hara; --"]),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
@PROPERTY
def test_a_filter_and_its_negation_partition_the_ledger(
    shared_ledger: MemoryLedger,
    rows: list[dict[str, Any]],
    dimension: str,
    values: list[str | None],
) -> None:
    entries = _fill(shared_ledger, rows)
    query = SpendQuery(since=SINCE, until=UNTIL)
    chosen = Filter(dimension, tuple(values))
    inside = run_spend(shared_ledger.reader, replace(query, where=(chosen,))).totals
    outside = run_spend(
        shared_ledger.reader, replace(query, where=(replace(chosen, negate=True),))
    ).totals
    assert _sum([inside, outside]) == _sum([run_spend(shared_ledger.reader, query).totals])
    wanted = {"unknown" if value is None and dimension == "tenant" else value for value in values}
    matching = [
        entry
        for entry in entries
        if SINCE <= entry["called_at"] < UNTIL and _key(entry, dimension, "UTC") in wanted
    ]
    assert _sum([inside]) == _fold(matching, (), "UTC").get((), [0, 0, 0, 0, 0])


def test_unknown_cost_is_null_and_never_zero(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    unknown = {"cost_usd": None, "price_state": "unpriced"}
    memory_ledger.add(
        memory_ledger.entry(at, tenant_id="a", **unknown),
        memory_ledger.entry(at, tenant_id="b", **unknown),
        memory_ledger.entry(at, tenant_id="b"),
        memory_ledger.entry(at, tenant_id="c", cost_usd=Decimal(0), price_state="free"),
        memory_ledger.entry(at, cost_usd=None, price_state="unmetered", input_audio_tokens=None),
    )
    query = SpendQuery(since=SINCE, until=UNTIL, by=("tenant",), order=("tenant",))
    report = run_spend(memory_ledger.reader, query)
    assert {row["tenant"]: row["cost_usd"] for row in report.rows} == {
        "a": None, "b": "0.000001000000", "c": "0.000000000000", "unknown": None,
    }  # fmt: skip
    assert report.totals["cost_usd"] == "0.000001000000"
    complete = report.completeness
    assert (complete.unpriced.calls, complete.unpriced.cost_usd) == (2, None)
    assert (complete.unmetered.calls, complete.unattributed.calls) == (1, 1)
    assert (complete.estimated.calls, complete.estimated.cost_usd) == (0, "0.000000000000")


def test_a_call_moved_to_another_tenant_leaves_nothing_behind(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    cost = {"cost_usd": Decimal("0.5"), "uncached_input_tokens": 7}
    back = {"cost_usd": Decimal("-0.5"), "uncached_input_tokens": -7, "requests": 0}
    later = UNTIL + timedelta(days=30)
    memory_ledger.add(
        memory_ledger.entry(at, tenant_id="acme", **cost),
        memory_ledger.entry(
            at, tenant_id="acme", calls=-1, kind="reversal", booked_at=later, **back
        ),
        memory_ledger.entry(at, tenant_id="globex", booked_at=later, **cost),
    )
    query = SpendQuery(since=SINCE, until=UNTIL, by=("tenant",))
    now = run_spend(memory_ledger.reader, query)
    assert [row["tenant"] for row in now.rows] == ["globex"]
    billed = run_spend(memory_ledger.reader, replace(query, booked_before=UNTIL))
    assert [row["tenant"] for row in billed.rows] == ["acme"]
    assert now.totals == billed.totals


def test_sums_beyond_64_bits_are_exact(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    dearest = usd_decimal(10**30 + 1)
    memory_ledger.add(*(memory_ledger.entry(at, cost_usd=dearest) for _ in range(50)))
    report = run_spend(memory_ledger.reader, SpendQuery(since=SINCE, until=UNTIL))
    assert report.totals["cost_usd"] == usd_text(50 * 10**30 + 50)


def test_components_are_measures_and_add_up(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    memory_ledger.add(
        memory_ledger.entry(
            at, cost_usd=Decimal("0.3"), uncached_input_tokens_cost_usd=Decimal("0.1"),
            visible_output_tokens_cost_usd=Decimal("0.2"),
        )
    )  # fmt: skip
    names = ("uncached_input_tokens_cost_usd", "visible_output_tokens_cost_usd", "cost_usd")
    query = SpendQuery(since=SINCE, until=UNTIL, by=("provider",), measures=names)
    row = run_spend(memory_ledger.reader, query).rows[0]
    costs = [pico_from_usd(row[name]) for name in names]
    assert costs[0] + costs[1] == costs[2] == 300_000_000_000


def test_errors_are_counted(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    failed = {"status": "error", "price_state": "not_billed", "cost_usd": Decimal(0)}
    memory_ledger.add(memory_ledger.entry(at, **failed), memory_ledger.entry(at))
    query = SpendQuery(since=SINCE, until=UNTIL, measures=("calls", "errors"))
    assert run_spend(memory_ledger.reader, query).totals == {"calls": 2, "errors": 1}


def test_an_empty_ledger_is_zero_and_says_so(memory_ledger: MemoryLedger) -> None:
    report = run_spend(memory_ledger.reader, SpendQuery(since=SINCE, until=UNTIL, by=("tenant",)))
    assert report.rows == []
    assert report.totals["cost_usd"] == "0.000000000000"
    assert report.totals["calls"] == 0
    assert report.completeness.complete_until is None


def test_complete_until_is_the_watermark_or_the_end_of_the_range(
    memory_ledger: MemoryLedger,
) -> None:
    query = SpendQuery(since=SINCE, until=UNTIL)
    memory_ledger.complete_until(UNTIL - timedelta(hours=2))
    report = run_spend(memory_ledger.reader, query)
    assert report.completeness.complete_until == UNTIL - timedelta(hours=2)
    memory_ledger.complete_until(UNTIL + timedelta(hours=2))
    assert run_spend(memory_ledger.reader, query).completeness.complete_until == UNTIL


def test_rows_that_do_not_foot_are_never_shown(memory_ledger: MemoryLedger) -> None:
    at = SINCE + timedelta(hours=1)
    memory_ledger.add(memory_ledger.entry(at, tenant_id="a"), memory_ledger.entry(at))

    class LosesARow:
        def fetch(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
            rows = memory_ledger.reader.fetch(sql, values)
            return [row for row in rows if row[:2] != (0, 0)]

    with pytest.raises(FootingError):
        run_spend(LosesARow(), SpendQuery(since=SINCE, until=UNTIL, by=("tenant",)))
