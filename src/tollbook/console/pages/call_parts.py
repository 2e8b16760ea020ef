"""Further sections of a call's explanation: its parts, its bill, its layers, entries, observers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.pages.kinds import words_of
from tollbook.console.pages.view import Column, Section, Table, Text

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.reports.explain import Explanation


def part_tables(found: Explanation) -> list[Section]:
    """Return what other models or prices made of the call."""
    columns = (
        Column("part", "Part", "count"), Column("label", "What", "name"), Column("model", "Model"),
        Column("kind", "Kind"), Column("quantity", "Quantity", "count"), Column("rate", "Price"),
        Column("cost_usd", "Booked", "usd"),
    )  # fmt: skip
    rows = [
        {"part": part.part, "label": part.label, "model": part.model, "kind": words_of(line.kind),
         "quantity": line.quantity, "rate": line.rate, "cost_usd": line.cost_usd}
        for part in found.parts
        for line in part.price.lines
    ]  # fmt: skip
    if not found.parts:
        return []
    return [Table(name="parts", title="Parts priced for themselves", columns=columns, rows=rows,
                  empty="No price card applies to the parts.")]  # fmt: skip


def billing_sections(found: Explanation) -> list[Section]:
    """Return how the amount that the tenant is billed comes about."""
    one = found.billable
    if one is None:
        return []
    columns = (Column("what", "Step"), Column("arithmetic", "Arithmetic", "code"),
               Column("amount_usd", "Amount", "usd"))  # fmt: skip
    rows = [{name: getattr(line, name) for name in ("what", "arithmetic", "amount_usd")}
            for line in one.lines]  # fmt: skip
    told = {name: getattr(one, name) for name in one.__struct_fields__}
    rule = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in told.items()
        if name not in ("lines", "amount_usd") and isinstance(value, str) and value
    )
    return [Table(name="billing", title="What the tenant is billed", columns=columns, rows=rows,
                  note=rule or None, total={"amount_usd": one.amount_usd})]  # fmt: skip


def layer_tables(found: Explanation) -> list[Section]:
    """Return how tokens and cost were given to the layers of the request."""
    if found.layers is None:
        return []
    columns = (Column("layer", "Layer"), Column("tokens", "Tokens", "count"),
               Column("cost_usd", "Cost", "amount"))  # fmt: skip
    rows = [
        {"layer": name, "tokens": line.tokens, "cost_usd": line.cost_usd}
        for name, line in found.layers.layers.items()
    ]
    tables: list[Section] = [
        Table(name="layers", title="Layers", columns=columns, rows=rows, is_folded=True,
              note=found.layers.rule[:1].upper() + found.layers.rule[1:] + ".")
    ]  # fmt: skip
    if found.layers.sections:
        sections = (
            Column("section", "Section"), Column("layer", "Layer"),
            Column("weight", "Weight", "count"), Column("tokens", "Tokens", "count"),
            Column("kinds", "Of them"),
        )  # fmt: skip
        tables.append(Table(
            name="sections", title="Sections of the request, in their order", columns=sections,
            is_folded=True,
            rows=[
                {"section": line.section.replace("_", " "), "layer": line.layer,
                 "weight": line.weight, "tokens": line.tokens,
                 "kinds": [f"{n:,} {words_of(kind)}" for kind, n in line.kinds.items() if n]}
                for line in found.layers.sections
            ],
        ))  # fmt: skip
    return tables


def entry_table(context: PageContext, found: Explanation) -> Table:
    """Return every entry about the call; their sum is the call."""
    columns = (
        Column("entry_id", "Entry", "id"), Column("kind", "Kind", "state"),
        Column("cost_usd", "Cost", "usd"), Column("booked_at", "Booked", "time"),
        Column("part", "Part", "count"), Column("replaces", "Replaces", "id"),
        Column("tenant_id", "Tenant", "name"), Column("billing_period", "Billed in"),
        Column("reason", "Reason"), Column("batch_hash", "Hash of its batch", "ref"),
    )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {column.name: getattr(line, column.name) for column in columns} for line in found.entries
    ]
    for row in rows:
        if row["tenant_id"] is not None:
            row["_links"] = {"tenant_id": context.url("/tenant", id=row["tenant_id"], where=None)}
    return Table(
        name="entries", title="Entries of the ledger", columns=columns, rows=rows,
        total={"cost_usd": found.net_cost_usd},
        note="Nothing is ever changed: a correction is a reversal and a new charge.",
    )  # fmt: skip


def sighting_table(context: PageContext, found: Explanation) -> list[Section]:
    """Return what each observer but the gateway said of the call."""
    seen = Text(title="Seen by", text=", ".join(found.observed_by))
    if not found.sightings:
        return [seen]
    columns = (
        Column("observer", "Observer"), Column("state", "What became of it", "state"),
        Column("matched_by", "Matched by"), Column("seen_at", "Seen", "time"),
        Column("tenant_id", "Tenant it named", "name"), Column("model", "Model"),
        Column("call_id", "Its id", "id"),
    )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {column.name: getattr(one, column.name) for column in columns} for one in found.sightings
    ]
    for row in rows:
        row["_links"] = {"call_id": context.url("/call", id=row["call_id"], where=None)}
    return [seen, Table(name="sightings", title="What its observers said", columns=columns,
                        rows=rows)]  # fmt: skip
