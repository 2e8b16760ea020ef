"""Why one call cost what it did: whose it is, what was used, which price, every line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.console.pages.call_parts import (
    billing_sections,
    entry_table,
    layer_tables,
    part_tables,
    sighting_table,
)
from tollbook.console.pages.kinds import words_of
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Choice,
    Column,
    Figure,
    Figures,
    Grid,
    Notice,
    Section,
    Table,
    Text,
    View,
)
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Tone
    from tollbook.reports.explain import Explanation, Price

PAIR: Final = (Column("name", "What"), Column("value", "Value"))
_MODEL: Final = ("model_actual", "model_requested")
_FIRST: Final = (
    "provider", "operation", "model_requested", "model_actual", "status", "http_status",
    "error_type", "service_tier", "region", "route", "is_stream", "attempt", "method", "path",
)  # fmt: skip


def call(context: PageContext) -> View:
    """Return the explanation of a call: ours or the provider's id is ``id``."""
    wanted = context.need("id", "the id of a call, ours or the provider's")
    found = context.house.answers.explain(wanted)
    model = next((found.what[name] for name in _MODEL if found.what[name]), "unknown model")
    sections: list[Section] = [_figures(context, found), *_notices(context, found)]
    sections.append(_arithmetic(found.price, "arithmetic", "Arithmetic, line by line"))
    sections += part_tables(found)
    sections.append(Grid(sections=(_identity(context, found), _price_card(found.price))))
    sections.append(_usage(found))
    sections += [Text(title="Usage as the provider reported it", text=_pretty(raw), is_code=True)
                 for raw in found.usage_raw]  # fmt: skip
    sections += [*billing_sections(found), *layer_tables(found), entry_table(context, found)]
    sections += sighting_table(context, found)
    sections.append(_facts(context, found))
    return View(
        title=f"Call {found.call_id}", subtitle=f"{found.what['provider']}, {model}",
        sections=tuple(sections), tz=context.tz, trail=(Choice("Calls", context.url("/calls")),),
        command=f"tollbook explain {found.call_id}",
    )  # fmt: skip


def _figures(context: PageContext, found: Explanation) -> Figures:
    cost = found.net_cost_usd
    took = found.times["duration_ns"]
    states: dict[str, Tone] = {"priced": "good", "unpriced": "bad", "unmetered": "warn"}
    owner = found.identity.get("tenant_id")
    items = [
        Figure(label="Cost", value=cost, kind="usd", note="all entries of the call together"),
        Figure(label="Price", value=found.price.state, tone=states.get(found.price.state, "plain")),
        Figure(label="Tenant", value=None if owner is None else owner.value, kind="name",
               url=None if owner is None else context.url("/tenant", id=owner.value, where=None)),
        Figure(label="Called", value=found.called_at, kind="time"),
        Figure(label="Input tokens", value=found.input_tokens, kind="count"),
        Figure(label="Output tokens", value=found.output_tokens, kind="count"),
        Figure(label="Took", value=None if took is None else f"{took // 10**6 / 1000}",
               kind="seconds"),
    ]  # fmt: skip
    if found.billable is not None:
        items.insert(1, Figure(label="Billed", value=found.billable.amount_usd, kind="usd"))
    return Figures(items=tuple(items))


def _notices(context: PageContext, found: Explanation) -> list[Notice]:
    notices = []
    if found.net_cost_usd is None:
        notices.append(Notice(
            text="The cost is unknown, which is not nothing: there is no price for this model, or "
            "for a part of what was used.", tone="bad",
            url=context.url("/pricebook", where=None) if context.has_page("/pricebook") else None,
            action="Write a price card",
        ))  # fmt: skip
    if "tenant_id" not in found.identity:
        notices.append(Notice(text="No tenant: the call is unattributed.", url="/quality",
                              action="How to attribute such calls"))  # fmt: skip
    if found.usage_source == "estimated":
        notices.append(Notice(text="The provider told no usage; tokens are estimated from text."))
    if found.usage_late:
        notices.append(Notice(text=f"Its usage came late: {found.usage_late}", tone="plain"))
    problems = [*found.identity_problems, *found.usage_problems]
    notices += [Notice(text=str(one)) for one in problems]
    for one in found.conflicts:
        notices.append(Notice(text=f"Two mechanisms name different owners: {_words(one)}"))
    if found.other_call_ids:
        notices.append(Notice(
            text=f"{len(found.other_call_ids)} more calls bear this id of the provider.",
            url=context.url(id=found.other_call_ids[0]), action="The next one",
        ))  # fmt: skip
    return notices


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _arithmetic(price: Price, name: str, title: str) -> Table:
    has_steps = any(line.step for line in price.lines)
    has_notes = any(line.note for line in price.lines)
    columns = (
        Column("kind", "Kind"), Column("quantity", "Quantity", "count"), Column("rate", "Price"),
        *([Column("step", "Step")] if has_steps else []),
        Column("cost_usd", "Booked", "usd"), Column("product", "Quantity by price", "code"),
        *([Column("note", "Note")] if has_notes else []),
    )  # fmt: skip
    rows = [
        {"kind": words_of(line.kind), "quantity": line.quantity, "rate": line.rate,
         "step": line.step, "product": line.product, "cost_usd": line.cost_usd, "note": line.note}
        for line in price.lines
    ]  # fmt: skip
    empty = {
        "not_billed": "Nothing was billed: the provider answered with an error, or was not asked.",
        "unpriced": "There is no price card for this model, so no line can be reckoned.",
    }
    return Table(
        name=name, title=title, columns=columns, rows=rows, note=_capital(price.rounding) + ".",
        total={"cost_usd": price.lines_sum_usd} if rows else None,
        empty=empty.get(price.state, "No line: nothing that is priced was used."),
    )  # fmt: skip


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _identity(context: PageContext, found: Explanation) -> Table:
    columns = (Column("field", "Whose"), Column("value", "Value", "name"),
               Column("source", "Told by", "name"))  # fmt: skip
    rows: list[dict[str, Any]] = []
    for name, owner in found.identity.items():
        dimension = _DIMENSION.get(name, name)
        links = {"value": context.filtered("/calls", dimension, owner.value)}
        rows.append({"field": name.replace("_", " "), "value": owner.value,
                     "source": owner.source, "_links": links})  # fmt: skip
    rows += [
        {"field": f"tag {name}", "value": value, "source": None,
         "_links": {"value": context.filtered("/calls", f"tag:{name}", value)}}
        for name, value in found.tags.items()
    ]  # fmt: skip
    return Table(
        name="identity", title="Whose call it is", columns=columns, rows=rows,
        empty="Nothing says whose call it is. Send x-tollbook-tenant, or use a virtual key.",
    )  # fmt: skip


