"""Whatever stands in a provider's file: it is read, or told, and never fails otherwise."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tollbook.chargeback.statements.errors import StatementFileError
from tollbook.chargeback.statements.formats.mapped import MappedRows, parse_mapping
from tollbook.chargeback.statements.formats.registry import FORMATS
from tollbook.chargeback.statements.models import model_in, model_key
from tollbook.chargeback.statements.pdf import finds_in
from tollbook.chargeback.statements.rows_in import Row, rows_in
from tollbook.chargeback.statements.told import Reading
from tollbook.chargeback.statements.words import kind_in, tier_in, window_in
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = {
    "openai": (
        "start_time", "end_time", "results", "object", "input_tokens", "output_tokens", "amount",
        "input_cached_tokens", "num_model_requests", "line_item", "quantity", "quantity_unit",
        "amount_value", "amount_currency", "batch", "service_tier", "images", "seconds", "model",
    ),
    "anthropic": (
        "starting_at", "ending_at", "results", "amount", "currency", "token_type", "cost_type",
        "cache_creation", "server_tool_use", "uncached_input_tokens", "service_tier", "speed",
        "description", "inference_geo",
    ),
    "aws": (
        "line_item_product_code", "line_item_usage_type", "line_item_usage_start_date",
        "line_item_usage_end_date", "line_item_unblended_cost", "line_item_usage_amount", "product",
        "bill_billing_period_start_date", "pricing_unit", "resource_tags", "resourceTags/user:x",
        "line_item_line_item_type", "line_item_currency_code", "ResultsByTime", "TimePeriod",
        "Groups", "Keys", "Metrics", "GroupDefinitions", "UnblendedCost", "Start", "End", "Amount",
    ),
    "azure": (
        "date", "meterName", "meterCategory", "costInBillingCurrency", "quantity", "unitOfMeasure",
        "billingCurrency", "costInUsd", "chargeType", "tags", "properties", "columns", "rows",
        "billingPeriodStartDate", "name",
    ),
    "gcp": (
        "service", "sku", "description", "usage_start_time", "usage_end_time", "cost", "currency",
        "credits", "labels", "invoice", "month", "usage", "amount", "currency_conversion_rate",
        "jobReference", "rows", "cost_type",
    ),
    "openrouter": ("date", "model", "usage", "prompt_tokens", "completion_tokens", "requests"),
    "focus": (
        "BilledCost", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "BillingCurrency",
        "BillingPeriodStart", "BillingPeriodEnd", "ProviderName", "ServiceName", "SkuMeter",
        "SkuPriceDetails", "ConsumedQuantity", "ConsumedUnit", "Tags", "InvoiceId",
    ),
}  # fmt: skip
_WORDS = (
    "2026-10-05", "2026-10-06T00:00:00Z", "2026-10-01", 1_791_158_400, 1_791_244_800, "12.5", "-3",
    "Bedrock", "AmazonBedrock", "Vertex AI", "gpt-5 Inp Tokens", "Gemini 2.5 Pro Input", "USD",
    "EUR", "", "NaN", Decimal("1e-30"), Decimal("NaN"), 0.1, float("inf"),
    "Usage", "Tax", "1K tokens", "1000 Tokens", "tokens", '{"a": 1}', '{"a":', "[1, 2]",
    '[{"amount": "x"}]', "202610", "organization.usage.completions.result", True,
)  # fmt: skip


_SENSIBLE: Any = (
    (("start", "date", "Start"), "2026-10-05T00:00:00Z"), (("end", "End"), "2026-10-06T00:00:00Z"),
    (("product_code",), "AmazonBedrock"), (("metername", "meterName"), "gpt-5 Inp Tokens"),
    (("service",), {"description": "Vertex AI"}),
    (("sku",), {"description": "Gemini 2.5 Pro Input"}),
    (("ServiceName",), "Amazon Bedrock"), (("object",), "organization.usage.completions.result"),
)  # fmt: skip
"""Words in a name, and a value that lets its row be one."""
_LISTS = ("results", "ResultsByTime", "Groups", "GroupDefinitions", "columns", "credits")
_OBJECTS = ("TimePeriod", "Metrics", "UnblendedCost", "properties", "amount", "cache_creation")


def rows_of(names: tuple[str, ...], seed: int) -> list[dict[str, Any]]:
    """Return rows of known names and senseless values, nested as deep as providers nest."""
    chance = random.Random(seed)

    def value(depth: int) -> Any:
        kind = chance.randrange(12 if depth else 8)
        if kind < 6:
            return chance.choice(_WORDS)
        if kind == 6:
            return None
        if kind == 7:
            return chance.randrange(-5, 10**20)
        if kind < 10:
            return [value(depth - 1) for _ in range(chance.randrange(3))]
        return row(depth - 1)

    def of(name: str, depth: int) -> Any:
        if chance.random() < 0.3:
            return value(depth)
        if depth and name in _LISTS:
            return [row(depth - 1) for _ in range(chance.randrange(3))]
        if depth and name in _OBJECTS:
            return row(depth - 1)
        return next(
            (good for marks, good in _SENSIBLE if any(mark in name for mark in marks)), value(depth)
        )

    def row(depth: int) -> dict[str, Any]:
        return {name: of(name, depth) for name in names if chance.random() < 0.8}

    return [row(2) for _ in range(chance.randrange(4))]


@pytest.mark.parametrize("source", FORMATS)
@given(seed=st.integers(0, 2**32))
@hypothesis_settings(max_examples=25)
def test_any_row_is_a_line_or_a_problem(source: str, seed: int) -> None:
    rows = rows_of(NAMES[source.partition(".")[0]], seed)
    reading = Reading(convert=lambda amount, _currency, _at: amount)
    read: Callable[..., Any] = FORMATS[source].read
    for told in read([Row(at, one) for at, one in enumerate(rows, 1)], reading):
        line = told.line
        assert line.end_ns > line.start_ns
        assert line.kind in {None, *KINDS}
        assert line.amount is None or isinstance(line.amount, int)
        assert line.quantity is None or isinstance(line.quantity, int)
        assert all(isinstance(one, str) for one in [*line.tags, *line.tags.values()])
        assert told.group.provider
    assert all("\n" not in one for one in reading.words())


@given(seed=st.integers(0, 2**32))
@hypothesis_settings(max_examples=25)
def test_any_row_by_a_mapping(seed: int) -> None:
    mapping = parse_mapping(
        'basis = "cost"\nprovider = "x"\n[fields]\ndate = "a"\namount = "b"\nkind = "c"\n'
        'quantity = "d.e"\ncategory = "d"\nend = "f"\n', "own",
    )  # fmt: skip
    rows = rows_of(("a", "b", "c", "d", "e", "f", "other"), seed)
    reading = Reading()
    for told in MappedRows(mapping).read([Row(1, one) for one in rows], reading):
        assert told.line.end_ns > told.line.start_ns


@given(st.binary(max_size=300))
@hypothesis_settings(max_examples=25)
def test_any_bytes_are_rows_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path: Path = tmp_path_factory.mktemp("junk") / "file"
    path.write_bytes(content)
    try:
        for row in rows_in(path):
            assert row.values is not None or row.problem
    except StatementFileError as error:
        text = str(error)
    else:
        text = ""
    assert "\n" not in text


@given(st.text(max_size=200))
def test_any_words_have_an_answer(text: str) -> None:
    assert kind_in(text) in {None, *KINDS}
    assert tier_in(text) is None or tier_in(text)
    assert window_in(text) in {None, "0-200k", "200k-1M"}
    assert model_in(text) is None or model_in(text)
    assert isinstance(model_key(text), str)
    found = finds_in(text)
    assert found.amount is None or Decimal(found.amount.value) is not None
