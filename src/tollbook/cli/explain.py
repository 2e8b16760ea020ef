"""``tollbook explain CALL_ID``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import cell, money, print_table, write_json
from tollbook.console.client import open_source
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

_LINES = ("kind", "quantity", "rate", "product", "cost_usd", "step", "note")
_BILLABLE = ("part", "what", "arithmetic", "amount_usd")
_ENTRIES = (
    "entry_id", "batch_id", "kind", "part", "replaces", "tenant_id", "cost_usd", "price_card_id",
    "booked_at", "billing_period", "reason",
)  # fmt: skip
_SECTIONS = ("section", "layer", "weight", "tokens", "kinds")
_NOTHING = "0.000000000000"
_NARROW = ("batch_id", "part", "billing_period", "booked_at", "tenant_id")
"""What a narrow terminal does without, the first first."""
_WHAT = (
    "provider", "operation", "model_requested", "model_actual", "service_tier", "region", "route",
    "status", "http_status", "error_type", "attempt", "operation_id", "retry_of", "fallback_from",
    "cached_from", "provider_batch_id", "custom_id", "asked", "metering", "provider_response_id",
    "provider_request_id", "trace_id", "span_id", "observer", "observed_by", "call_site",
)  # fmt: skip


@click.command()
@click.argument("call_id")
@format_option
@place_options
def explain(
    call_id: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show whose call it was, what it used, and how its price comes about.

    CALL_ID is the id of `tollbook calls`, the x-tollbook-call-id of the answer, or the provider's
    own response or request id. As CSV: the entries.
    """
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        answer = source.explain(call_id)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(answer["entries"], (*_ENTRIES, "batch_hash")))
    else:
        _tell(answer)


def _tell(answer: dict[str, Any]) -> None:
    click.echo(f"Call {answer['call_id']} at {cell('', answer['called_at'])}")
    _facts("What", {name: answer["what"][name] for name in _WHAT})
    duration_ns = answer["times"]["duration_ns"]
    if duration_ns is not None:
        click.echo(f"  duration: {duration_ns // 1_000_000:,} ms")
    _tell_observers(answer)
    _tell_identity(answer)
    _tell_usage(answer)
    _tell_layers(answer["layers"])
    _tell_price(answer)
    _tell_billable(answer["billable"], answer["currency"])
    click.echo("\nEntries")
    print_table(answer["entries"], _ENTRIES, optional=_NARROW)
    hashes = {entry["batch_id"]: entry["batch_hash"] for entry in answer["entries"]}
    for batch_id, batch_hash in hashes.items():
        if batch_hash:
            click.echo(f"  batch {batch_id} hash {batch_hash}")
    click.echo(f"  net: {money(answer['net_cost_usd'])} {answer['currency']}")
    _facts("Evidence", answer["evidence"])
    for other in answer["other_call_ids"]:
        click.echo(f"Another call bears the same provider id: {other}")


def _facts(title: str, facts: dict[str, Any]) -> None:
    click.echo(f"\n{title}")
    for name, value in facts.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                click.echo(f"  {name}: {cell('', one) if isinstance(one, str) else one}")


def _tell_observers(answer: dict[str, Any]) -> None:
    if not answer["sightings"]:
        return
    click.echo(f"\nSeen by {', '.join(answer['observed_by'])}")
    for one in answer["sightings"]:
        by = f" (matched by {one['matched_by']})" if one["matched_by"] else ""
        click.echo(f"  {one['observer']} call {one['call_id']}: {one['state']}{by}")
        what = [one["provider"], one["model"], one["status"]]
        told = " ".join(cell("", word) for word in what if word)
        tenant = "no tenant" if one["tenant_id"] is None else f"tenant {cell('', one['tenant_id'])}"
        click.echo(f"    said: {told or 'nothing that is still kept'}, {tenant}")
        for raw in one["usage_raw"]:
            click.echo(f"    usage: {cell('', raw)}")


def _tell_identity(answer: dict[str, Any]) -> None:
    click.echo("\nIdentity")
    for name, owner in answer["identity"].items():
        # The key that was presented is not carried by anything else.
        source = f"  (from {owner['source']})" if owner["source"] else ""
        click.echo(f"  {name}: {cell('', owner['value'])}{source}")
    if "tenant_id" not in answer["identity"]:
        click.echo("  tenant_id: unknown (no mechanism carried one)")
    for name, value in answer["tags"].items():
        click.echo(f"  tag {cell('', name)}: {cell('', value)}")
    for one in answer["conflicts"]:
        click.echo(f"  conflict: {_conflict(one)}")
    for problem in answer["identity_problems"]:
        click.echo(f"  problem: {cell('', problem)}")


