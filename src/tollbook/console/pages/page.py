"""A page of the console, and the list of them all."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import View

GROUPS: Final = ("Spend", "Act", "Finance", "Trust", "Settings")
"""Headings of the navigation, in order."""

MODULES: Final = (
    "overview", "explorer", "sql", "tenants", "tenant", "features", "users", "models", "kinds",
    "layers", "calls", "call", "runs", "run",
    "budgets", "incidents", "alert_rules", "channels", "insights", "forecast",
    "margin", "pricebook", "reconciliation", "allocation", "periods", "statements",
    "provider_statements", "exports", "billing",
    "quality", "trace_audit", "audit_log", "operations",
    "getting_started", "keys", "people", "portals", "account",
)  # fmt: skip
"""Modules and packages of this one with ``PAGES``; the order is that of the navigation."""


class Page(NamedTuple):
    """One page: ``/path``, ``/path.json`` and ``/path.csv``."""

    path: str
    """Without variables: what a page is about is in its query, ``/tenant?id=acme``."""
    title: str
    build: Callable[[PageContext], View]
    permit: Permit = Permit(Scope.SPEND)
    group: str | None = None
    """Heading of the navigation that it stands under; None: it is reached from other pages."""
    is_kept: bool = True
    """Whether a view of some seconds ago will do, see :mod:`tollbook.console.pages.remembered`."""


@cache
def pages() -> dict[str, Page]:
    """Return every page by its path."""
    found: dict[str, Page] = {}
    for module in MODULES:
        name = f"tollbook.console.pages.{module}"
        if find_spec(name) is None:
            continue
        offered: tuple[Page, ...] = import_module(name).PAGES
        for page in offered:
            assert page.path not in found, f"two pages at {page.path}"
            found[page.path] = page
    return found
