"""The providers' statements as files, in the shapes that they export.

OpenAI: usage by hour (``organization.usage.completions``) and costs by day; Anthropic: usage report
and cost report by day, cents as decimal strings; Azure: the cost export of a month as CSV. Amounts
are written to the last digit, which real exports nearly are.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from examples.quarter.plants import MISSING_USAGE_DAY, UNIT_HOUR, UNITS
from examples.quarter.truth import Cell, days_of
from examples.quarter.world import KINDS, MONTHS, PROVISIONED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from examples.quarter.truth import Truth

_HOUR_S = 3600
_USD = Decimal(10**12)
_AZURE_SUBSCRIPTION = "7c1d2f1e-0000-4000-8000-000000000001"
_AZURE_COLUMNS = (
    "SubscriptionId", "ResourceGroup", "ResourceLocation", "Date", "ProductName", "MeterCategory",
    "MeterSubCategory", "MeterId", "MeterName", "MeterRegion", "UnitOfMeasure", "Quantity",
    "EffectivePrice", "CostInBillingCurrency", "CostCenter", "ConsumedService", "ResourceId",
    "Tags", "BillingCurrencyCode", "ChargeType", "PricingModel", "InvoiceId",
)  # fmt: skip
_LINE_ITEMS = ("input", "cached input", "cache write", "output")
_ANTHROPIC_KINDS = (
    "uncached_input_tokens", "cache_read_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens", "output_tokens",
)  # fmt: skip
_AZURE_METERS = ("Inp", "cached Inp", "", "Outp")


def write_bills(truth: Truth, directory: Path) -> list[Path]:
    """Write every statement of the quarter and return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for month in MONTHS:
        for name, content in (
            (f"openai-usage-{month}.json", _page(_openai_usage(truth, month))),
            (f"openai-costs-{month}.json", _page(_openai_costs(truth, month))),
            (f"anthropic-usage-{month}.json", _report(_anthropic_usage(truth, month))),
            (f"anthropic-cost-{month}.json", _report(_anthropic_cost(truth, month))),
        ):
            path = directory / name
            path.write_text(content)
            files.append(path)
        path = directory / f"azure-costs-{month}.csv"
        with path.open("w", newline="") as out:
            writer = csv.DictWriter(out, _AZURE_COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(_azure_rows(truth, month))
        files.append(path)
    return files


def usd(pico: int) -> str:
    """Return an amount of pico as plain decimal text."""
    text = f"{Decimal(pico) / _USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cells(truth: Truth, provider: str, month: str) -> list[Cell]:
    return sorted(
        cell for cell in truth.tokens
        if cell.provider == provider and _day(cell.hour).strftime("%Y-%m") == month
    )  # fmt: skip


def _day(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR_S, UTC)


def _by_day(
    truth: Truth, provider: str, month: str
) -> Iterator[tuple[datetime, Cell, list[int], list[int], int]]:
    """Yield day, cell (its hour that of midnight), tokens, amounts and requests."""
    tokens: dict[Cell, list[int]] = defaultdict(lambda: [0] * len(KINDS))
    amounts: dict[Cell, list[int]] = defaultdict(lambda: [0] * len(KINDS))
    requests: dict[Cell, int] = defaultdict(int)
    for cell in _cells(truth, provider, month):
        whole = cell._replace(hour=cell.hour // 24 * 24)
        for at in range(len(KINDS)):
            tokens[whole][at] += truth.tokens[cell][at]
            amounts[whole][at] += truth.amounts[cell][at]
        requests[whole] += truth.requests[cell]
    for whole in sorted(tokens):
        yield _day(whole.hour), whole, tokens[whole], amounts[whole], requests[whole]


def _openai_usage(truth: Truth, month: str) -> Iterator[dict[str, Any]]:
    hours: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for cell in _cells(truth, "openai", month):
        uncached, cached, _, output = truth.tokens[cell]
        hours[cell.hour].append({
            "object": "organization.usage.completions.result",
            "input_tokens": uncached + cached, "input_cached_tokens": cached,
            "output_tokens": output, "input_audio_tokens": 0, "output_audio_tokens": 0,
            "num_model_requests": truth.requests[cell], "project_id": cell.project,
            "user_id": None, "api_key_id": cell.key, "model": cell.model, "batch": False,
            "service_tier": cell.tier or "default",
        })  # fmt: skip
    for hour, results in sorted(hours.items()):
        yield {
            "object": "bucket", "start_time": hour * _HOUR_S, "end_time": (hour + 1) * _HOUR_S,
            "results": results,
        }  # fmt: skip


def _openai_costs(truth: Truth, month: str) -> Iterator[dict[str, Any]]:
    days: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for day, cell, tokens, amounts, _ in _by_day(truth, "openai", month):
        for at, item in enumerate(_LINE_ITEMS):
            if tokens[at]:
                tier = f" {cell.tier}" if cell.tier else ""
                days[day].append({
                    "object": "organization.costs.result",
                    "amount": {"value": _Number(usd(amounts[at])), "currency": "usd"},
                    "line_item": f"{cell.model}{tier}, {item}", "project_id": cell.project,
                    "quantity": tokens[at], "quantity_unit": "tokens",
                })  # fmt: skip
    for day, results in sorted(days.items()):
        start = int(day.timestamp())
        yield {
            "object": "bucket", "start_time": start, "end_time": start + 24 * _HOUR_S,
            "results": results,
        }  # fmt: skip


def _anthropic_usage(truth: Truth, month: str) -> Iterator[dict[str, Any]]:
    for day, results in _anthropic_days(truth, month, _usage_result):
        if day.date() != MISSING_USAGE_DAY:
            yield _bucket(day, results)


def _anthropic_cost(truth: Truth, month: str) -> Iterator[dict[str, Any]]:
    for day, results in _anthropic_days(truth, month, _cost_results):
        yield _bucket(day, results)


def _anthropic_days(truth: Truth, month: str, make: Any) -> Iterator[tuple[datetime, list[Any]]]:
    days: dict[datetime, list[Any]] = defaultdict(list)
    for day, cell, tokens, amounts, _ in _by_day(truth, "anthropic", month):
        days[day].extend(make(cell, tokens, amounts))
    yield from sorted(days.items())


def _usage_result(cell: Cell, tokens: list[int], _amounts: list[int]) -> list[dict[str, Any]]:
    return [{
        "uncached_input_tokens": tokens[0], "cache_read_input_tokens": tokens[1],
        "cache_creation": {"ephemeral_5m_input_tokens": tokens[2], "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens[3], "server_tool_use": {"web_search_requests": 0},
        "api_key_id": cell.key, "workspace_id": None, "model": cell.model,
        "service_tier": "standard", "context_window": "0-200k", "inference_geo": "global",
    }]  # fmt: skip


def _cost_results(cell: Cell, tokens: list[int], amounts: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "currency": "USD", "amount": usd(amounts[at] * 100), "workspace_id": None,
            "description": f"{cell.model} Usage - {kind}", "cost_type": "tokens",
            "context_window": "0-200k", "model": cell.model, "service_tier": "standard",
            "token_type": kind, "inference_geo": "global",
        }
        for at, kind in enumerate(_ANTHROPIC_KINDS)
        if tokens[at]
    ]  # fmt: skip


def _bucket(day: datetime, results: list[Any]) -> dict[str, Any]:
    end = day + timedelta(days=1)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "starting_at": day.strftime(form), "ending_at": end.strftime(form), "results": results,
    }  # fmt: skip


def _azure_rows(truth: Truth, month: str) -> Iterator[dict[str, str]]:
    for day, cell, tokens, amounts, _ in _by_day(truth, "azure", month):
        if cell.model == PROVISIONED:
            continue
        for at, meter in enumerate(_AZURE_METERS):
            if tokens[at]:
                yield _azure_row(
                    day, f"{cell.model} {meter} glbl Tokens", "1M", tokens[at], 10**6, amounts[at]
                )
    for at in range(days_of(month)):
        day = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) + timedelta(days=at)
        hours = 24 * UNITS
        yield _azure_row(
            day, "Provisioned Managed Global Unit", "1/Hour", hours, 1, hours * UNIT_HOUR
        )


