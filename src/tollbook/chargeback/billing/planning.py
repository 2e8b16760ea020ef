"""What is still to be delivered: the ledger's quantities less what was planned for before.

Quantities are per tenant, meter and bucket. A call that comes late, or is corrected, changes the
quantity of its bucket, and the difference is one more delivery with an id of its own. So what a
billing system has is at any time a sum of increments, and each increment is sent once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.chargeback.billing.log import Delivery, Event, Known, State, delivery_key, known
from tollbook.reports import measures
from tollbook.reports.freshness import read_freshness
from tollbook.reports.query import SpendQuery
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.billing.system import InForce, Meter
    from tollbook.desk import Desk

_HOUR_NS: Final = 3600 * clock.NS_PER_S
_DAY_NS: Final = 24 * _HOUR_NS
STRIPE_PAST_NS: Final = 35 * _DAY_NS - _HOUR_NS
"""Stripe takes events of the past 35 days; an hour is for the way."""
STRIPE_CANCEL_NS: Final = 23 * _HOUR_NS
"""Stripe cancels events within 24 hours of receiving them; an hour is for the way."""
STRIPE_DIGITS: Final = 15


class Place(NamedTuple):
    """What a quantity is of."""

    meter: str
    tenant: str
    bucket_ns: int


class Window(NamedTuple):
    """The buckets that are looked at, ``[since, until)``; whole ones only."""

    since_ns: int
    until_ns: int


class Planned(NamedTuple):
    """What is new. ``unattributed`` is by meter what no tenant has, which is not delivered."""

    new: list[tuple[Delivery, State, str | None]]
    voided: list[Event]
    unattributed: dict[str, int]
    window: Window


def window_of(desk: Desk, one: InForce, now_ns: int) -> Window:
    """Return the buckets that are over and that the ledger is complete of."""
    step = _HOUR_NS if one.system.bucket == "hour" else _DAY_NS
    complete = read_freshness(desk.reader).complete_until
    until_ns = now_ns if complete is None else min(now_ns, _ns(complete))
    since_ns = max(one.system.start_ns, now_ns - one.system.lookback_days * _DAY_NS)
    since_ns = -(-since_ns // step) * step
    until_ns = until_ns // step * step if complete is not None else since_ns
    return Window(since_ns, max(since_ns, until_ns))


def quantities(desk: Desk, one: InForce, window: Window) -> tuple[dict[Place, int], dict[str, int]]:
    """Return the ledger's quantities, in units of each meter, and what no tenant has.

    Raises:
        QueryTimeoutError: it took too long.
    """
    found: dict[Place, int] = {}
    unattributed: dict[str, int] = {}
    if window.since_ns == window.until_ns:
        return found, unattributed
    bucket = one.system.bucket
    for meter in one.system.meters:
        query = SpendQuery(
            since=_at(window.since_ns), until=_at(window.until_ns), by=("tenant", bucket),
            where=meter.filters(), measures=(meter.measure,),
        )  # fmt: skip
        for row in wide_rows(desk.reader, query):
            units = _units(_value(row, meter), one.system.unit_pico(meter))
            if row["tenant"] is None:
                unattributed[meter.name] = unattributed.get(meter.name, 0) + units
            elif units:
                start_ns = _ns(row[bucket].replace(tzinfo=UTC))
                found[Place(meter.name, row["tenant"], start_ns)] = units
    return found, unattributed


def _value(row: dict[str, int | None], meter: Meter) -> int:
    kinds = measures.TOKEN_SUMS.get(meter.measure, (meter.measure,))
    return sum(int(row[kind] or 0) for kind in kinds)


def _units(value: int, unit: int) -> int:
    """Return a value in whole units, half to even."""
    whole, rest = divmod(value, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2 == 1))


def plan_of(desk: Desk, one: InForce, now_ns: int) -> Planned:
    """Return what has to be delivered beyond what is planned; nothing is written.

    Args:
        desk: what is open.
        one: the billing system.
        now_ns: the present.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    window = window_of(desk, one, now_ns)
    wanted, unattributed = quantities(desk, one, window)
    before: dict[Place, list[Known]] = defaultdict(list)
    meters = {meter.name for meter in one.system.meters}
    for told in known(desk.books, one.name, window.since_ns, attempts=False):
        delivery = told.delivery
        place = Place(delivery.meter, delivery.tenant_id, delivery.bucket_ns)
        if place.meter in meters and place.bucket_ns < window.until_ns:
            before[place].append(told)
    planner = _Planner(one, now_ns, desk.author or current_user())
    for place in sorted({*wanted, *before}):
        planner.place(place, wanted.get(place, 0), before.get(place, []))
    return Planned(planner.new, planner.voided, unattributed, window)


