"""The inbox of incidents, and the page of one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tollbook.alerts.message import query_path
from tollbook.console.pages.charts import lines
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Controls,
    Field,
    Figure,
    Figures,
    Form,
    Notice,
    Section,
    Table,
    Tone,
    View,
)
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_READ: Final = Permit(Scope.ALERTS)
_WRITE: Final = Permit(Scope.ALERTS, Access.WRITE)
_STATES: Final = (
    ("unresolved", "Unresolved"), ("open", "Open"), ("acknowledged", "Acknowledged"),
    ("expected", "Expected"), ("resolved", "Resolved"), ("all", "All"),
)  # fmt: skip
_TONES: Final = {"critical": "bad", "warning": "warn"}


def inbox(context: PageContext) -> View:
    """Return the incidents of one state."""
    state = context.get("state") or "unresolved"
    answer = context.ask("incidents.list", state=state, tenant=context.get("tenant"))
    counts: dict[str, int] = answer["counts"]
    figures = Figures(
        items=(
            Figure(label="Open", value=counts["open"], kind="count",
                   tone="bad" if counts["open"] else "good",
                   url=context.url(state="open"), note="nobody looks after them yet"),
            Figure(label="Acknowledged", value=counts["acknowledged"], kind="count",
                   url=context.url(state="acknowledged")),
            Figure(label="Expected", value=counts["expected"], kind="count",
                   url=context.url(state="expected")),
            Figure(label="Excess of those listed", value=answer["excess_usd"], kind="usd",
                   note="dollars above what was expected"),
        )
    )  # fmt: skip
    tabs = tuple(Choice(label, context.url(state=name), name == state) for name, label in _STATES)
    return View(
        title="Incidents", sections=(figures, _list(context, answer["rows"], state)),
        controls=Controls(has_range=False, has_filters=False, tabs=tabs), tz=context.tz,
        actions=(Choice("Rules", "/alert-rules"), Choice("Channels", "/channels")),
        command=f"tollbook alerts list --state {state}",
    )  # fmt: skip


def _list(context: PageContext, rows: list[dict[str, Any]], state: str) -> Table:
    shown = [
        row
        | {
            "age": _age(row, context.now), "rules": ", ".join(row["rules"]),
            "_tone": _TONES.get(row["severity"], "plain"),
            "_links": {"title": f"/incident?id={row['id']}", "excess_usd": row["calls_path"],
                       "driver": row["calls_path"]},
        }
        for row in rows
    ]  # fmt: skip
    empty = (
        "No incident is unresolved. Rules are evaluated every minute; try them on history on the "
        "page of rules, and set a channel so that you are told."
        if state == "unresolved"
        else "No incident in this state."
    )
    columns = (
        Column("state", "State", "state"), Column("severity", "Severity", "state"),
        Column("title", "Incident"), Column("excess_usd", "Excess", "usd",
                                            "Dollars above what was expected, so far"),
        Column("driver", "Driver", help="Tenant / feature / model that most of it comes from"),
        Column("age", "Age", "seconds", "Since it was first seen"),
        Column("last_seen", "Last seen", "time"), Column("owner", "Owner"),
        Column("rules", "Rules"),
    )  # fmt: skip
    note = "One row for each cause: rules that see the same cause from several sides are merged."
    return Table(name="incidents", columns=columns, rows=shown, empty=empty, note=note)


def _age(row: dict[str, Any], now: datetime) -> int:
    end = now if row["resolved_at"] is None else datetime.fromisoformat(row["resolved_at"])
    return int((end - datetime.fromisoformat(row["first_seen"])) / timedelta(seconds=1))


def incident(context: PageContext) -> View:
    """Return one incident: what, whose, since when, and what to do about it."""
    number = context.need("id", "the number of an incident")
    answer = context.ask("incidents.show", id=number)
    row = answer["rows"][0]
    sections: list[Section] = [_head(context, row)]
    if row["words"]:
        tone: Tone = "good" if row["state"] == "resolved" else "warn"
        sections.append(Notice(text=f"{row['words']}.", tone=tone, url=row["calls_path"],
                               action="Its calls"))  # fmt: skip
    if answer["series"]:
        sections.append(_chart(answer["series"]))
    sections.append(_drivers(answer, row))
    sections.append(_signals(answer))
    if context.may(_WRITE):
        sections += _forms(row)
    sections += [_events(answer), _told(answer)]
    return View(
        title=row["title"], subtitle=f"Incident {row['id']}", sections=tuple(sections),
        trail=(Choice("Incidents", "/incidents"),), tz=context.tz,
        command=f"tollbook alerts show {row['id']}",
    )  # fmt: skip


def _head(context: PageContext, row: dict[str, Any]) -> Figures:
    tones: dict[str, Tone] = {"open": "bad", "resolved": "good"}
    tone = tones.get(row["state"], "warn")
    until = row["expected_until"]
    items = [
        Figure(label="State", value=row["state"], kind="state", tone=tone,
               note=None if until is None else f"until {until[:16]}"),
        Figure(label="Excess so far", value=row["excess_usd"] or "0", kind="usd",
               url=row["calls_path"], note="above what was expected; an estimate"),
        Figure(label="Lasting", value=_age(row, context.now), kind="seconds",
               note=f"since {row['first_seen'][:16].replace('T', ' ')} UTC"),
        Figure(label="Owner", value=row["owner"] or "nobody"),
    ]  # fmt: skip
    return Figures(items=tuple(items))


def _chart(series: list[dict[str, Any]]) -> Chart:
    return Chart(
        name="series", title="Dollars by hour, and what was expected",
        values=[
            {"hour": one["hour"][:16].replace("T", " "), "cost_usd": one["cost_usd"],
             "expected_usd": one["expected_usd"], "threshold_usd": one["threshold_usd"]}
            for one in series
        ],
        spec=lines("hour", "cost_usd", title="USD", low="expected_usd", high="threshold_usd"),
        summary="Cost of each hour as a line; the band is from what was expected to the threshold.",
    )  # fmt: skip


def _drivers(answer: dict[str, Any], row: dict[str, Any]) -> Table:
    rows = [
        one | {"name": one["name"] if one["name"] is not None else "(not set)",
               "_depth": one["depth"], "_links": {"excess_usd": row["calls_path"]}}
        for one in answer["drivers"]
    ]  # fmt: skip
    columns = (
        Column("name", "Tenant, feature, model"), Column("level", "Level"),
        Column("excess_usd", "Excess", "usd"), Column("share_percent", "Share", "share"),
    )  # fmt: skip
    note = (
        "What rose in the window against the mean of the seven days before it: the largest "
        "tenants, the features of the first, the models of its first feature."
    )
    return Table(name="drivers", title="Where it comes from", columns=columns, rows=rows,
                 note=note, empty="This rule says by itself what it is about.")  # fmt: skip


def _signals(answer: dict[str, Any]) -> Table:
    rows = [
        one | {"_links": {"words": _calls(one), "rule": f"/alert-rule?name={one['rule']}"}}
        for one in answer["signals"]
    ]
    columns = (
        Column("rule", "Rule"), Column("entity_text", "About"), Column("words", "What it saw"),
        Column("excess_usd", "Excess", "usd"), Column("since", "From", "time"),
        Column("until", "To", "time"),
    )  # fmt: skip
    return Table(name="signals", title="What rules see", columns=columns, rows=rows,
                 note="The newest of each rule; its calls are those of a fixed time.")  # fmt: skip


def _calls(one: dict[str, Any]) -> str:
    return query_path(one)


def _forms(row: dict[str, Any]) -> list[Section]:
    own = Field(name="id", label="Incident", kind="hidden", value=row["id"])
    note = Field(name="note", label="Note", placeholder="what it was")
    found: list[Section] = []
    if row["state"] in ("open", "expected"):
        found.append(Form(name="acknowledge", operation="incidents.acknowledge", fields=(own, note),
                          title="Acknowledge", submit="Acknowledge",
                          note="You look after it; you become its owner."))  # fmt: skip
    if row["state"] != "resolved":
        until = Field(name="until", label="Until", is_required=True, placeholder="4h, 7d, a date",
                      help="Nobody is told before; then only if it still goes on.")  # fmt: skip
        reason = Field(name="reason", label="Reason", placeholder="load test of acme")
        found.append(Form(name="expect", operation="incidents.expect", fields=(own, until, reason),
                          title="Expected", submit="Expect it", is_folded=True))  # fmt: skip
        found.append(Form(name="resolve", operation="incidents.resolve", fields=(own, note),
                          title="Resolve", submit="Resolve", is_folded=True,
                          note="It is opened again if it goes on for another hour."))  # fmt: skip
    owner = Field(name="owner", label="Owner", value=row["owner"])
    found.append(Form(name="assign", operation="incidents.assign", fields=(own, owner),
                      title="Assign", submit="Assign", is_folded=True))  # fmt: skip
    text = Field(name="text", label="Note", kind="textarea", is_required=True)
    found.append(Form(name="note", operation="incidents.note", fields=(own, text),
                      title="Add a note", submit="Add", is_folded=True))  # fmt: skip
    return found


def _events(answer: dict[str, Any]) -> Table:
    columns = (Column("at", "When", "time"), Column("action", "What", "state"),
               Column("actor", "Who"), Column("words", "Words"))  # fmt: skip
    return Table(name="events", title="What happened", columns=columns, rows=answer["events"],
                 note="Only ever added to.")  # fmt: skip


def _told(answer: dict[str, Any]) -> Table:
    columns = (
        Column("channel", "Channel"), Column("event", "Told of"), Column("state", "State", "state"),
        Column("tries", "Tries", "count"), Column("last_at", "Last try", "time"),
        Column("detail", "Detail"),
    )  # fmt: skip
    return Table(name="deliveries", title="Who was told", columns=columns,
                 rows=answer["deliveries"],
                 empty="No channel was told. Set one on the page of channels.")  # fmt: skip


PAGES: Final = (
    Page("/incidents", "Incidents", inbox, _READ, group="Act"),
    Page("/incident", "Incident", incident, _READ),
)
