"""``[finance]``: how months are closed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Finance(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[finance]``: billing periods, who approves them, and what stands in the way of a close."""

    mode: Literal["showback", "chargeback"] = "showback"
    """``showback`` shows owners what they cost; ``chargeback`` charges them, and closing a period
    asks for the approvals."""
    timezone: str = "UTC"
    """IANA zone of billing periods; what was closed keeps the one that it was closed with."""
    central_tenant: str = "platform"
    """Owner of what is shared: costs that are typed in are booked to it."""
    approvers: list[str] = []
    """User names that may approve a close and accept a check that fails; empty: anybody."""
    approvals_needed: Annotated[int, Meta(ge=0, le=10)] = 1
    """Approvals for a close in ``chargeback``; from two on who prepared it is not among them."""
    unpriced_calls_max: Annotated[int, Meta(ge=0)] = 0
    """Calls of unknown cost (unpriced or unmetered) that a period may be closed with."""