def _conflict(one: Any) -> str:
    if not isinstance(one, dict):
        return cell("", one)
    told = {name: cell("", value) for name, value in one.items()}
    return (
        f"{told.get('field')}: kept {told.get('kept')} (from {told.get('kept_source')}), "
        f"refused {told.get('refused')} (from {told.get('refused_source')})"
    )


def _tell_usage(answer: dict[str, Any]) -> None:
    click.echo(f"\nUsage ({answer['usage_source']})")
    for raw in answer["usage_raw"]:
        click.echo(f"  as reported: {cell('', raw)}")
    for name, kind in (answer["kinds"] or {}).items():
        if kind["quantity"]:
            click.echo(f"  {name}: {kind['quantity']:,}  ({kind['derivation']})")
    if answer["kinds"] is None:
        click.echo("  token counts: unknown")
    if answer["usage_late"] is not None:
        click.echo(f"  {cell('', answer['usage_late'])}")
    for problem in answer["usage_problems"]:
        click.echo(f"  problem: {cell('', problem)}")


def _tell_layers(layers: dict[str, Any] | None) -> None:
    if layers is None:
        return
    click.echo("\nLayers")
    if layers["sections"]:
        rows = [
            one | {"kinds": ", ".join(f"{n:,} {kind}" for kind, n in one["kinds"].items())}
            for one in layers["sections"]
        ]
        print_table(rows, _SECTIONS, optional=("kinds", "weight"))
    for name, layer in layers["layers"].items():
        if layer["tokens"] or layer["cost_usd"] not in (None, _NOTHING):
            tokens = "unknown" if layer["tokens"] is None else f"{layer['tokens']:,}"
            click.echo(f"  {name}: {tokens} tokens, {money(layer['cost_usd'])} USD")
    if layers["prefix_hash"] is not None:
        chars = layers["prefix_chars"] or 0
        click.echo(f"  stable start: {chars:,} characters, {cell('', layers['prefix_hash'])}")
    click.echo(f"  {layers['rule']}")


def _tell_price(answer: dict[str, Any]) -> None:
    _tell_one_price("Price", answer["price"], answer["currency"])
    for part in answer["parts"]:
        click.echo(f"\nPart {part['part']}: {cell('', part['label'])} by {cell('', part['model'])}")
        for name, quantity in (part["kinds"] or {}).items():
            click.echo(f"  {name}: {quantity:,}")
        _tell_one_price(f"Price of part {part['part']}", part["price"], answer["currency"])
    if answer["reported_cost_usd"] is not None:
        click.echo("\nThe provider's own figure")
        click.echo(f"  reported: {money(answer['reported_cost_usd'])} USD")
        difference = answer["ours_less_reported_usd"]
        click.echo(f"  by the cards less reported: {money(difference)} USD")


def _tell_billable(billable: dict[str, Any] | None, currency: str) -> None:
    if billable is None:
        return
    click.echo(f"\nBillable ({cell('', billable['rule_id'])})")
    if billable["rule_reason"]:
        click.echo(f"  reason: {cell('', billable['rule_reason'])}")
    for name, value in (billable["rule"] or {}).items():
        if name != "kind":
            click.echo(f"  {name}: {cell('', str(value))}")
    for flag in billable["flags"]:
        click.echo(f"  note: {cell('', flag)}")
    if billable["lines"]:
        print_table(billable["lines"], _BILLABLE, optional=("part",))
        click.echo(f"  {billable['rounding']}")
    click.echo(f"  billed: {money(billable['amount_usd'])} {currency}")
    click.echo(f"  less its cost: {money(billable['less_cost_usd'])} {currency}")


def _tell_one_price(title: str, price: dict[str, Any], currency: str) -> None:
    _facts(f"{title} ({price['state']})", price["card"] or {"card": price["card_id"]})
    if price["tier"] is not None:
        click.echo(f"  tier: {cell('', price['tier'])}")
    for flag in price["flags"]:
        click.echo(f"  note: {cell('', flag)}")
    if price["lines"]:
        print_table(price["lines"], _LINES)
        click.echo(f"  {price['rounding']}")
        click.echo(f"  sum of the lines: {money(price['lines_sum_usd'])} USD")
    if price["saved_usd"] is not None:
        click.echo(f"  saved by the response cache: {money(price['saved_usd'])} USD")
    click.echo(f"  booked: {money(price['cost_usd'])} {currency}")
