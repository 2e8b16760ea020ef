"""Where values and numbers of tables lead to: the page of what they name, the calls behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.reports.dimensions import UNKNOWN

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
) -> list[dict[str, Any]]:  # fmt: skip
    """Return rows with links.

    Args:
        context: of the page.
        rows: with a value of the dimension; rows of what is left over get no links.
        dimension: that they are of.
        page: that a value leads to, filtered by it; None: tenants to their page, others to the
            explorer.
        calls: columns whose numbers lead to the calls.
    """
    found = []
    for row in rows:
        if row.get("is_other"):
            found.append(row)
            continue
        value = row[dimension]
        behind = context.filtered("/calls", dimension, value)
        links = dict.fromkeys(calls, behind)
        if page is None and dimension == "tenant":
            links[dimension] = tenant_url(context, value)
        else:
            links[dimension] = context.filtered(page or "/explorer", dimension, value)
        found.append(row | {"_links": links})
    return found
