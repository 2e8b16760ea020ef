"""All operations of finance, by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.chargeback.desk import Operation

ROOMS: Final = (
    "pricebook",
    "billable",
    "terms",
    "statements",
    "reconcile",
    "allocate",
    "periods",
    "focus",
    "journal",
    "invoices",
    "billing",
    "margin",
)
"""Packages of ``tollbook.chargeback`` whose ``operations`` module has ``OPERATIONS``."""


def operations() -> dict[str, Operation]:
    """Return every operation; names and routes are each there once."""
    found: dict[str, Operation] = {}
    routes: set[tuple[str, str]] = set()
    for room in ROOMS:
        name = f"tollbook.chargeback.{room}.operations"
        if find_spec(f"tollbook.chargeback.{room}") is None or find_spec(name) is None:
            continue
        offered: tuple[Operation, ...] = import_module(name).OPERATIONS
        for one in offered:
            assert one.name not in found, f"two operations are named {one.name}"
            assert (one.method, one.path) not in routes, f"two operations at {one.path}"
            found[one.name] = one
            routes.add((one.method, one.path))
    return found
