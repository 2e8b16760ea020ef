"""``[[budgets]]``: limits on what an owner may spend in a stretch of time."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

BudgetField = Literal[
    "tenant", "user", "team", "feature", "workflow", "agent_run", "environment", "api_key", "model",
    "provider",
]  # fmt: skip
Window = Literal["minute", "hour", "day", "week", "month"]


class Step(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One step of a budget that tightens before it refuses."""

    at_percent: Annotated[int, Meta(ge=1, le=100)]
    """Share of the limit that is spent when the step begins."""
    action: Literal["rate", "model", "refuse"]
    """Let only so many calls a minute through, ask for a cheaper model, or refuse."""
    requests_per_minute: Annotated[int, Meta(ge=1)] | None = None
    """Of ``rate``: most calls of the owner in any minute."""
    model: Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")] | None = None
    """Of ``model``: what is asked for in place of the client's model, at the same provider."""


class Budget(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[[budgets]]``: one limit, for one owner or for each of many.

    Exactly one of ``limit_usd``, ``limit_tokens``, ``limit_requests`` and ``limit_concurrent`` is
    given.
    """

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
            description="a name of at most 63 lower-case letters, digits, - and _",
        ),
    ]
    """Named in refusals and metrics."""
    limit_usd: Decimal | None = None
    """Most US dollars in a window."""
    limit_tokens: Annotated[int, Meta(ge=0)] | None = None
    """Most tokens in a window, input and output."""
    limit_requests: Annotated[int, Meta(ge=0)] | None = None
    """Most calls in a window."""
    limit_concurrent: Annotated[int, Meta(ge=0)] | None = None
    """Most calls under way at once; ``window`` has no meaning then."""
    each: list[BudgetField] = []
    """A limit of its own for each tenant, or each pair of tenant and model; empty: one for all."""
    match: dict[BudgetField, str] = {}
    """Which calls count: field to pattern (``*`` and ``?`` as in file names)."""
    window: Window = "month"
    """Calendar hour, day, week (from Monday) or month; a minute is always a rolling one."""
    rolling: bool = False
    """The last 60 minutes, 24 hours, 7 or 30 days instead of the calendar's."""
    timezone: str = "UTC"
    """IANA zone that the calendar is of."""
    mode: Literal["hard", "soft"] = "hard"
    """``hard`` refuses what may exceed the limit; ``soft`` only says so in the log."""
    steps: list[Step] = []
    """How a hard budget tightens on the way to its limit, in the order of ``at_percent``."""
    wait_s: Annotated[float, Meta(ge=0, le=300)] = 10.0
    """How long a call waits that would fit but for what calls under way have reserved."""
    stop_streams: bool = False
    """Cut the owner's running answers too once its limit is used up or lowered."""
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
