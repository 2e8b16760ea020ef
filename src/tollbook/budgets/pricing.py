"""What a call may come to before it is sent, and what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tollbook.call import CallClosed, Metering, Status
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.call import CallOpened

_MOST: Final = 2**56
"""Most that one call holds (72,000 USD): what callers ask for is not bounded, the table is."""
_TOKENS: Final = frozenset(TOKEN_KINDS)


class Priced(Protocol):
    """What a call is charged."""

    @property
    def cost_pico(self) -> int | None:
        """10^-12 USD; None is unknown."""

    @property
    def usage(self) -> tuple[tuple[str, int], ...]:
        """The kinds that are not zero."""


class Prices(Protocol):
    """Prices calls as the ledger does."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Priced | str:
        """Return what a call is charged, or why that cannot be said."""


class Worst(NamedTuple):
    """The most that a call may come to."""

    pico: int | None
    """None: its price is not known."""
    tokens: int


def worst_of(prices: Prices, opened: CallOpened, default_output_tokens: int) -> Worst:
    """Return the most that a call may come to: its whole output limit is written."""
    if opened.metering is not Metering.METERED:
        return Worst(0, 0)  # its cost is not known beforehand; the limit itself still counts
    most = opened.max_output_tokens or default_output_tokens
    ended = CallClosed(
        opened.call_id, opened.started_at_ns, Status.OK,
        model_actual=opened.model_sent, output_events=most,
    )  # fmt: skip
    priced = prices.of(opened, ended)
    if isinstance(priced, str):
        return Worst(None, most)
    return Worst(priced.cost_pico, _tokens(priced.usage))


def came_to(prices: Prices, opened: CallOpened, closed: CallClosed) -> tuple[int | None, int, int]:
    """Return pico (None: not known), tokens and requests."""
    if closed.status is Status.REJECTED or opened.metering is Metering.FREE:
        return 0, 0, 0
    if opened.metering is not Metering.METERED:
        return 0, 0, 1
    priced = prices.of(opened, closed)
    if isinstance(priced, str):
        return None, 0, 1
    return priced.cost_pico, _tokens(priced.usage), 1


def amount_of(rule: Rule, worst: Worst) -> int | None:
    """Return what to reserve; None where that cannot be known and the budget refuses for it."""
    if rule.unit == "tokens":
        return min(worst.tokens, _MOST)
    if worst.pico is not None:
        return min(worst.pico, _MOST)
    if rule.budget.mode == "hard" and rule.budget.unknown_price == "refuse":
        return None
    return rule.hold


def _tokens(usage: Sequence[tuple[str, int]]) -> int:
    return sum(quantity for kind, quantity in usage if kind in _TOKENS)
