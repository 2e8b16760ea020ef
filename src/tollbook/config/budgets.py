"""``[[budgets]]``: limits on what an owner may spend in a stretch of time."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

BudgetField = Literal[
    "tenant", "user", "team", "feature", "workflow", "agent_run", "environment", "api_key", "model",
    "provider",
]  # fmt: skip
Window = Literal["hour", "day", "week", "month"]


class Budget(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[[budgets]]``: one limit, for one owner or for each of many.

    Exactly one of ``limit_usd``, ``limit_tokens`` and ``limit_requests`` is given.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """Named in refusals and metrics."""
    limit_usd: Decimal | None = None
    """Most US dollars in a window."""
    limit_tokens: Annotated[int, Meta(ge=0)] | None = None
    """Most tokens in a window, input and output."""
    limit_requests: Annotated[int, Meta(ge=0)] | None = None
    """Most calls in a window."""
    each: list[BudgetField] = []
    """A limit of its own for each tenant, or each pair of tenant and model; empty: one for all."""
    match: dict[BudgetField, str] = {}
    """Which calls count: field to pattern (``*`` and ``?`` as in file names)."""
    window: Window = "month"
    """Calendar hour, day, week (from Monday) or month."""
    timezone: str = "UTC"
    """IANA zone that the calendar is of."""
    mode: Literal["hard", "soft"] = "hard"
    """``hard`` refuses what may exceed the limit; ``soft`` only says so in the log."""
    unknown_price: Literal["refuse", "hold"] = "refuse"
    """A call whose price is not known: refused, or counted as ``hold_usd``."""
    hold_usd: Decimal = Decimal(1)
    """What a call of unknown price counts as."""
    default_output_tokens: Annotated[int, Meta(ge=0)] = 4096
    """What a call may write that sets no limit of its own, for the reservation."""
    warn_at_percent: list[Annotated[int, Meta(ge=1, le=100)]] = field(
        default_factory=lambda: [80, 100]
    )
    """Shares of the limit that are logged, once a window each."""
