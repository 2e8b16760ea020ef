"""``[alerts]``: how often rules are looked at, and where links in messages lead."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Alerts(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[alerts]``: rules are evaluated and channels told by the ledger process.

    Rules and channels themselves are kept in the books: ``tollbook alerts``.
    """

    enabled: bool = True
    """Whether rules are evaluated; what is due is sent in any case."""
    interval_s: Annotated[float, Meta(ge=1)] = 60.0
    """How often rules about the last hour are looked at; others less often."""
    console_url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    """Where people reach the console, for links in messages; empty: its own address."""
