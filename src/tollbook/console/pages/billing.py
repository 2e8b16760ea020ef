"""Billing systems: what each has of what the ledger has, and its deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    REASON,
    answered,
    calls_url,
    columns,
    command,
    figures,
    hidden,
    permitted,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Choice, Controls, Field, Figure, Form, Notice, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.finance_parts import Answered
    from tollbook.console.pages.view import Section

_STATES: Final = ("planned", "held", "sending", "failed", "unclear", "uncertain", "confirmed",
                  "refused", "settled", "void")  # fmt: skip
_NEED_A_PERSON: Final = ("held", "refused", "uncertain")
_HOW: Final = (("again", "send them again"), ("replan", "plan them anew"),
               ("there", "they are there"), ("settled", "settled by other means"))  # fmt: skip
_EXAMPLE: Final = """{"type": "stripe", "start": "2026-10-01",
 "customers": {"acme": "cus_123"},
 "meters": [{"name": "llm_tokens", "measure": "input_tokens"}]}"""
_LOG_ROWS: Final = 10_000


def billing(context: PageContext) -> View:
    """Return the billing systems that are set up."""
    found = answered(context, "billing.systems")
    rows = [
        row | {"_links": {"system": f"/billing/system?name={row['system']}"},
               "key_is_set": "ok" if row["key_is_set"] else "missing"}
        for row in found.rows
    ]  # fmt: skip
    table = Table(
        name="systems", rows=rows,
        note="Keys are in the environment of the ledger process, in no file and no log.",
        empty="No billing system is set up: usage is delivered nowhere. Set one up below.",
        columns=columns(
            ("system", "System"), ("type", "Type"), ("url", "Address"), ("bucket", "Each"),
            ("start", "Since"), ("meters", "Meters"), ("customers", "Customers", "count"),
            ("key", "Key", "code"), ("key_is_set", "Is set", "state"),
        ),
    )  # fmt: skip
    return View(
        title="Billing systems", sections=(*found.notices("bad"), table,
                                           *permitted(context, _keep_form())),
        subtitle="Usage and charges of tenants, delivered to Stripe, Lago or OpenMeter.",
        command=command("billing", "systems"), tz=context.tz,
    )  # fmt: skip


def _keep_form() -> Form:
    return Form(
        name="keep", operation="billing.keep_system", title="Set up a system", submit="Keep it",
        is_folded=True, note="Nothing is sent by this. What may not change any more once something "
        "was delivered is refused.",
        fields=(
            Field(name="name", label="Name", placeholder="stripe", is_required=True),
            Field(name="body", label="Settings", kind="textarea", is_object=True,
                  is_required=True, placeholder=_EXAMPLE, help="JSON or TOML."),
            REASON,
        ),
    )  # fmt: skip


def system(context: PageContext) -> View:
    """Return one system: its meters against the ledger, its log, and forms to send."""
    name, state = context.need("name", "a billing system"), context.get("state")
    known = state if state in _STATES else None
    status = answered(context, "billing.status", system=name)
    log = answered(context, "billing.log", system=name, state=known, limit=_LOG_ROWS)
    sections: list[Section] = [*status.notices("bad")]
    if status.problem is None:
        sections += [*_told(status), _log(context, log.rows, known)]
        sections += permitted(context, *_forms(name))
    return View(
        title=f"Billing system {name}", sections=tuple(sections), tz=context.tz,
        controls=Controls(has_range=False, has_filters=False, fields=(
            *hidden(name=name),
            Field(name="state", label="Deliveries", kind="select", value=known,
                  options=(("", "newest events"), *((one, one) for one in _STATES))),
        )),
        trail=(Choice("Billing systems", "/billing"),),
        command=command("billing", "status", name),
    )  # fmt: skip


def _told(status: Answered) -> list[Section]:
    waiting = [
        f"{row['meter']}: {row[name]} {name}"
        for row in status.rows
        for name in _NEED_A_PERSON
        if row[name] not in ("0", 0)
    ]
    sections: list[Section] = []
    if waiting:
        sections.append(Notice(text=f"Waits for a person's word: {'; '.join(waiting)}."))
    deliveries = sum(row["deliveries"] for row in status.rows)
    return [
        *sections,
        figures(
            Figure(label="Meters", value=len(status.rows), kind="count"),
            Figure(label="Deliveries", value=deliveries, kind="count"),
            Figure(label="Need a person", value=len(waiting), kind="count",
                   tone="warn" if waiting else "good"),
        ),
        Table(
            name="meters", title="What is there of what the ledger has", rows=status.rows,
            note="In the units of the meter; the difference is what the system does not have.",
            empty="No meter has anything yet: send, or look at a dry run.",
            columns=columns(
                ("meter", "Meter"), ("ledger", "Ledger", "count"),
                ("confirmed", "Confirmed", "count"), ("waiting", "On its way", "count"),
                ("held", "Held", "count"), ("refused", "Refused", "count"),
                ("uncertain", "Uncertain", "count"), ("settled", "Settled", "count"),
                ("difference", "Difference", "count"), ("deliveries", "Deliveries", "count"),
            ),
        ),
    ]  # fmt: skip


def _log(context: PageContext, rows: list[dict[str, Any]], state: str | None) -> Table:
    shown = sliced(context, [
        row | {"_links": {"tenant": calls_url(context, row["bucket"][:7],
                                              {"tenant": row["tenant"]})}}
        for row in rows
    ])  # fmt: skip
    return Table(
        name="log", title="Delivery log" if state is None else f"Deliveries: {state}",
        rows=shown.rows, next_url=shown.next_url, previous_url=shown.previous_url,
        empty="Nothing was delivered yet." if state is None else f"No delivery is {state}.",
        columns=columns(
            ("at", "When", "time"), ("state", "State", "state"), ("meter", "Meter"),
            ("tenant", "Tenant", "name"), ("bucket", "Of", "time"), ("quantity", "Quantity"),
            ("http_status", "HTTP"), ("detail", "Detail"), ("delivery_key", "Delivery", "id"),
        ),
    )  # fmt: skip


def _forms(name: str) -> tuple[Form, ...]:
    states = tuple((one, one) for one in _NEED_A_PERSON)
    dry = Field(name="dry_run", label="dry run", kind="hidden", value="true")
    return (
        Form(
            name="dry", operation="billing.push", title="Dry run", shows_answer=True,
            submit="Show what would be sent", note="Writes and sends nothing.",
            fields=(*hidden(system=name), dry),
        ),
        Form(
            name="push", operation="billing.push", title="Send", submit="Send what is due",
            is_dangerous=True,
            note="Each delivery has an id of its own: what is there already is not counted twice.",
            fields=hidden(system=name),
        ),
        Form(
            name="retry", operation="billing.retry", title="Settle what waits for a word",
            submit="Settle them", is_folded=True,
            fields=(
                *hidden(system=name),
                Field(name="state", label="Those that are", kind="select", options=states),
                Field(name="how", label="What becomes of them", kind="select", options=_HOW),
                REASON,
            ),
        ),
    )  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/billing", "Billing systems", billing, _SEEN, "Finance"),
    Page("/billing/system", "Billing system", system, _SEEN),
)
