"""Where values and numbers of tables lead to: the page of what they name, the calls behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.console.pages.context import PageContext


def tenant_url(context: PageContext, tenant: str | None) -> str:
    """Return the page of a tenant, or what is known of the calls that have none."""
    if tenant is None or tenant == UNKNOWN:
        return context.url("/quality")
    others = [one for one in context.all("where") if not one.startswith("tenant=")]
    return context.url("/tenant", id=tenant, where=others)


def with_links(
    context: PageContext, rows: Iterable[dict[str, Any]], dimension: str, *,
    page: str | None = None, calls: Iterable[str] = ("calls", "cost_usd"),
    where: Iterable[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Return rows with links.

    Args:
        context: of the page.
        rows: with a value of the dimension; rows of what is left over get no links.
        dimension: that they are of.
        page: that a value leads to, filtered by it; None: tenants to their page, others to the
            explorer.
        calls: columns whose numbers lead to the calls.
        where: filters that the rows were asked with, beside the page's.
    """
    found, further = [], list(where)
    for row in rows:
        if row.get("is_other"):
            found.append(row)
            continue
        value = row[dimension]
        filters = _narrowed(context, dimension, value, further)
        behind = context.url("/calls", where=filters)
        links = dict.fromkeys(calls, behind)
        if page is None and dimension == "tenant":
            links[dimension] = tenant_url(context, value)
        else:
            links[dimension] = context.url(page or "/explorer", where=filters)
        found.append(row | {"_links": links})
    return found


def _narrowed(
    context: PageContext, dimension: str, value: str | None, further: list[str]
) -> list[str]:
    others = [one for one in context.all("where") if not one.startswith(f"{dimension}=")]
    only = format_filter(Filter(dimension, (value,)))
    return [*others, *(one for one in further if one not in others), only]