def _azure_row(
    day: datetime, meter: str, unit: str, count: int, per: int, pico: int
) -> dict[str, str]:
    return {
        "SubscriptionId": _AZURE_SUBSCRIPTION, "ResourceGroup": "product",
        "ResourceLocation": "swedencentral", "Date": day.strftime("%m/%d/%Y"),
        "ProductName": "Azure OpenAI", "MeterCategory": "Cognitive Services",
        "MeterSubCategory": "Azure OpenAI", "MeterId": "", "MeterName": meter,
        "MeterRegion": "Global", "UnitOfMeasure": unit, "Quantity": f"{Decimal(count) / per:f}",
        "EffectivePrice": "", "CostInBillingCurrency": usd(pico),
        "ConsumedService": "Microsoft.CognitiveServices", "BillingCurrencyCode": "USD",
        "ResourceId": f"/subscriptions/{_AZURE_SUBSCRIPTION}/resourceGroups/product/providers/"
        "Microsoft.CognitiveServices/accounts/product",
        "ChargeType": "Usage", "PricingModel": "OnDemand",
    }  # fmt: skip


class _Number(str):
    """Decimal text that is written to JSON as a number, digit by digit."""

    __slots__ = ()


def _page(buckets: Iterator[dict[str, Any]]) -> str:
    return _json({"object": "page", "data": list(buckets), "has_more": False, "next_page": None})


def _report(buckets: Iterator[dict[str, Any]]) -> str:
    return _json({"data": list(buckets), "has_more": False, "next_page": None})


def _json(value: Any) -> str:
    """Return JSON in which :class:`_Number` is a number: ``json`` knows no decimals but floats."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{json.dumps(name)}:{_json(one)}" for name, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",\n".join(map(_json, value)) + "]"
    return json.dumps(value)
