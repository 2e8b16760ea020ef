"""Channels over the API: list, set, remove, test, and the delivery log."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.alerts.channel import (
    Channel,
    ChannelError,
    channels_in_force,
    drop_channel,
    put_channel,
)
from tollbook.alerts.delivery import (
    Courier,
    State,
    list_deliveries,
    new_message_id,
    put,
)
from tollbook.alerts.message import Message
from tollbook.alerts.service import base_url
from tollbook.alerts.shown import delivery_row
from tollbook.desk import Desk, Operation
from tollbook.desk.permits import Scope
from tollbook.reports.errors import QueryError


class ChannelsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing is asked."""


def _channels(desk: Desk, asked: ChannelsRequest) -> dict[str, Any]:
    del asked
    log = list_deliveries(desk.books, limit=1000)
    rows = []
    for name, one in sorted(channels_in_force(desk.books).items()):
        last = next((row for row in log if row.channel == name), None)
        rows.append(_row(one) | {
            "last_state": None if last is None else last.state.value,
            "last_at": None if last is None else last.last_at.isoformat(),
        })  # fmt: skip
    return {"rows": rows}


def _row(one: Channel) -> dict[str, Any]:
    where = one.url or (", ".join(one.mail_to) if one.type == "email" else None)
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found | {
        "to": where or (f"${one.secret_env}" if one.secret_env else f"secrets/{one.secret_file}"),
        "state": "paused" if one.is_paused else "on",
    }  # fmt: skip


class SetChannelRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A channel; what is not given is as it was, or as by default. No secrets."""

    name: str
    reason: str = ""
    type: str | None = None
    url: str | None = None
    secret_env: str | None = None
    secret_file: str | None = None
    severity: str | None = None
    rules: list[str] | None = None
    tenant: str | None = None
    events: list[str] | None = None
    is_paused: bool | None = None
    smtp_host: str | None = None
    smtp_port: int | None = None
    smtp_security: str | None = None
    smtp_user: str | None = None
    mail_from: str | None = None
    mail_to: list[str] | None = None


def _set(desk: Desk, asked: SetChannelRequest) -> dict[str, Any]:
    known = channels_in_force(desk.books).get(asked.name)
    body: dict[str, Any] = {} if known is None else _written(known)
    given = {name: value for name, value in msgspec.to_builtins(asked).items()
             if name not in ("name", "reason") and value is not None}  # fmt: skip
    if known is not None and given.get("type", known.type) != known.type:
        body = {}
    if given.get("secret_env"):
        body.pop("secret_file", None)
    if given.get("secret_file"):
        body.pop("secret_env", None)
    if "type" not in given and "type" not in body:
        raise ChannelError(asked.name, "type is missing: slack, webhook, email, pagerduty, apprise")
    one = put_channel(desk.books, asked.name, {**body, **given}, author=desk.author,
                      reason=asked.reason or "changed")  # fmt: skip
    return {"rows": [_row(one)]}


def _written(one: Channel) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one)
    found.pop("name")
    return {name: value for name, value in found.items() if value is not None}


class NamedRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which channel, and why."""

    name: str
    reason: str = ""


def _remove(desk: Desk, asked: NamedRequest) -> dict[str, Any]:
    drop_channel(desk.books, asked.name, author=desk.author, reason=asked.reason or "removed")
    return {"rows": [{"name": asked.name, "state": "removed"}]}


def _test(desk: Desk, asked: NamedRequest) -> dict[str, Any]:
    """Send a test message now, once, and say what came of it."""
    channel = channels_in_force(desk.books).get(asked.name)
    if channel is None:
        raise ChannelError(asked.name, "there is no such channel; see tollbook alerts channels")
    message = Message(
        message_id=new_message_id(), event="test", incident_id=None,
        dedup_key=f"tollbook-test-{asked.name}", severity="info",
        title=f"Test of channel {asked.name}", text="If you can read this, alerts arrive here.",
        at=clock.utc_now(), url=f"{base_url(desk.config).rstrip('/')}/channels",
    )  # fmt: skip
    number = put(desk.books, asked.name, message, desk.author)
    planned = next(
        one for one in list_deliveries(desk.books, channel=asked.name)
        if one.notification_id == number
    )  # fmt: skip
    courier = Courier(desk.books, desk.environ, desk.data_dir)
    sent = courier.attempt(channel, planned)
    return {
        "rows": [{
            "name": asked.name, "state": State.DELIVERED.value if sent.is_delivered else "failed",
            "http_status": sent.status, "detail": sent.detail,
        }]
    }  # fmt: skip


class DeliveriesRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of the log."""

    channel: str | None = None
    incident: int | None = None
    limit: int = 100


def _deliveries(desk: Desk, asked: DeliveriesRequest) -> dict[str, Any]:
    if not 1 <= asked.limit <= 1000:  # noqa: PLR2004 -- as the message says
        raise QueryError("--limit", "expected 1 to 1000")
    found = list_deliveries(
        desk.books, limit=asked.limit, channel=asked.channel, incident_id=asked.incident
    )
    return {"rows": [delivery_row(one) for one in found]}


CHANNEL_OPERATIONS: Final = (
    Operation("channels.list", "GET", "/channels", ChannelsRequest, _channels,
              "Channels that alerts are sent over.", scope=Scope.ALERTS),
    Operation("channels.set", "POST", "/channels/set", SetChannelRequest, _set,
              "Set a channel.", scope=Scope.ALERTS),
    Operation("channels.remove", "POST", "/channels/remove", NamedRequest, _remove,
              "Remove a channel.", scope=Scope.ALERTS),
    Operation("channels.test", "POST", "/channels/test", NamedRequest, _test,
              "Send a test message.", scope=Scope.ALERTS),
    Operation("deliveries.list", "GET", "/alerts/deliveries", DeliveriesRequest, _deliveries,
              "The delivery log of alerts.", scope=Scope.ALERTS),
)  # fmt: skip
