"""Which SQL is allowed: one query over the tables that are offered, and nothing that does more.

The text is parsed, checked and written anew from what was understood of it, so nothing runs that
was not checked. The tables that it names are common table expressions put before it; a tenant's
filter is within them, where the query cannot reach. That files and the network are out of reach is
a setting of the whole database (``ledger/engines/duckdb.py``).
"""

from __future__ import annotations

from typing import Any, Final

import sqlglot
from sqlglot import exp

from tollbook.console.sql.errors import SqlError
from tollbook.reports.compiled import quoted

TEXT_MAX: Final = 20_000
_NODES_MAX: Final = 5_000
TABLES: Final = {
    "entries": "SELECT * FROM main.entries",
    "calls": (
        "SELECT * FROM main.entries AS e WHERE kind = 'charge' AND coalesce(part, 0) = 0 AND NOT "
        "EXISTS (SELECT 1 FROM main.entries AS r WHERE r.kind = 'reversal' "
        "AND r.replaces = e.entry_id)"
    ),
}
"""What is offered: all signed entries, whose sums are the reports; and calls as known now."""
_TABLE_FUNCTIONS: Final = frozenset({"range", "generate_series", "unnest"})
_FORBIDDEN: Final = frozenset({
    "current_setting", "getenv", "getvariable", "query", "query_table", "which_secret",
    "set_config", "txid_current", "nextval", "currval", "in_search_path", "current_database",
    "current_schemas",
})  # fmt: skip
_FORBIDDEN_STARTS: Final = (
    "read_", "write_", "duckdb_", "pragma_", "pg_", "json_execute", "parquet_",
)  # fmt: skip
_ONLY_QUERIES: Final = (
    exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Set,
    exp.Pragma, exp.Attach, exp.Detach, exp.Copy, exp.Merge, exp.Transaction, exp.Commit,
    exp.Rollback, exp.Use, exp.Describe, exp.Into, exp.Lock, exp.Parameter, exp.Placeholder,
)  # fmt: skip


def guarded(text: str, tenant: str | None, limit: int) -> str:
    """Return the statement that is run for a query.

    Args:
        text: one SELECT in DuckDB's dialect.
        tenant: the only one whose entries it may see; None for all.
        limit: most rows, and one more to know that there are.

    Raises:
        SqlError: it is no such query, or asks for what is not offered.
    """
    query = _parsed(text)
    names = {table.alias_or_name.lower() for table in query.find_all(exp.CTE)}
    taken = names & TABLES.keys()
    if taken:
        raise SqlError(f"{min(taken)} is the name of a table; give the WITH another name")
    for node in query.walk():
        _check(node, names)
    given = ", ".join(f"{name} AS ({_scoped(name, tenant)})" for name in TABLES)
    body = query.sql(dialect="duckdb", comments=False)
    return f"WITH {given} SELECT * FROM ({body}) AS answer LIMIT {limit + 1}"  # noqa: S608 -- checked above


def _parsed(text: str) -> exp.Query:
    if len(text) > TEXT_MAX:
        raise SqlError(f"is longer than {TEXT_MAX:,} characters")
    try:
        found = [one for one in sqlglot.parse(text, dialect="duckdb") if one is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise SqlError(f"is not understood: {str(error).splitlines()[0][:300]}") from error
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise SqlError("expected one SELECT, or WITH ... SELECT")
    if sum(1 for _ in found[0].walk()) > _NODES_MAX:
        raise SqlError("is too complex; ask for less at once")
    return found[0]


def _check(node: Any, names: set[str]) -> None:
    if isinstance(node, _ONLY_QUERIES):
        raise SqlError(f"{node.key.upper()} is not allowed; only SELECT is")
    if isinstance(node, exp.Table):
        _check_table(node, names)
    elif isinstance(node, exp.Func):
        name = _name(node)
        if name in _FORBIDDEN or name.startswith(_FORBIDDEN_STARTS):
            raise SqlError(f"the function {name} is not allowed")


def _check_table(node: exp.Table, names: set[str]) -> None:
    inner: Any = node.this
    if isinstance(inner, exp.Func):
        name = _name(inner)
        if name not in _TABLE_FUNCTIONS and not isinstance(inner, (exp.Unnest, exp.GenerateSeries)):
            raise SqlError(f"the function {name} is not allowed; tables are {', '.join(TABLES)}")
        return
    if node.args.get("db") or node.args.get("catalog"):
        raise SqlError(f"name tables without a schema: {', '.join(TABLES)}")
    if node.name.lower() not in names | TABLES.keys():
        raise SqlError(f"there is no table {node.name[:64]!r}; tables are {', '.join(TABLES)}")


def _name(function: Any) -> str:
    """Return the name of a function that the parser may know or not."""
    is_unknown = isinstance(function, exp.Anonymous)
    return str(function.name if is_unknown else function.sql_name()).lower()


def _scoped(name: str, tenant: str | None) -> str:
    if tenant is None:
        return TABLES[name]
    return f"SELECT * FROM ({TABLES[name]}) AS own WHERE tenant_id = {quoted(tenant)}"  # noqa: S608 -- quoted
