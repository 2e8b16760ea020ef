"""What a caller is told of its call's cost: the figures that the ledger will book.

They go into headers of a plain answer and into a comment line at the end of an event stream, which
every reader of server-sent events has to ignore (WHATWG HTML section 9.2.6). What is not known is
left out and said: an unknown price is a state, never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.budgets.guard import Left
    from tollbook.call import CallClosed, CallOpened

_encode = msgspec.json.Encoder().encode
WISH: Final = b"x-tollbook-report"
"""Header with which a caller asks (``cost``), and in which it is told why there is none."""


class Cost(NamedTuple):
    """What one call is charged."""

    price_state: str
    """As in the ledger: priced, unpriced, free, cached, not_billed, unmetered."""
    cost_pico: int | None = None
    """10^-12 USD; None is unknown."""
    saved_pico: int | None = None
    """What an answer from the response cache would have cost."""
    usage: tuple[tuple[str, int], ...] = ()
    """The kinds that are not zero, by name, but for the one request that every call is."""
    usage_source: str = "none"
    price_card: str | None = None


class Costs(Protocol):
    """Prices calls as the ledger does; loaded when it is first asked for."""

    @property
    def is_ready(self) -> bool:
        """Whether calls can be priced, or it is known that they cannot."""

    def when_ready(self, then: Callable[[], None]) -> None:
        """Call back from the event loop once ``is_ready``, without blocking it."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost | str:
        """Return what a call is charged, or why that cannot be said. Never raises."""


class NoCosts:
    """A gateway without prices."""

    is_ready = True

    def when_ready(self, then: Callable[[], None]) -> None:
        """Call back at once."""
        then()

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost | str:
        """Return that there are none."""
        del opened, closed
        return "this gateway has no prices"


def cost_lines(cost: Cost | str, left: Left | None = None) -> bytes:
    """Return header lines that say a cost, and what is left of a budget."""
    if isinstance(cost, str):
        return b"%b: omitted; reason=%b\r\n" % (WISH, _encode(cost))
    fields = [
        ("cost-usd", None if cost.cost_pico is None else usd_text(cost.cost_pico)),
        ("saved-usd", None if cost.saved_pico is None else usd_text(cost.saved_pico)),
        ("price-state", cost.price_state),
        ("usage", ";".join(f"{kind}={quantity}" for kind, quantity in cost.usage) or None),
        ("usage-source", cost.usage_source),
        ("price-card", cost.price_card),
        ("budget", None if left is None else left.name),
        ("budget-remaining-usd", None if left is None else usd_text(left.pico)),
        ("budget-steps", None if left is None else left.steps or None),
    ]
    lines = [f"x-tollbook-{name}: {value}\r\n" for name, value in fields if value is not None]
    return "".join(lines).encode("latin-1", "replace")


def cost_comment(call_id: str, cost: Cost | str, left: Left | None = None) -> bytes:
    """Return a comment line of an event stream that says a cost, and what is left of a budget.

    No empty line follows: it would end an event, and a reader that keeps the last event's id takes
    that for another one.
    """
    told: dict[str, Any] = {"call_id": call_id}
    if isinstance(cost, str):
        told["omitted"] = cost
    else:
        told["cost_usd"] = None if cost.cost_pico is None else usd_text(cost.cost_pico)
        if cost.saved_pico is not None:
            told["saved_usd"] = usd_text(cost.saved_pico)
        told["price_state"] = cost.price_state
        told["usage"] = dict(cost.usage)
        told["usage_source"] = cost.usage_source
        told["price_card"] = cost.price_card
        if left is not None:
            told["budget"] = {"name": left.name, "remaining_usd": usd_text(left.pico)}
            if left.steps:
                told["budget"]["steps"] = left.steps
    return b": tollbook %b\n" % _encode(told)
