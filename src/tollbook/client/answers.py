"""Answers as Structs. Amounts are decimal texts, as exact as the ledger; None is unknown, not zero.

What a newer server says beside these fields is passed over.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

Row = dict[str, Any]
"""By the names of dimensions and measures."""


def usd(text: str | None) -> Decimal | None:
    """Return an amount as a number to compute with; None stays None."""
    return None if text is None else Decimal(text)


class Share(Struct, frozen=True):
    """Calls in one state, and their dollars."""

    calls: int
    cost_usd: str | None


class Completeness(Struct, frozen=True, kw_only=True):
    """What must be known before the totals are trusted."""

    complete_until: datetime | None
    unattributed: Share
    unpriced: Share
    estimated: Share
    unmetered: Share
    interrupted: Share
    incidents: int


class Spend(Struct, frozen=True, kw_only=True):
    """Sums by what was asked; the rows add up to the totals."""

    rows: list[Row]
    totals: Row
    completeness: Completeness
    currency: str


class Call(Struct, frozen=True, kw_only=True):
    """One call as known now."""

    call_id: str
    entry_id: int
    called_at: datetime
    tenant: str
    provider: str
    status: str
    price_state: str | None = None
    usage_source: str | None = None
    user_id: str | None = None
    feature: str | None = None
    agent_run_id: str | None = None
    environment: str | None = None
    api_key_id: str | None = None
    operation: str | None = None
    model_requested: str | None = None
    model_actual: str | None = None
    http_status: int | None = None
    error_type: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    operation_id: str | None = None
    provider_response_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cost_usd: str | None = None
    """None: no price is known, or it was not metered."""
    reported_cost_usd: str | None = None
    duration_ms: int | None = None
    time_to_first_token_ms: int | None = None


class Calls(Struct, frozen=True, kw_only=True):
    """A page of calls; totals and completeness are those of the whole range."""

    rows: list[Call]
    next_before: int | None
    """Give it as ``before`` for the next page; None on the last."""
    totals: Row
    completeness: Completeness


class Explanation(Struct, frozen=True, kw_only=True):
    """Why one call cost what it did."""

    call_id: str
    called_at: datetime
    what: Row
    """Provider, model, status and the like."""
    identity: dict[str, Row]
    """Field to its value and where that came from."""
    price: Row
    """The price card, and a line for each kind of tokens."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    net_cost_usd: str | None = None
    """All entries of it; None: no price is known."""
    usage_source: str | None = None
    usage_raw: list[str] = []
    """The provider's usage objects, byte for byte."""
    reported_cost_usd: str | None = None
    entries: list[Row] = []


class Runs(Struct, frozen=True, kw_only=True):
    """Runs of agents, the dearest first."""

    rows: list[Row]
    currency: str


class Run(Struct, frozen=True, kw_only=True):
    """The tree of one run: spans and calls as rows, each with its depth."""

    rows: list[Row]
    totals: Row = {}


class Budgets(Struct, frozen=True, kw_only=True):
    """Where budgets stand."""

    rows: list[Row]
    states: dict[str, int] = {}
    problems: list[str] = []
    note: str = ""


class Incidents(Struct, frozen=True, kw_only=True):
    """What was found, the dearest first."""

    rows: list[Row]
    counts: dict[str, int] = {}
    excess_usd: str | None = None
    has_more: bool = False


class Periods(Struct, frozen=True, kw_only=True):
    """Billing periods, and whether each is closed."""

    rows: list[Row]
    timezone: str = "UTC"


class Export(Struct, frozen=True, kw_only=True):
    """An export that was made."""

    export_id: str
    kind: str | None = None
    rows: list[Row] = []
    """Its files, by ``name``."""


class PortalToken(Struct, frozen=True, kw_only=True):
    """A token of one tenant's portal; shown this once."""

    token: str
    path: str
    """Of the portal with the token; put the address of Tollbook before it."""
    tenant: str
    parts: list[str]
    jti: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"PortalToken(tenant={self.tenant!r}, jti={self.jti!r})"
