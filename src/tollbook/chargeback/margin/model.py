"""Revenue as billing systems tell it, and what people decided about it: the bodies of documents."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tollbook.errors import TollbookError
from tollbook.prices.billable import BillingError, Match, Withdrawn, check_match, check_percent

INVOICE: Final = "invoice"
CREDIT_NOTE: Final = "credit_note"
COUNTED: Final = "counted"
VOID: Final = "void"
TEXT_CHARS_MAX: Final = 500
_SMALLEST: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND",
         "VUV", "XAF", "XOF", "XPF"),
        0,
    ),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}  # fmt: skip
"""Digits of the smallest unit, where it is not 2 (docs.stripe.com/currencies)."""
_Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]


class RevenueError(TollbookError):
    """Revenue, or what was decided about it, that cannot be used."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")


class RevenueLine(Struct, frozen=True, kw_only=True):
    """One line of an invoice or credit note, without tax."""

    source: str
    """``stripe``, ``lago``, ``csv:NAME``."""
    line_id: str
    """The source's own; the same line is never counted twice."""
    document_id: str
    category: Literal["invoice", "credit_note"] = INVOICE
    status: Literal["counted", "void"] = COUNTED
    customer_id: str | None = None
    tenant_id: str | None = None
    plan: str | None = None
    feature: str | None = None
    issued_at_ns: int
    start_ns: int
    """Of the service that it pays for, since the epoch."""
    end_ns: int
    """The first moment that it no longer pays for; that of the start for a moment."""
    amount: int
    """In 10^-12 of the currency; of a credit note negative."""
    currency: str
    description: str | None = None

    @property
    def content_sha256(self) -> str:
        """Hash of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Target(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    tag_field="kind", tag="target",
):  # fmt: skip
    """Thresholds of the rows that it names (``tenant``, ``plan``, ``feature``)."""

    match: Match = Match()
    min_margin_percent: Decimal | None = None
    max_cost_to_revenue_percent: Decimal | None = None
    max_margin_drop_points: Decimal | None = None
    """Of percentage points against the period before."""


class Customers(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="customers",
):  # fmt: skip
    """Which tenants the customers of a billing system are, by its id of them."""

    source: _Text
    customers: dict[str, _Text]


class Source(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="source"
):
    """A billing system to fetch from, other than the usual."""

    system: Literal["stripe", "lago"]
    base_url: Annotated[str, Meta(pattern="^https?://[^ ]+$", max_length=TEXT_CHARS_MAX)]
    key_env: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$", max_length=100)]


Body = Target | Customers | Source | Withdrawn


def check_body(body: Body) -> None:
    """Check what types do not say.

    Raises:
        BillingError: the field and what was expected.
    """
    if not isinstance(body, Target):
        return
    check_match(body.match)
    for name in ("model", "provider", "environment", "origin"):
        if getattr(body.match, name) is not None:
            raise BillingError(f"match.{name}: targets are of tenant, plan and feature")
    given = 0
    for name, least in (
        ("min_margin_percent", -1_000_000), ("max_cost_to_revenue_percent", 0),
        ("max_margin_drop_points", 0),
    ):  # fmt: skip
        percent = getattr(body, name)
        if percent is not None:
            check_percent(name, percent, least, 1_000_000)
            given += 1
    if not given:
        raise BillingError("min_margin_percent: is missing; a target needs a threshold")


def minor_pico(currency: str) -> int:
    """Return what the smallest unit of a currency is, in 10^-12 of it."""
    return int(10 ** (12 - _SMALLEST.get(currency, 2)))
