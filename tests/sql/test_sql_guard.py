"""Only one query over what is offered is run, and one tenant's query sees nothing of another."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.console.sql.errors import SqlError
from tollbook.console.sql.run import run_sql
from tollbook.ledger.schema import MIGRATIONS
from tollbook.reports.errors import QueryTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, THEIRS = "acme", "SECRET-globex"
AT = datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture(scope="module")
def ledger() -> Iterator[duckdb.DuckDBPyConnection]:
    """Calls of two tenants, one of them taken back."""
    with duckdb.connect(":memory:", config={"enable_external_access": False}) as made:
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            made.execute(statement)
        rows = [(1, "charge", None, OURS), (2, "charge", None, THEIRS), (3, "reversal", 2, THEIRS),
                (4, "charge", None, THEIRS)]  # fmt: skip
        for entry_id, kind, replaces, tenant in rows:
            sign = -1 if kind == "reversal" else 1
            made.execute(
                "INSERT INTO entries (entry_id, batch_id, kind, replaces, calls, call_id,"
                " called_at, booked_at, price_state, tenant_id, user_id, cost_usd) VALUES"
                " (?, 1, ?, ?, ?, uuid(), ?, ?, 'priced', ?, ?, ?)",
                [entry_id, kind, replaces, sign, AT, AT, tenant, f"user of {tenant}", sign * 7],
            )
        made.execute("CREATE TABLE notes AS SELECT 'SECRET-note' AS text")
        yield made


def _rows(ledger: duckdb.DuckDBPyConnection, text: str, **more: Any) -> list[dict[str, Any]]:
    return run_sql(ledger.cursor, text, **more).rows


def test_sums_are_exact_text_and_times_are_utc(ledger: duckdb.DuckDBPyConnection) -> None:
    text = (
        "SELECT tenant_id, sum(cost_usd) AS usd, min(called_at) AS at, 1 AS at FROM entries "
        "GROUP BY tenant_id ORDER BY tenant_id DESC"
    )
    assert _rows(ledger, text) == [
        {"tenant_id": tenant, "usd": "7.000000000000", "at": "2026-11-01T00:00:00+00:00", "at_1": 1}
        for tenant in (OURS, THEIRS)
    ]
    # The call that was taken back and charged again is there once.
    assert _rows(ledger, "SELECT count(*) AS n FROM calls") == [{"n": 2}]


def test_a_limit_says_that_there_is_more(ledger: duckdb.DuckDBPyConnection) -> None:
    answer = run_sql(ledger.cursor, "SELECT entry_id FROM entries ORDER BY 1", limit=2)
    assert ([row["entry_id"] for row in answer.rows], answer.has_more) == ([1, 2], True)
    with pytest.raises(SqlError, match="limit 0 is not between"):
        run_sql(ledger.cursor, "SELECT 1", limit=0)


@pytest.mark.parametrize("text", [
    "DROP TABLE entries", "DELETE FROM entries", "UPDATE entries SET calls = 0",
    "SELECT 1; SELECT 2",
    "INSERT INTO entries SELECT * FROM entries", "CREATE TABLE x AS SELECT 1", "ATTACH 'x.db'",
    "COPY entries TO 'x.csv'", "PRAGMA database_list", "SET threads = 1", "CALL pragma_version()",
    "SELECT * FROM notes", "SELECT * FROM main.entries", "SELECT * FROM memory.main.entries",
    "SELECT * FROM information_schema.tables", "SELECT * FROM duckdb_tables()", "SHOW TABLES",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'x.parquet'",
    "SELECT * FROM query('SELECT * FROM notes')", "SELECT * FROM query_table('notes')",
    "SELECT current_setting('memory_limit')", "SELECT getenv('HOME')", "DESCRIBE entries",
    "WITH entries AS (SELECT 1) SELECT * FROM entries", "SELECT * FROM sqlite_master", "",
    "SELECT", "SELECT * FROM entries WHERE tenant_id = ?", "EXPLAIN SELECT 1", "not sql at all",
    "SELECT (SELECT text FROM notes)", "SELECT * FROM glob('/*')", "VACUUM", "CHECKPOINT",
    "PREPARE x AS SELECT 1", "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT * FROM pragma_table_info('notes')", "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT * FROM json_execute_serialized_sql('{}')", "FROM notes", "TABLE notes",
    "SELECT text FROM notes n",
])  # fmt: skip
def test_what_is_no_query_over_the_ledger_is_refused(
    ledger: duckdb.DuckDBPyConnection, text: str
) -> None:
    with pytest.raises(SqlError):
        run_sql(ledger.cursor, text)
    assert ledger.execute("SELECT count(*) FROM entries").fetchall() == [(4,)]


ATTEMPTS = (
    "SELECT * FROM entries", "SELECT * FROM calls", "SELECT max(user_id) FROM entries",
    "SELECT * FROM entries WHERE tenant_id = 'SECRET-globex' OR TRUE",
    "SELECT * FROM entries UNION ALL SELECT * FROM entries", "FROM entries",
    "WITH x AS (SELECT * FROM entries) SELECT * FROM x, entries AS y",
    "SELECT (SELECT max(tenant_id) FROM entries)", "SELECT count(*) FROM entries e, calls c",
    "SELECT * FROM (SELECT tenant_id FROM entries) AS own", "SELECT list(user_id) FROM entries",
    "SELECT * FROM entries AS main", "SELECT e.* FROM calls e SEMI JOIN entries USING (tenant_id)",
    "SELECT * FROM calls -- ) UNION SELECT * FROM main.entries",
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.sampled_from(ATTEMPTS), st.sampled_from(["", " ", "\n", "/* x */", " -- y\n"]), st.booleans()
)
def test_one_tenants_query_never_shows_another(
    ledger: duckdb.DuckDBPyConnection,
    text: str,
    padding: str,
    is_wrapped: bool,  # noqa: FBT001 -- drawn
) -> None:
    wrapped = f"SELECT * FROM ({text}{padding or ' '}\n) AS t" if is_wrapped else padding + text
    answer = run_sql(ledger.cursor, wrapped, tenant=OURS)
    assert "SECRET" not in repr(answer.rows)
    assert answer.tenant == OURS


@given(st.text(max_size=60))
def test_any_text_is_answered_or_refused(ledger: duckdb.DuckDBPyConnection, text: str) -> None:
    try:
        said = repr(run_sql(ledger.cursor, text, tenant=OURS).rows)
    except SqlError as error:
        said = error.message
    assert "SECRET" not in said


def test_a_tenant_whose_name_is_sql_is_a_name(ledger: duckdb.DuckDBPyConnection) -> None:
    assert _rows(ledger, "SELECT * FROM entries", tenant="x' OR '1'='1") == []


def test_a_long_run_is_stopped(ledger: duckdb.DuckDBPyConnection) -> None:
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    with pytest.raises(QueryTimeoutError):
        run_sql(ledger.cursor, endless, timeout_s=0.2)
