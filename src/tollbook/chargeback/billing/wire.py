"""How each billing system is spoken to: requests made of deliveries, answers made into states.

Stripe: ``POST /v1/billing/meter_events`` and ``/v1/billing/meter_event_adjustments``, one event a
request (docs.stripe.com/api/billing/meter-event). Lago: ``POST /api/v1/events/batch``, up to 100,
all or none (getlago.com/docs/api-reference/events/batch). OpenMeter: ``POST /api/v1/events``, a
batch of CloudEvents 1.0 (openmeter.io/docs/metering/events).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec

from tollbook import clock
from tollbook.chargeback.billing.log import Delivery, Event, State
from tollbook.chargeback.http import BAD_JSON
from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.chargeback.billing.system import InForce, Meter, SystemType

_JSON: Final = "application/json"


class Request(NamedTuple):
    """What is posted."""

    path: str
    headers: dict[str, str]
    body: bytes


class Wire(Protocol):
    """One system's API."""

    batch_max: int
    """Deliveries in one request."""

    def request(self, one: InForce, some: Sequence[Delivery]) -> Request:
        """Return the request that delivers some deliveries."""

    def refused(self, body: bytes, some: Sequence[Delivery]) -> list[Event] | None:
        """Say what became of each when an answer refuses the request.

        Deliveries without an event were not looked at and are to be sent again. None: the answer
        does not tell which of them is wrong.
        """


def value_text(one: InForce, meter: Meter, quantity: int) -> str:
    """Return a quantity as it is sent: a whole number, or dollars as decimal text."""
    if not one.system.is_decimal(meter):
        return str(quantity)
    text = usd_text(quantity).rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _meter(one: InForce, delivery: Delivery) -> Meter:
    return next(meter for meter in one.system.meters if meter.name == delivery.meter)


def _message(body: bytes) -> str:
    return " ".join(body.decode("utf-8", "replace").split())


class Stripe:
    """Form-encoded, one event at a time, with Stripe's idempotency key besides the identifier."""

    batch_max = 1

    def request(self, one: InForce, some: Sequence[Delivery]) -> Request:
        """Return the request of one event, or of the cancellation of one."""
        (delivery,) = some
        meter = _meter(one, delivery)
        if delivery.cancels is not None:
            path = "/v1/billing/meter_event_adjustments"
            form = {
                "type": "cancel", "event_name": meter.name,
                "cancel[identifier]": delivery.cancels,
            }  # fmt: skip
        else:
            path = "/v1/billing/meter_events"
            form = {
                "event_name": meter.name,
                "identifier": delivery.delivery_key,
                "timestamp": str(delivery.event_ns // clock.NS_PER_S),
                "payload[stripe_customer_id]": delivery.customer_id or "",
                f"payload[{meter.value_key}]": value_text(one, meter, delivery.quantity),
            }
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "idempotency-key": delivery.delivery_key,
        }
        return Request(path, headers, urlencode(form).encode())

    def refused(self, body: bytes, some: Sequence[Delivery]) -> list[Event] | None:
        """Tell what was there already from what is wrong."""
        (delivery,) = some
        message = _message(body)
        try:
            error = msgspec.json.decode(body, type=_StripeBody).error
        except BAD_JSON:
            error = _StripeError()
        # An event that is there already, or a cancellation that was made already.
        is_there = "already exists with identifier" in error.message or (
            delivery.cancels is not None and "already" in error.message
        )
        state = State.CONFIRMED if is_there else State.REFUSED
        detail = "it was there already" if is_there else error.message or message
        return [Event(delivery_key=delivery.delivery_key, state=state, detail=detail)]


class _StripeError(msgspec.Struct):
    message: str = ""


class _StripeBody(msgspec.Struct):
    error: _StripeError


class Lago:
    """A batch is taken whole or not at all; the answer names the events that are wrong."""

    batch_max = 100

    def request(self, one: InForce, some: Sequence[Delivery]) -> Request:
        """Return the request of a batch."""
        events = [
            {
                "transaction_id": delivery.delivery_key,
                "external_subscription_id": delivery.customer_id,
                "code": delivery.meter,
                "timestamp": delivery.event_ns // clock.NS_PER_S,
                "properties": {
                    _meter(one, delivery).value_key: value_text(
                        one, _meter(one, delivery), delivery.quantity
                    )
                },
            }
            for delivery in some
        ]
        body = msgspec.json.encode({"events": events})
        return Request("/api/v1/events/batch", {"content-type": _JSON}, body)

    def refused(self, body: bytes, some: Sequence[Delivery]) -> list[Event] | None:
        """Tell the events that the answer names; the others were not taken."""
        try:
            details = msgspec.json.decode(body, type=_LagoBody).error_details
        except BAD_JSON:
            return None
        found = []
        for at, delivery in enumerate(some):
            problems = details.get(str(at))
            if problems is None:
                continue
            is_there = problems == {"transaction_id": ["value_already_exist"]}
            found.append(
                Event(
                    delivery_key=delivery.delivery_key,
                    state=State.CONFIRMED if is_there else State.REFUSED,
                    detail="it was there already" if is_there else str(problems),
                )
            )
        return found or None


class _LagoBody(msgspec.Struct):
    error_details: dict[str, Any] = {}


class OpenMeter:
    """CloudEvents, told apart by source and id."""

    batch_max = 100

    def request(self, one: InForce, some: Sequence[Delivery]) -> Request:
        """Return the request of a batch."""
        events = [
            {
                "specversion": "1.0",
                "id": delivery.delivery_key,
                "source": f"tollbook/{one.name}",
                "type": delivery.meter,
                "subject": delivery.customer_id,
                "time": _time(delivery.event_ns),
                "datacontenttype": _JSON,
                "data": {
                    _meter(one, delivery).value_key: value_text(
                        one, _meter(one, delivery), delivery.quantity
                    )
                },
            }
            for delivery in some
        ]
        headers = {"content-type": "application/cloudevents-batch+json"}
        return Request("/api/v1/events", headers, msgspec.json.encode(events))

    def refused(self, body: bytes, some: Sequence[Delivery]) -> list[Event] | None:
        """Tell nothing of a batch: the answer does not name the event that is wrong."""
        if len(some) > 1:
            return None
        detail = _message(body)
        return [Event(delivery_key=some[0].delivery_key, state=State.REFUSED, detail=detail)]


def _time(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // clock.NS_PER_S, tz=UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


WIRES: Final[dict[SystemType, Wire]] = {
    "stripe": Stripe(),
    "lago": Lago(),
    "openmeter": OpenMeter(),
}
