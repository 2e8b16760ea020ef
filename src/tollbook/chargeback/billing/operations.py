"""Billing systems over the API: set them up, push, look, settle."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, documents_at, put_document
from tollbook.chargeback.billing.log import State, events_of, has_deliveries, known
from tollbook.chargeback.billing.planning import plan_of
from tollbook.chargeback.billing.push import meter_states, push, settle
from tollbook.chargeback.billing.system import (
    BillingSystemError,
    InForce,
    System,
    read_system,
    system_of,
)
from tollbook.chargeback.billing.wire import value_text
from tollbook.desk import Desk, Operation

if TYPE_CHECKING:
    from tollbook.chargeback.billing.log import Delivery

ROWS_MAX: Final = 10_000
_SETTLED: Final = {
    "again": State.PLANNED, "replan": State.VOID, "there": State.CONFIRMED,
    "settled": State.SETTLED,
}  # fmt: skip


class SystemRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A billing system to keep, see :class:`tollbook.chargeback.billing.system.System`."""

    name: str
    body: dict[str, Any]
    reason: str


class NothingAsked(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Nothing to say."""


class PushRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where to send to."""

    system: str
    dry_run: bool = False
    """Show what would be planned, write and send nothing."""


class StatusRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which system."""

    system: str


class LogRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which deliveries."""

    system: str
    state: State | None = None
    """Only deliveries in this state; None: the newest events of all."""
    limit: int = 1_000


class RetryRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What becomes of deliveries that wait for a person's word."""

    system: str
    how: Literal["again", "replan", "there", "settled"] = "again"
    keys: list[str] = []
    state: State | None = None
    reason: str


def keep_system(desk: Desk, request: SystemRequest) -> dict[str, Any]:
    """Keep a billing system.

    Raises:
        BillingSystemError: naming what is wrong, or what may not change any more.
    """
    text = msgspec.json.encode(request.body).decode()
    new = read_system(text, request.name)
    before = documents_at(desk.books, Subject.BILLING_SYSTEM, clock.unix_ns()).get(request.name)
    if before is not None and has_deliveries(desk.books, request.name):
        _check_change(request.name, read_system(before.body, request.name), new)
    kept, is_new = put_document(
        desk.books, Subject.BILLING_SYSTEM, request.name, text, effective_from_ns=0,
        author=desk.author, reason=request.reason,
    )  # fmt: skip
    return {"rows": [{"document": kept.document_id, "new": is_new, "author": kept.author}]}


def _check_change(name: str, old: System, new: System) -> None:
    """Refuse what would count again what was delivered, or in other units."""
    if (old.type, old.bucket) != (new.type, new.bucket):
        raise BillingSystemError(
            f"billing system {name!r}: type and bucket stay as they are once something was "
            "delivered; set up another system"
        )
    units = {meter.name: (old.unit_pico(meter), old.is_decimal(meter)) for meter in old.meters}
    for meter in new.meters:
        unit = (new.unit_pico(meter), new.is_decimal(meter))
        if units.get(meter.name, unit) != unit:
            raise BillingSystemError(
                f"billing system {name!r}: meter {meter.name!r} keeps its unit once something was "
                "delivered; give the other one another name"
            )


def list_systems(desk: Desk, request: NothingAsked) -> dict[str, Any]:
    """Return the billing systems as they are set up now."""
    del request
    held = documents_at(desk.books, Subject.BILLING_SYSTEM, clock.unix_ns())
    rows = []
    for name, document in sorted(held.items()):
        system = read_system(document.body, name)
        rows.append({
            "system": name, "type": system.type, "url": system.url, "bucket": system.bucket,
            "start": system.start, "meters": ", ".join(meter.name for meter in system.meters),
            "customers": len(system.customers), "key": system.key_name,
            "key_is_set": bool(desk.environ.get(system.key_name)),
            "document": document.document_id,
        })  # fmt: skip
    return {"rows": rows}


def push_now(desk: Desk, request: PushRequest) -> dict[str, Any]:
    """Plan and send, or show what would be planned.

    Raises:
        BillingSystemError: there is no such system, or no key.
    """
    one = system_of(desk.books, request.system)
    if request.dry_run:
        planned = plan_of(desk, one, clock.unix_ns())
        rows = [_row(one, delivery, state, why) for delivery, state, why in planned.new]
        return {
            "rows": rows[:ROWS_MAX], "deliveries": len(rows), "dry_run": True,
            "unattributed": _unattributed(one, planned.unattributed),
            "since": _time(planned.window.since_ns), "until": _time(planned.window.until_ns),
        }  # fmt: skip
    done = push(desk, one)
    window = done.planned.window
    now = known(desk.books, one.name, window.since_ns, attempts=False)
    counts = {state.value: 0 for state in State}
    for told in now:
        counts[told.state.value] += 1
    return {
        "rows": [{"state": state, "deliveries": count} for state, count in counts.items() if count],
        "planned": len(done.planned.new), "sent": dict(done.states), "problem": done.problem,
        "unattributed": _unattributed(one, done.planned.unattributed),
        "since": _time(window.since_ns), "until": _time(window.until_ns), "dry_run": False,
        "needs_attention": sum(counts[state] for state in ("held", "refused", "uncertain")),
    }  # fmt: skip


def _unattributed(one: InForce, found: dict[str, int]) -> dict[str, str]:
    return {name: _text(one, name, quantity) for name, quantity in found.items()}


def _text(one: InForce, meter: str, quantity: int) -> str:
    found = next((each for each in one.system.meters if each.name == meter), None)
    return str(quantity) if found is None else value_text(one, found, quantity)


def _row(one: InForce, delivery: Delivery, state: State, why: str | None) -> dict[str, Any]:
    return {
        "delivery_key": delivery.delivery_key, "meter": delivery.meter,
        "tenant": delivery.tenant_id, "customer": delivery.customer_id,
        "bucket": _time(delivery.bucket_ns), "quantity": _text(one, delivery.meter,
                                                               delivery.quantity),
        "sequence": delivery.sequence, "cancels": delivery.cancels, "state": state.value,
        "detail": why,
    }  # fmt: skip


def show_status(desk: Desk, request: StatusRequest) -> dict[str, Any]:
    """Return for each meter what the ledger has, what is there, and what is not."""
    one = system_of(desk.books, request.system)
    rows = []
    for found in meter_states(desk, one):
        states = found.by_state
        waiting = sum(states.get(name, 0) for name in ("planned", "sending", "failed", "unclear"))
        numbers = {
            "ledger": found.ledger, "confirmed": found.confirmed, "waiting": waiting,
            "held": states.get("held", 0), "refused": states.get("refused", 0),
            "uncertain": states.get("uncertain", 0),
            "settled": states.get("settled", 0), "difference": found.ledger - found.confirmed,
        }  # fmt: skip
        rows.append(
            {"meter": found.meter, "deliveries": found.deliveries}
            | {name: _text(one, found.meter, number) for name, number in numbers.items()}
        )
    return {"rows": rows, "system": one.name, "document": one.document_id}


def show_log(desk: Desk, request: LogRequest) -> dict[str, Any]:
    """Return deliveries in a state, or the newest events."""
    one = system_of(desk.books, request.system)
    limit = max(1, min(request.limit, ROWS_MAX))
    if request.state is not None:
        some = known(desk.books, one.name, states=[request.state])
        return {"rows": [
            _row(one, told.delivery, told.state, told.detail) | {
                "at": _time(told.state_at_ns), "attempts": told.attempts,
                "http_status": told.http_status,
            }
            for told in some[-limit:]
        ]}  # fmt: skip
    return {"rows": [
        {
            "at": _time(event["at_ns"]), "delivery_key": event["delivery_key"],
            "meter": event["meter"], "tenant": event["tenant_id"],
            "bucket": _time(event["bucket_ns"]),
            "quantity": _text(one, event["meter"], int(event["quantity"])),
            "state": event["state"], "http_status": event["http_status"],
            "detail": event["detail"], "actor": event["actor"],
        }
        for event in events_of(desk.books, one.name, limit)
    ]}  # fmt: skip


def retry(desk: Desk, request: RetryRequest) -> dict[str, Any]:
    """Send deliveries again, plan them anew, or take them as settled, by a person's word."""
    one = system_of(desk.books, request.system)
    if not request.reason.strip():
        raise BillingSystemError("expected a reason; give one with --reason")
    if not request.keys and request.state is None:
        raise BillingSystemError("expected the keys of deliveries, or a state")
    count = settle(
        desk, one, _SETTLED[request.how], keys=request.keys, only=request.state,
        reason=request.reason,
    )  # fmt: skip
    return {"rows": [{"system": one.name, "how": request.how, "deliveries": count}]}


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // clock.NS_PER_S, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"


OPERATIONS: Final = (
    Operation("billing.keep_system", "POST", "/billing/systems", SystemRequest, keep_system,
              "Set up a billing system."),
    Operation("billing.systems", "GET", "/billing/systems", NothingAsked, list_systems,
              "List billing systems."),
    Operation("billing.push", "POST", "/billing/push", PushRequest, push_now,
              "Deliver usage and charges to a billing system."),
    Operation("billing.status", "GET", "/billing/status", StatusRequest, show_status,
              "Show what a billing system has of what the ledger has."),
    Operation("billing.log", "GET", "/billing/log", LogRequest, show_log,
              "Show the delivery log."),
    Operation("billing.retry", "POST", "/billing/retry", RetryRequest, retry,
              "Settle deliveries that wait for a person's word."),
)  # fmt: skip
