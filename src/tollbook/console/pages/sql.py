"""SQL for analysts: one SELECT over the ledger, as a page that can be linked to."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Column, Controls, Field, Notice, Section, Table, Text, View
from tollbook.console.sql.errors import SqlError
from tollbook.console.sql.routes import SqlRequest
from tollbook.desk.permits import Permit, Scope
from tollbook.reports.errors import QueryTimeoutError
from tollbook.reports.tabular import is_number_column

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_ROWS: Final = 500
_EXAMPLE: Final = (
    "SELECT tenant_id, sum(calls) AS calls, sum(cost_usd) AS cost_usd\n"
    "FROM entries WHERE called_at >= current_date - 7\n"
    "GROUP BY tenant_id ORDER BY cost_usd DESC LIMIT 20"
)
_HELP: Final = (
    "entries holds signed rows (charge, reversal, adjustment): sums of it are the reports. calls "
    "has each call as it is known now. Amounts are US dollars with twelve decimals, times are UTC. "
    "Nothing can be changed, and only these two tables can be asked."
)


def sql_page(context: PageContext) -> View:
    """Return the page with the query of its URL, and its answer."""
    text, tenant = context.get("sql"), context.get("tenant")
    sections: list[Section] = []
    if text is None:
        sections.append(Text(title="For example", text=_EXAMPLE, is_code=True))
    else:
        sections += _answered(context, text, tenant)
    sections.append(Text(text=_HELP))
    controls = Controls(
        has_range=False, has_filters=False,
        fields=(
            Field(name="sql", label="Query", kind="textarea", value=text or _EXAMPLE),
            Field(name="tenant", label="Only tenant", value=tenant, placeholder="all"),
        ),
    )  # fmt: skip
    command = f"tollbook sql {quote(text or _EXAMPLE)}"
    if tenant is not None:
        command += f" --tenant {quote(tenant)}"
    return View(
        title="SQL", subtitle="One SELECT over the ledger, read only.", controls=controls,
        sections=tuple(sections), command=command, tz=context.tz,
    )  # fmt: skip


def _answered(context: PageContext, text: str, tenant: str | None) -> list[Section]:
    assert context.house.sql is not None, "the process that has pages has SQL"
    try:
        answer = context.house.sql.answer(context.principal, SqlRequest(text, tenant, _ROWS))
    except (SqlError, QueryTimeoutError) as error:
        return [Notice(text=error.message, tone="bad")]
    columns = tuple(
        Column(name, name, "usd" if is_number_column(name) else "text") for name in answer.columns
    )
    found: list[Section] = [Table(name="rows", columns=columns, rows=answer.rows, empty="No rows.")]
    if answer.has_more:
        found.insert(0, Notice(text=f"There are more than {_ROWS} rows; the first are shown."))
    return found


PAGES: Final = (Page("/sql", "SQL", sql_page, Permit(Scope.SQL), group="Spend", is_kept=False),)
