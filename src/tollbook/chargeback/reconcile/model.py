"""What a reconciliation says: of one provider and time, every difference by its cause."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Cause(StrEnum):
    """Why the provider's figure is not the ledger's."""

    BYPASS = "bypass"  # usage by a key, project or model that Tollbook never saw
    MISSING_USAGE = "missing_usage"  # calls in the ledger whose usage nobody reported
    ESTIMATE = "estimate"  # usage that Tollbook estimated came in different
    WRONG_CARD = "wrong_card"  # quantities agree, dollars do not
    MAPPING = "mapping"  # the same quantities under another model's name
    DOUBLED = "doubled"  # hours that the ledger has twice
    RETRIED = "retried"  # attempts that Tollbook took for not billed
    BOUNDARY = "boundary"  # counted to the neighbouring day: another zone, or at midnight
    PROVIDER_GAP = "provider_gap"  # a day that the provider's reports lack
    CREDIT = "credit"
    TAX = "tax"
    MINIMUM = "minimum"
    FEE = "fee"  # what no call is charged for: sessions, storage, support, platform fees
    COMMITMENT = "commitment"  # capacity that is paid by the hour, used or not
    FX = "fx"  # exchange rates of the invoice
    ROUNDING = "rounding"  # within FOCUS 1.4's tolerance
    UNEXPLAINED = "unexplained"


class State(StrEnum):
    """What became of a difference or of a reconciliation."""

    OPEN = "open"
    ASSIGNED = "assigned"
    DISPUTED = "disputed"  # with the provider
    ACCEPTED = "accepted"


class MoneyBasis(StrEnum):
    """What the provider's side of the money rests on, the strongest first."""

    INVOICE = "invoice"
    COST = "cost"
    USAGE = "usage"  # no money told: quantities at the ledger's own prices
    NONE = "none"


class Part(Struct, frozen=True, kw_only=True):
    """The share of a difference that is of one model, kind and tier. Amounts in pico."""

    model: str | None = None
    kind: str | None = None
    """Of :data:`tollbook.usage.KINDS`; None: of several or of none."""
    tier: str | None = None
    tokens: int = 0
    """Provider's less ledger's: tokens, or pieces of a kind that is counted by the piece."""
    amount: int


class Difference(Struct, frozen=True, kw_only=True):
    """One cause of the provider's figure not being the ledger's."""

    fingerprint: str
    """The same difference has the same in every run of the provider and time."""
    cause: Cause
    provider: str
    period: str
    """``2026-10``; of a week ``2026-10-05/2026-10-12``."""
    amount: int
    """The provider's side less the ledger's, in pico."""
    tokens: int = 0
    model: str | None = None
    kind: str | None = None
    tier: str | None = None
    days: tuple[str, ...] = ()
    """ISO dates (UTC) on which it shows."""
    since_ns: int
    until_ns: int
    """The stretch that it lies in: of a doubled hour that hour, else whole days."""
    evidence: dict[str, Any] = {}
    """What proves it, by name: keys, hours, rates, lines. Money as decimal text."""
    parts: tuple[Part, ...] = ()
    """Add up to ``amount`` and ``tokens``."""


class Shown(Struct, frozen=True, kw_only=True):
    """A difference with what people said of it."""

    difference: Difference
    run_id: str
    first_seen_ns: int
    state: State = State.OPEN
    owner: str | None = None
    note: str | None = None
    """The newest one."""


class Reconciliation(Struct, frozen=True, kw_only=True):
    """One run for one provider and stretch of time. Amounts in pico."""

    run_id: str
    provider: str
    period: str
    start_ns: int
    end_ns: int
    basis: MoneyBasis
    billed: int
    """The provider's side: what is payable, or what it says so far."""
    ledger: int
    """The ledger's side: calls and terms, before any true-up."""
    trued_up: int = 0
    """Booked by true-ups of this period when the run was made."""
    usage_billed: int = 0
    """Of ``billed`` what is for usage: taxes, credits, fees and commitments left out."""
    covered: int = 0
    """Of ``usage_billed`` what calls of the ledger account for."""
    errors: int = 0
    """Sum of the sizes of differences within what is covered."""
    tolerance: int = 0
    """FOCUS 1.4: what rounding alone may come to."""
    is_final: bool = False
    """Every statement it rests on is final."""
    bill: str | None = None
    """The statement that the money rests on, where it is one."""
    statements: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """What to know: days without a statement, lines that could not be used."""
    differences: tuple[Difference, ...] = ()
    created_at_ns: int
    author: str
    state: State = State.OPEN

    @property
    def difference(self) -> int:
        """The provider's side less the ledger's: the sum of the differences."""
        return self.billed - self.ledger

    @property
    def unexplained(self) -> int:
        """Sum of the sizes of what no rule explains."""
        return sum(abs(one.amount) for one in self.differences if one.cause is Cause.UNEXPLAINED)

    @property
    def coverage(self) -> str | None:
        """Percent of the dollars billed for usage that calls account for, as decimal text."""
        return share_text(self.covered, self.usage_billed)

    @property
    def accuracy(self) -> str | None:
        """Percent of the covered dollars that the ledger had right: 100 less the errors'."""
        return share_text(max(self.covered - self.errors, 0), self.covered)


_PERCENT_SCALE = 10_000


def share_text(part: int, whole: int) -> str | None:
    """Return a share in percent with four digits after the point, rounded down; None of nothing.

    Rounded down, so that 100.0000 means all.
    """
    if whole <= 0:
        return None
    value = max(part, 0) * 100 * _PERCENT_SCALE // whole
    return f"{value // _PERCENT_SCALE}.{value % _PERCENT_SCALE:04d}"
