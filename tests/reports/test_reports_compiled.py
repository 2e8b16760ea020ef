"""What is compiled once for a shape gives the same answers as a statement of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.ledger.schema import ENTRY_COLUMNS
from tollbook.reports.build import groups_expression
from tollbook.reports.compiled import compiled, quoted
from tollbook.reports.cover import Scan
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.table import to_sql
from tollbook.reports.zone import pieces, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = (
    "acme", "o'hara", "a,b", "", "unknown", "MAKE_TIMESTAMP(2190, 1, 1, 0, 0, 0.0)", "x\\'y",
    "\n\t",
)  # fmt: skip
TEXT = st.one_of(
    st.sampled_from(VALUES),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
FILTER = st.tuples(
    st.sampled_from(["tenant", "feature"]),
    st.lists(TEXT | st.none(), min_size=1, max_size=3),
    st.booleans(),
)
MOMENT = st.integers(0, 400 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """An entries table with a call of each value for most days of a year."""
    with duckdb.connect() as found:
        columns = ", ".join(f"{one.name} {one.sql}" for one in ENTRY_COLUMNS)
        found.execute(f"CREATE TABLE entries ({columns})")
        for at, value in enumerate((*VALUES, None)):
            found.execute(
                "INSERT INTO entries (entry_id, kind, calls, call_id, called_at, booked_at,"
                " price_state, tenant_id, feature, cost_usd, status)"
                " SELECT i, 'charge', 1, uuid(), TIMESTAMP '2026-01-01' + INTERVAL (i * 31) HOUR,"
                " TIMESTAMP '2026-01-02' + INTERVAL (i * 31) HOUR, 'priced', $1, $2, i * 0.000001,"
                " 'ok' FROM range(300) t(i)",
                [value, VALUES[-at]],
            )
        yield found


@settings(max_examples=40)
@given(
    moments=st.tuples(MOMENT, MOMENT, MOMENT), is_booked=st.booleans(),
    where=st.lists(FILTER, max_size=3),
    by=st.sampled_from([("tenant", "day"), ("day",), ("month", "tenant"), ("hour",), ("feature",)]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_a_filled_shape_answers_as_its_own_statement(
    connection: duckdb.DuckDBPyConnection,
    moments: tuple[datetime, datetime, datetime],
    is_booked: bool,  # noqa: FBT001 -- drawn
    where: list[tuple[str, list[str | None], bool]],
    by: tuple[str, ...],
    zone: str,
) -> None:
    since, until, booked = sorted(moments)
    query = SpendQuery(
        since=since, until=until + timedelta(seconds=1), tz=zone, by=by,
        where=tuple(Filter(name, tuple(values), negate) for name, values, negate in where),
        booked_before=booked if is_booked else None,
    )  # fmt: skip
    scan = Scan(pieces(zone_of(zone), query.since, query.until))
    own = to_sql(groups_expression(query, scan))
    expected = sorted(map(repr, connection.execute(own).fetchall()))
    assert sorted(map(repr, connection.execute(compiled(groups_expression, query)).fetchall())) == (
        expected
    )


@given(TEXT)
def test_quoted_text_is_the_text(text: str) -> None:
    assert duckdb.execute(f"SELECT {quoted(text)}").fetchall() == [(text,)]
