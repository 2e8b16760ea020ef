"""All operations, by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.desk.desk import Operation

ROOMS: Final = (
    "tollbook.chargeback.pricebook",
    "tollbook.chargeback.billable",
    "tollbook.chargeback.terms",
    "tollbook.chargeback.statements",
    "tollbook.chargeback.reconcile",
    "tollbook.chargeback.allocate",
    "tollbook.chargeback.periods",
    "tollbook.chargeback.focus",
    "tollbook.chargeback.journal",
    "tollbook.chargeback.invoices",
    "tollbook.chargeback.billing",
    "tollbook.chargeback.margin",
    "tollbook.budgeting",
    "tollbook.insights",
    "tollbook.alerts",
    "tollbook.people",
    "tollbook.console.portal",
)
"""Packages whose ``operations`` module has ``OPERATIONS``. They are above this one, and found by
name."""


def operations() -> dict[str, Operation]:
    """Return every operation; names and routes are each there once."""
    found: dict[str, Operation] = {}
    routes: set[tuple[str, str]] = set()
    for room in ROOMS:
        name = f"{room}.operations"
        if find_spec(room) is None or find_spec(name) is None:
            continue
        offered: tuple[Operation, ...] = import_module(name).OPERATIONS
        for one in offered:
            assert one.name not in found, f"two operations are named {one.name}"
            assert (one.method, one.path) not in routes, f"two operations at {one.path}"
            found[one.name] = one
            routes.add((one.method, one.path))
    return found
