"""Answers from rollups are those from the entries alone, to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.ledger.rollup_tables import DAYS, HOURS
from tollbook.ledger.rollups import check_rollups, roll_chunk
from tollbook.reports import cover
from tollbook.reports.query import EntryWindow, Filter, SpendQuery
from tollbook.reports.spend import run_spend
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from tests.reports.conftest import MemoryLedger

START = datetime(2026, 3, 20, tzinfo=UTC)
MEASURES = (
    "calls", "operations", "errors", "input_tokens", "cost_usd", "billable_usd",
    "uncached_input_tokens_cost_usd", "unsplit_layer_tokens", "unsplit_layer_cost_usd",
)  # fmt: skip
MINUTES = st.integers(0, 30 * 24 * 60)
NAMES = st.sampled_from([None, "acme", "globex", "unknown"])
ENTRY = st.fixed_dictionaries(
    {
        "minute": MINUTES, "tenant_id": NAMES, "feature": st.sampled_from([None, "chat", "search"]),
        "model_actual": st.sampled_from([None, "gpt-4o"]),
        "status": st.sampled_from(["ok", "error"]),
        "cost_usd": st.none() | st.integers(-5, 9).map(lambda n: Decimal(n).scaleb(-12)),
        "part": st.sampled_from([0, 0, 1]), "is_retry": st.booleans(),
        "billable_usd": st.none() | st.just(Decimal("0.5")), "user_id": st.sampled_from(["u", "v"]),
        "uncached_input_tokens": st.integers(0, 9), "is_split": st.booleans(),
        "kind": st.sampled_from(["charge", "charge", "reversal"]),
        "billing_period": st.sampled_from([None, None, None, "2026-03", "2026-04", "2026-05"]),
    }
)  # fmt: skip
QUERY = st.fixed_dictionaries(
    {
        "minutes": st.tuples(MINUTES, MINUTES),
        "by": st.sampled_from([(), ("day",), ("hour",), ("week", "model"), ("tenant",),
                               ("feature", "status"), ("month", "tenant"), ("user",)]),
        "tz": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
        "where": st.sampled_from([(), (Filter("tenant", ("acme",)),), (Filter("feature", (None,)),),
                                  (Filter("tenant", (None,), negate=True),)]),
        "window": st.none() | st.builds(
            EntryWindow, period=st.just("2026-04"), start=st.just(START + timedelta(days=12)),
            end=st.just(START + timedelta(days=25)), after_entry=st.none() | st.integers(0, 20),
            upto_entry=st.none() | st.integers(0, 20),
        ),
    }
)  # fmt: skip


def _fill(ledger: MemoryLedger, drawn: list[dict[str, Any]]) -> None:
    ledger.clear()
    for table in ("rollup_hours", "rollup_days"):
        ledger.connection.execute(f"TRUNCATE {table}")
    ledger.connection.execute("UPDATE rollups SET upto_entry = 0, rows = 0")
    rows = []
    for at, one in enumerate(drawn, 1):
        fields = {
            name: value for name, value in one.items() if not name.startswith(("is_", "minute"))
        }
        row = ledger.entry(START + timedelta(minutes=one["minute"]), **fields)
        row |= {"entry_id": at, "calls": 0 if one["part"] else 1}
        row["retry_of"] = row["call_id"] if one["is_retry"] else None
        if one["is_split"]:
            row |= {"unsplit_layer_tokens": 3, "unsplit_layer_cost_usd": one["cost_usd"]}
        rows.append(row)
    if rows:
        ledger.add(*rows)


@settings(max_examples=100)
@given(
    drawn=st.lists(ENTRY, max_size=25),
    chunks=st.lists(st.integers(1, 9), max_size=4),
    queries=st.lists(QUERY, min_size=1, max_size=3),
)
def test_covered_answers_are_those_of_the_entries(
    shared_ledger: MemoryLedger,
    drawn: list[dict[str, Any]],
    chunks: list[int],
    queries: list[dict[str, Any]],
) -> None:
    _fill(shared_ledger, drawn)
    done = 0
    for size in chunks:
        roll_chunk(shared_ledger.connection, done, done + size)
        done += size
    assert check_rollups(shared_ledger.connection) == []
    for one in queries:
        since, until = sorted(one["minutes"])
        query = SpendQuery(
            since=START + timedelta(minutes=since), until=START + timedelta(minutes=until + 1),
            tz=one["tz"], by=one["by"], where=one["where"], measures=MEASURES,
            billing_period=one["window"] and one["window"].period, entry_window=one["window"],
        )  # fmt: skip
        plain = run_spend(shared_ledger.reader, query)
        wide = sorted(map(repr, wide_rows(shared_ledger.reader, query)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cover, "_RANGE_MIN", timedelta(0))
            patch.setattr(cover, "_WORTH", 0)
            assert run_spend(shared_ledger.reader, query) == plain
            assert sorted(map(repr, wide_rows(shared_ledger.reader, query))) == wide


def _cover(ledger: MemoryLedger, **fields: Any) -> cover.Cover | None:
    whole: dict[str, Any] = {"since": START, "until": START + timedelta(days=30)}
    return cover.cover_of(ledger.reader, SpendQuery(**whole | fields))


def test_what_covers_what(memory_ledger: MemoryLedger) -> None:
    memory_ledger.add(*(memory_ledger.entry(START, tenant_id="acme") for _ in range(8)))
    assert _cover(memory_ledger) is None, "nothing is rolled up"
    roll_chunk(memory_ledger.connection, 0, 8)
    found = {
        name: one and one.rollup
        for name, one in {
            "total": _cover(memory_ledger),
            "hours": _cover(memory_ledger, by=("hour", "model"), tz="Europe/Berlin"),
            "quarters": _cover(memory_ledger, by=("day",), tz="Asia/Kathmandu"),
            "tenants": _cover(memory_ledger, by=("tenant",), tz="Asia/Kathmandu"),
            "days": _cover(memory_ledger, by=("tenant", "day")),
            "berlin": _cover(memory_ledger, by=("tenant", "day"), tz="Europe/Berlin"),
            "users": _cover(memory_ledger, by=("user",)),
            "tags": _cover(memory_ledger, by=("tag:plan",)),
            "known": _cover(memory_ledger, booked_before=START + timedelta(days=9)),
            "short": _cover(memory_ledger, until=START + timedelta(days=6)),
        }.items()
    }
    assert found == {
        "total": HOURS, "hours": HOURS, "quarters": None, "tenants": DAYS, "days": DAYS,
        "berlin": None, "users": None, "tags": None, "known": None, "short": None,
    }  # fmt: skip


def test_a_rollup_that_was_tampered_with_is_found(memory_ledger: MemoryLedger) -> None:
    memory_ledger.add(memory_ledger.entry(START))
    roll_chunk(memory_ledger.connection, 0, 1)
    memory_ledger.connection.execute("UPDATE rollup_days SET cost_usd = cost_usd + 1")
    assert check_rollups(memory_ledger.connection) == [("rollup_days", "cost_usd")]
