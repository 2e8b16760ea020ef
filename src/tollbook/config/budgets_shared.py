"""``[budgets_shared]``: several hosts use the same limits, through a Valkey or Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class BudgetsShared(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[budgets_shared]``: which hosts share budgets, and what if they cannot agree."""

    url: str | None = None
    """Of the Valkey or Redis, ``redis://host:6379/0`` or ``rediss://...``; unset: each host counts
    for itself. Where it holds a password use ``url_env``."""
    url_env: str | None = None
    """Variable that holds the URL; goes before ``url``."""
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "tollbook"
    """Of the keys there; hosts with the same one share."""
    chunk_percent: Annotated[int, Meta(ge=0, le=50)] = 5
    """How much of a limit a host takes in advance when it needs more: less asking, or finer
    shares."""
    interval_s: Annotated[float, Meta(ge=0.005, le=5)] = 0.05
    """How often a host looks who needs what; the first call of an owner waits about so long."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 0.5
    """Longest wait for an answer; then it counts as down."""
    lost_after_s: Annotated[float, Meta(ge=1)] = 60.0
    """After Valkey has lost its memory, how long the hosts that are known of are waited for."""
    when_down: Literal["refuse", "allow"] = "refuse"
    """Beyond what has been granted while it cannot be reached: hard budgets refuse with 503, or
    each host uses the limit for itself."""

    def address(self, environ: Mapping[str, str]) -> str | None:
        """Return the URL, None where hosts do not share."""
        if self.url_env is not None and environ.get(self.url_env):
            return environ[self.url_env]
        return self.url