_DIMENSION: Final = {
    "tenant_id": "tenant", "user_id": "user", "team_id": "team", "workflow_id": "workflow",
    "agent_run_id": "agent_run", "workflow_step": "step", "request_origin": "origin",
    "request_id": "request", "api_key_id": "api_key",
}  # fmt: skip


def _price_card(price: Price) -> Table:
    card = price.card
    rows: list[dict[str, Any]] = [] if card is None else [
        {"name": "model", "value": f"{card.provider} {card.model}"},
        {"name": "source", "value": card.source},
        {"name": "in force from", "value": card.effective_from or "always"},
        {"name": "until", "value": card.effective_until or "further notice"},
        {"name": "of the day", "value": card.daily}, {"name": "tier", "value": card.service_tier},
        {"name": "region", "value": card.region}, {"name": "reason", "value": card.reason},
        {"name": "version in the books", "value": card.document},
        {"name": "card", "value": card.card_id},
        *({"name": "note", "value": note} for note in card.notes),
    ]  # fmt: skip
    rows += [{"name": "chosen by", "value": price.tier}, {"name": "flags", "value": price.flags},
             {"name": "the cost is", "value": _SOURCES.get(price.cost_source or "")},
             {"name": "saved by the response cache (USD)", "value": price.saved_usd}]  # fmt: skip
    return Table(
        name="card", title="Price card", columns=PAIR,
        rows=[row for row in rows if row["value"] not in (None, "", [])],
        empty="No price card applies.",
    )  # fmt: skip


_SOURCES: Final = {"card": "what the card makes of the usage", "provider": "the provider's figure"}


def _usage(found: Explanation) -> Table:
    columns = (Column("kind", "Kind"), Column("quantity", "Quantity", "count"),
               Column("derivation", "How it comes from what was reported"))  # fmt: skip
    rows = [
        {"kind": words_of(kind), "quantity": one.quantity, "derivation": one.derivation}
        for kind, one in (found.kinds or {}).items()
        if one.quantity
    ]
    return Table(
        name="usage", title="Usage", columns=columns, rows=rows, is_folded=bool(rows),
        note=f"Source: {found.usage_source or 'unknown'}. Every token is of one kind.",
        empty="No usage is known.",
    )  # fmt: skip


def _pretty(raw: str) -> str:
    try:
        return msgspec.json.format(raw, indent=2)
    except msgspec.DecodeError:
        return raw


def _facts(context: PageContext, found: Explanation) -> Table:
    what: Mapping[str, Any] = found.what
    names = [*_FIRST, *(name for name in what if name not in _FIRST)]
    rows: list[dict[str, Any]] = [
        {"name": name.replace("_", " "), "value": what[name]}
        for name in names
        if what[name] not in (None, "", [])
    ]
    for row in rows:
        if row["name"] in ("retry of", "operation id", "cached from"):
            row["_links"] = {"value": context.url(id=row["value"])}
    rows += [
        {"name": name.replace("_", " "), "value": value}
        for name, value in (found.times | found.evidence).items()
        if value is not None
    ]
    return Table(name="facts", title="The call as it was seen", columns=PAIR, rows=rows,
                 is_folded=True)  # fmt: skip


PAGES: Final = (Page("/call", "Call", call, Permit(Scope.CALLS)),)
