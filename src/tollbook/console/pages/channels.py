"""Channels: where alerts are sent, a button that tries each, and the delivery log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Choice,
    Column,
    Field,
    Form,
    Section,
    Table,
    View,
)
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_READ: Final = Permit(Scope.ALERTS)
_WRITE: Final = Permit(Scope.ALERTS, Access.WRITE)
_TYPES: Final = (
    ("slack", "Slack"), ("webhook", "Webhook, signed"), ("email", "E-mail"),
    ("pagerduty", "PagerDuty"), ("apprise", "Another one, through apprise"),
)  # fmt: skip
_SEVERITIES: Final = (("info", "any"), ("warning", "warning and critical"),
                      ("critical", "critical only"))  # fmt: skip


def channels(context: PageContext) -> View:
    """Return the channels and what they were told lately."""
    rows = context.ask("channels.list")["rows"]
    log = context.ask("deliveries.list", channel=context.get("channel"), limit=50)["rows"]
    sections: list[Section] = [_list(rows)]
    if context.may(_WRITE):
        sections += [_test(one["name"]) for one in rows]
        sections += [_form(), *([_remove(rows)] if rows else [])]
    sections.append(_log(log))
    return View(
        title="Channels", sections=tuple(sections), command="tollbook alerts channels",
        actions=(Choice("Incidents", "/incidents"), Choice("Rules", "/alert-rules")),
        tz=context.tz,
    )  # fmt: skip


def _list(rows: list[dict[str, Any]]) -> Table:
    shown = [
        row | {"rules": ", ".join(row["rules"]) or "all", "events": ", ".join(row["events"]),
               "tenant": row["tenant"] or "all",
               "_links": {"name": f"/channels?channel={row['name']}"}}
        for row in rows
    ]  # fmt: skip
    columns = (
        Column("name", "Channel"), Column("state", "State", "state"), Column("type", "Type"),
        Column("to", "To", "code"), Column("severity", "From severity", "state"),
        Column("rules", "Rules"), Column("tenant", "Tenant"), Column("events", "Told of"),
        Column("last_state", "Last message", "state"), Column("last_at", "At", "time"),
    )  # fmt: skip
    return Table(
        name="channels", columns=columns, rows=shown,
        note="Secrets are not kept here: a channel names the variable, or the file, that has it.",
        empty="No channel is set: incidents are on their page only. Set one below.",
    )  # fmt: skip


def _test(name: str) -> Form:
    field = Field(name="name", label="Channel", kind="hidden", value=name)
    return Form(name=f"test-{name}", operation="channels.test", fields=(field,),
                title=f"Test {name}", submit="Send a test message", shows_answer=True)  # fmt: skip


def _form() -> Form:
    fields = (
        Field(name="name", label="Name", is_required=True, placeholder="ops"),
        Field(name="type", label="Type", kind="select", options=_TYPES, is_required=True),
        Field(name="url", label="URL", placeholder="https://example.org/hook",
              help="Of a webhook. A Slack or apprise URL is a secret: name its variable below."),
        Field(name="secret_env", label="Variable with the secret", placeholder="SLACK_WEBHOOK_URL",
              help="Of the ledger's environment; its name has ALERT, SLACK, WEBHOOK, PAGERDUTY, "
              "SMTP or APPRISE in it."),
        Field(name="secret_file", label="Or file with it", placeholder="slack-url",
              help="In the data directory's secrets, or in /run/secrets."),
        Field(name="severity", label="Told of", kind="select", options=_SEVERITIES),
        Field(name="rules", label="Only rules", is_list=True),
        Field(name="tenant", label="Only tenant",
              help="It is told of this tenant alone, and no other is named to it."),
        Field(name="smtp_host", label="Mail server"),
        Field(name="smtp_port", label="Its port", kind="number", placeholder="587"),
        Field(name="smtp_user", label="Its user"),
        Field(name="mail_from", label="Sender"),
        Field(name="mail_to", label="Recipients", is_list=True),
        Field(name="reason", label="Reason", is_required=True),
    )  # fmt: skip
    return Form(name="set", operation="channels.set", fields=fields, title="Set a channel",
                note="A name that is there already is changed: fields left empty stay as they are.",
                submit="Keep the channel", is_folded=True)  # fmt: skip


def _remove(rows: list[dict[str, Any]]) -> Form:
    names = tuple((row["name"], row["name"]) for row in rows)
    fields = (Field(name="name", label="Channel", kind="select", options=names),
              Field(name="reason", label="Reason", is_required=True))  # fmt: skip
    return Form(name="remove", operation="channels.remove", fields=fields, title="Remove a channel",
                submit="Remove", is_dangerous=True, is_folded=True)  # fmt: skip


def _log(rows: list[dict[str, Any]]) -> Table:
    shown = [
        row if row["incident"] is None
        else row | {"_links": {"title": f"/incident?id={row['incident']}"}}
        for row in rows
    ]  # fmt: skip
    columns = (
        Column("planned_at", "When", "time"), Column("channel", "Channel"),
        Column("event", "Told of"), Column("title", "Message"), Column("state", "State", "state"),
        Column("tries", "Tries", "count"), Column("http_status", "Answer", "count"),
        Column("detail", "Detail"),
    )  # fmt: skip
    return Table(
        name="deliveries", title="Delivery log", columns=columns, rows=shown,
        note="Up to 8 tries with growing pauses; all tries have the same message id.",
        empty="Nothing was sent yet.",
    )  # fmt: skip


PAGES: Final = (Page("/channels", "Channels", channels, _READ, group="Act"),)
