"""Anthropic: usage_report and cost_report of the Admin API.

https://platform.claude.com/docs/en/api/admin/usage_report and cost_report. Amounts are decimal
strings in cents. Token counts are disjoint already. Costs of the Priority Tier are in neither; code
execution is in the cost report only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.base import Cells, Format, buckets, line, tags_of
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.models import model_in
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in, tier_in
from tollbook.prices.tiers import tier_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

PROVIDER: Final = "anthropic"
_CENT: Final = Decimal("0.01")
_TOKEN_TYPES: Final = {
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "output_tokens": "visible_output_tokens",
}
_COST_TYPES: Final = {"web_search": "web_search_requests", "code_execution": "code_sessions"}
_KNOWN: Final = frozenset({
    "starting_at", "ending_at", "results", "workspace_id", "api_key_id", "model", "service_tier",
    "context_window", "inference_geo", "speed", "amount", "currency", "cost_type", "token_type",
    "description", "cache_creation", "server_tool_use", "object", *_TOKEN_TYPES,
})  # fmt: skip


def read_usage(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of a usage report, one of each kind that is not zero."""
    provider = reading.provider or PROVIDER
    group = Group(provider, reading.account, reading.scope)
    for at, start_ns, end_ns, results in buckets(rows, reading, "starting_at", "ending_at"):
        reading.cover(start_ns, end_ns)
        for result in results:
            flat = _flat(result)
            cells = Cells(at, flat, reading)
            common = _common(cells) | {"start_ns": start_ns, "end_ns": end_ns, "provider": provider}
            counts = {kind: cells.whole(field) for field, kind in _TOKEN_TYPES.items()}
            counts["web_search_requests"] = cells.whole("server_tool_use.web_search_requests")
            for kind, quantity in counts.items():
                if quantity:
                    yield Told(group, line(**common, kind=kind, quantity=quantity))


def read_costs(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield a line for each result of a cost report."""
    provider = reading.provider or PROVIDER
    group = Group(provider, reading.account, reading.scope)
    for at, start_ns, end_ns, results in buckets(rows, reading, "starting_at", "ending_at"):
        reading.cover(start_ns, end_ns)
        for result in results:
            cells = Cells(at, _flat(result), reading)
            amount = cells.pico("amount", unit=_CENT)
            currency = (cells.text("currency") or "USD").upper()
            description = cells.text("description")
            common = _common(cells)
            if description is not None and common["model"] is None:
                common["model"] = model_in(description)
            kind = _TOKEN_TYPES.get(cells.text("token_type") or "")
            kind = kind or _COST_TYPES.get(cells.text("cost_type") or "")
            if kind is None and cells.text("cost_type") in {"tokens", None}:
                kind = kind_in(description or "")
            if common["tier"] is None and cells.first("service_tier") is None:
                common["tier"] = tier_in(description or "")
            yield Told(
                group,
                line(
                    **common, start_ns=start_ns, end_ns=end_ns, provider=provider, kind=kind,
                    amount=reading.dollars(at, amount, currency, start_ns), currency=currency,
                    amount_in_currency=None if currency == "USD" else amount,
                    description=description or cells.text("cost_type"),
                ),
            )  # fmt: skip


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    flat = dict(result)
    for name in ("cache_creation", "server_tool_use"):
        inner = result.get(name)
        if isinstance(inner, dict):
            flat |= {f"{name}.{key}": value for key, value in inner.items()}
    return flat


def _common(cells: Cells) -> dict[str, Any]:
    words = [cells.text("service_tier"), cells.text("speed")]
    geo = cells.text("inference_geo")
    return {
        "project": cells.text("workspace_id"),
        "api_key": cells.text("api_key_id"),
        "model": cells.text("model"),
        "tier": tier_of("+".join(word for word in words if word)),
        "region": None if geo == "not_available" else geo,
        "context_window": cells.text("context_window"),
        "tags": tags_of(
            (name, value) for name, value in cells.values.items()
            if name not in _KNOWN and not name.startswith(("cache_creation.", "server_tool_use."))
        ),
    }  # fmt: skip


USAGE: Final = Format(
    "anthropic.usage_report", Basis.USAGE,
    (frozenset({"startingat", "endingat", "uncachedinputtokens"}),), read_usage,
)  # fmt: skip
COSTS: Final = Format(
    "anthropic.cost_report", Basis.COST,
    (frozenset({"startingat", "endingat", "amount"}),), read_costs,
)  # fmt: skip