class _Planner:
    """Goes through the places and collects what is new."""

    def __init__(self, one: InForce, now_ns: int, author: str) -> None:
        self._one, self._now_ns, self._author = one, now_ns, author
        self.new: list[tuple[Delivery, State, str | None]] = []
        self.voided: list[Event] = []

    def place(self, place: Place, wanted: int, before: list[Known]) -> None:
        live = [one for one in before if one.state is not State.VOID]
        have = sum(one.delivery.quantity for one in live)
        held = [one for one in live if one.state is State.HELD]
        if wanted == have and all(self._is_still_held(one) for one in held):
            return
        for one in held:
            # It was never sent, so another may take its place.
            self.voided.append(
                Event(delivery_key=one.delivery.delivery_key, state=State.VOID,
                      detail="replaced, it was never sent")
            )  # fmt: skip
            have -= one.delivery.quantity
        sent = [one for one in live if one.state is not State.HELD]
        number = len(before)
        for quantity, cancels in self._steps(wanted - have, sent):
            number += 1
            have += quantity
            delivery = self._made(place, number, quantity, have, cancels)
            why = self.hold_reason(delivery)
            self.new.append((delivery, State.HELD if why else State.PLANNED, why))

    def _is_still_held(self, one: Known) -> bool:
        customer = self._one.system.customer_of(one.delivery.tenant_id)
        return self.hold_reason(replace(one.delivery, customer_id=customer)) is not None

    def _steps(self, delta: int, sent: list[Known]) -> Iterator[tuple[int, str | None]]:
        """Yield quantities that add up to a difference, and what each cancels."""
        if delta < 0 and self._one.system.type == "stripe":
            cancelled = self._cancelled(-delta, sent)
            for one in cancelled:
                yield -one.delivery.quantity, one.delivery.delivery_key
            delta += sum(one.delivery.quantity for one in cancelled)
        if delta:
            yield delta, None

    def _cancelled(self, amount: int, sent: list[Known]) -> list[Known]:
        """Return recent events to cancel, the newest first; none where they do not suffice."""
        gone = {one.delivery.cancels for one in sent}
        found = []
        for one in reversed(sent):
            is_recent = one.state_at_ns > self._now_ns - STRIPE_CANCEL_NS
            is_there = one.state is State.CONFIRMED and one.delivery.cancels is None
            if is_there and is_recent and one.delivery.delivery_key not in gone:
                found.append(one)
                amount -= one.delivery.quantity
                if amount <= 0:
                    return found
        return []

    def _made(
        self, place: Place, number: int, quantity: int, total: int, cancels: str | None
    ) -> Delivery:
        one = self._one
        is_late = one.system.type == "stripe" and place.bucket_ns < self._now_ns - STRIPE_PAST_NS
        event_ns = self._now_ns if is_late and one.system.late == "now" else place.bucket_ns
        return Delivery(
            delivery_key=delivery_key(one.name, *place, number), system=one.name,
            document_id=one.document_id, meter=place.meter, tenant_id=place.tenant,
            customer_id=one.system.customer_of(place.tenant), bucket_ns=place.bucket_ns,
            event_ns=event_ns, sequence=number, quantity=quantity, total=total, cancels=cancels,
            planned_at_ns=self._now_ns, planned_by=self._author,
        )  # fmt: skip

    def hold_reason(self, delivery: Delivery) -> str | None:
        """Return why a delivery cannot be sent as things are; None where it can."""
        system = self._one.system
        if delivery.customer_id is None:
            return f"nobody said which customer tenant {delivery.tenant_id!r} is"
        if delivery.cancels is not None:
            return None
        if delivery.quantity < 0 and not system.sends_negative:
            return "it would lower what was sent; settle it with a credit note"
        if system.type == "stripe":
            is_dated_now = system.late == "now"
            if delivery.bucket_ns < self._now_ns - STRIPE_PAST_NS and not is_dated_now:
                return "Stripe takes no events older than 35 days; set late to now, or settle it"
            if len(str(abs(delivery.quantity))) > STRIPE_DIGITS:
                return f"more than {STRIPE_DIGITS} digits; choose a coarser unit"
        return None


def _ns(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * clock.NS_PER_S


def _at(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // clock.NS_PER_S, tz=UTC)
