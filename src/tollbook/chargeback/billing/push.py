"""One push: plan what is new, then send all that is waiting. Safe to end at any moment."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import clock
from tollbook.chargeback.billing.log import TO_SEND, Event, Known, State, known, note, plan
from tollbook.chargeback.billing.planning import Place, plan_of, quantities, window_of
from tollbook.chargeback.billing.sender import Sender
from tollbook.chargeback.billing.system import InForce, key_of
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.chargeback.billing.planning import Planned
    from tollbook.desk import Desk

ALLOWED: Final = {
    State.PLANNED: frozenset([State.REFUSED, State.UNCERTAIN]),
    State.VOID: frozenset([State.REFUSED, State.UNCERTAIN, State.PLANNED]),
    State.CONFIRMED: frozenset([State.UNCERTAIN]),
    State.SETTLED: frozenset([State.HELD, State.REFUSED, State.UNCERTAIN]),
}
"""What a person may say of a delivery, and in which states."""


class NotRetriedError(TollbookError):
    """A delivery is in no state in which that can be done."""

    def __init__(self, key: str, state: str, what: str) -> None:
        super().__init__(f"{key}: it is {state}, which cannot be {what}")


class Pushed(NamedTuple):
    """What a push did."""

    planned: Planned
    states: Counter[str]
    """Outcomes of what was sent."""
    problem: str | None


def push(
    desk: Desk, one: InForce, *, sleep: Callable[[float], None] = time.sleep
) -> Pushed:  # fmt: skip
    """Plan what is new and send all that waits.

    Args:
        desk: what is open.
        one: the billing system.
        sleep: waits some seconds.

    Raises:
        BillingSystemError: its key is not in the environment.
        BusyError: another push is planning.
        BooksError: the books cannot be used.
    """
    key = key_of(one, desk.environ)
    now_ns = clock.unix_ns()
    planned = plan_of(desk, one, now_ns)
    plan(desk.books, planned.new, planned.voided)
    waiting = _waiting(desk, one, now_ns)
    sender = Sender(desk.books, one, key, sleep=sleep, author=desk.author)
    sent = sender.send(waiting, desk.progress)
    return Pushed(planned, sent.states, sent.problem)


def _waiting(desk: Desk, one: InForce, now_ns: int) -> list[Known]:
    """Return what is to be sent; what cannot be sent safely any more is noted as that."""
    meters = {meter.name for meter in one.system.meters}
    window_ns = one.system.dedupe_ns
    waiting, events = [], []
    for told in known(desk.books, one.name, states=TO_SEND):
        key, since_ns = told.delivery.delivery_key, told.maybe_since_ns
        if told.delivery.meter not in meters:
            events.append(Event(delivery_key=key, state=State.REFUSED, detail="no such meter now"))
        elif window_ns is not None and since_ns is not None and since_ns < now_ns - window_ns:
            words = "perhaps it is there; the system would not know a copy any more"
            events.append(Event(delivery_key=key, state=State.UNCERTAIN, detail=words))
        else:
            waiting.append(told)
    note(desk.books, events, desk.author)
    return waiting


class MeterState(NamedTuple):
    """How far a meter is; quantities in its units."""

    meter: str
    ledger: int
    by_state: dict[str, int]
    deliveries: int

    @property
    def confirmed(self) -> int:
        """What the billing system has."""
        return self.by_state.get(State.CONFIRMED, 0)


def meter_states(desk: Desk, one: InForce) -> list[MeterState]:
    """Return for each meter what the ledger has, and what of it is in which state.

    Both over the buckets that a push looks at.
    """
    window = window_of(desk, one, clock.unix_ns())
    wanted, _ = quantities(desk, one, window)
    sums: dict[str, Counter[str]] = {meter.name: Counter() for meter in one.system.meters}
    counts: Counter[str] = Counter()
    for told in known(desk.books, one.name, window.since_ns, attempts=False):
        delivery = told.delivery
        counts[delivery.meter] += 1
        sums.setdefault(delivery.meter, Counter())[told.state.value] += delivery.quantity
    return [
        MeterState(name, _sum(wanted, name), dict(states), counts[name])
        for name, states in sums.items()
    ]  # fmt: skip


def _sum(wanted: dict[Place, int], meter: str) -> int:
    return sum(quantity for place, quantity in wanted.items() if place.meter == meter)


def settle(
    desk: Desk, one: InForce, state: State, *, keys: Sequence[str], only: State | None, reason: str
) -> int:
    """Change what is known of deliveries by a person's word, and return of how many.

    Args:
        desk: what is open.
        one: the billing system.
        state: one of :data:`ALLOWED`: ``PLANNED`` to send it again under its id, ``VOID`` to plan
            it anew, ``CONFIRMED`` where it is there, ``SETTLED`` where it was put right otherwise.
        keys: which; empty is all that are in ``only``.
        only: in which state they must be; None is any that allows it.
        reason: kept in the log.

    Raises:
        NotRetriedError: one is in a state that does not allow it.
    """
    events = []
    for told in known(desk.books, one.name, keys=keys or None, attempts=False):
        key = told.delivery.delivery_key
        if told.state not in ALLOWED[state] or (only is not None and told.state is not only):
            if keys:
                raise NotRetriedError(key, told.state, f"{state}")
            continue
        events.append(Event(delivery_key=key, state=state, detail=reason))
    note(desk.books, events, desk.author)
    return len(events)
