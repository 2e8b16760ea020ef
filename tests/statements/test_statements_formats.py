"""Each form of statement: what its rows become, in the providers' own shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.chargeback.statements.formats.aws import model_of, split_usage_type
from tollbook.chargeback.statements.formats.azure import model_of_meter
from tollbook.chargeback.statements.formats.openai import words_of_line_item
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.model import Basis, Category, Finality, StatementLine
from tollbook.chargeback.statements.models import model_in, model_key
from tollbook.chargeback.statements.moments import ns_of
from tollbook.chargeback.statements.shelf import lines_of
from tollbook.chargeback.statements.words import kind_in, tier_in, window_in
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.model import Statement

MICRO = 10**6


def ns(year: int, month: int, day: int, hour: int = 0) -> int:
    return ns_of(datetime(year, month, day, hour, tzinfo=UTC))


def read(
    books: Books, path: Path, content: str | dict[str, Any], **how: Any
) -> tuple[Statement, list[StatementLine]]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    ((one, is_new),) = import_file(books, path, How(**how))
    assert is_new
    return one, lines_of(books, one.statement_id)


def kinds(lines: list[StatementLine]) -> dict[str | None, int | None]:
    return {line.kind: line.quantity for line in lines}


def bucket(results: list[dict[str, Any]], day: int = 5) -> dict[str, Any]:
    start = ns(2026, 10, day) // 10**9
    return {
        "object": "bucket", "start_time": start, "end_time": start + 86400, "results": results
    }  # fmt: skip


def page(*buckets: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": has_more, "next_page": None}


def test_openai_usage_becomes_disjoint_kinds(books: Books, tmp_path: Path) -> None:
    result = {
        "object": "organization.usage.completions.result", "input_tokens": 1000,
        "input_uncached_tokens": 450, "input_text_tokens": 400, "input_audio_tokens": 30,
        "input_image_tokens": 20, "input_cached_tokens": 500, "input_cached_text_tokens": 480,
        "input_cached_audio_tokens": 15, "input_cached_image_tokens": 5,
        "input_cache_write_tokens": 50, "input_cache_write_30m_tokens": 40,
        "input_cache_write_12h_tokens": 10, "output_tokens": 200, "output_audio_tokens": 25,
        "output_image_tokens": 0, "num_model_requests": 7, "project_id": "proj_1",
        "api_key_id": "key_1", "model": "gpt-5-mini", "batch": True, "service_tier": "flex",
        "user_id": "u1", "novelty": "kept",
    }  # fmt: skip
    one, lines = read(books, tmp_path / "x", page(bucket([result])))
    assert (one.provider, one.source, one.scope, one.basis) == (
        "openai", "openai.usage", "completions", Basis.USAGE,
    )  # fmt: skip
    assert (one.start_ns, one.end_ns) == (ns(2026, 10, 5), ns(2026, 10, 6))
    assert kinds(lines) == {
        "uncached_input_tokens": 400, "cache_read_tokens": 480, "cache_read_audio_tokens": 15,
        "cache_read_image_tokens": 5, "cache_write_5m_tokens": 40, "cache_write_1h_tokens": 10,
        "input_audio_tokens": 30, "input_image_tokens": 20, "visible_output_tokens": 175,
        "output_audio_tokens": 25, "requests": 7,
    }  # fmt: skip
    inputs = [line.quantity or 0 for line in lines if line.kind and "output" not in line.kind]
    assert sum(inputs) - 7 == result["input_tokens"]
    first = lines[0]
    assert (first.model, first.project, first.api_key) == ("gpt-5-mini", "proj_1", "key_1")
    assert (first.tier, first.tags) == ("batch+flex", {"user_id": "u1", "novelty": "kept"})
    assert (first.amount, one.problems) == (None, ())


def test_openai_usage_of_before_counts_cached_audio_within_audio(
    books: Books, tmp_path: Path
) -> None:
    result = {
        "object": "organization.usage.completions.result", "input_tokens": 100,
        "input_cached_tokens": 60, "input_cached_audio_tokens": 10, "input_audio_tokens": 30,
        "output_tokens": 5, "num_model_requests": 1, "service_tier": "default", "batch": False,
    }  # fmt: skip
    _, lines = read(books, tmp_path / "x", page(bucket([result])))
    assert kinds(lines) == {
        "uncached_input_tokens": 20, "cache_read_tokens": 50, "cache_read_audio_tokens": 10,
        "input_audio_tokens": 20, "visible_output_tokens": 5, "requests": 1,
    }  # fmt: skip
    assert lines[0].tier is None


def test_openai_usage_whose_parts_are_more_than_the_whole_is_told(
    books: Books, tmp_path: Path
) -> None:
    result = {
        "object": "organization.usage.completions.result", "input_tokens": 10,
        "input_cached_tokens": 60, "output_tokens": 5, "num_model_requests": 1,
    }  # fmt: skip
    one, lines = read(books, tmp_path / "x", page(bucket([result])))
    assert kinds(lines)["cache_read_tokens"] == 60
    assert "uncached_input_tokens" not in kinds(lines)
    assert one.problems == ("row 1, input_tokens: 10 is less than its parts, which sum to 60",)


@pytest.mark.parametrize(
    ("scope", "result", "expected"),
    [
        ("embeddings", {"input_tokens": 9, "num_model_requests": 2},
         {"uncached_input_tokens": 9, "requests": 2}),
        ("images", {"images": 3, "num_model_requests": 2, "size": "1024x1024"},
         {"images": 3, "requests": 2}),
        ("audio_speeches", {"characters": 45, "num_model_requests": 1},
         {"characters": 45, "requests": 1}),
        ("audio_transcriptions", {"seconds": 12, "num_model_requests": 1},
         {"audio_ms": 12000, "requests": 1}),
        ("moderations", {"input_tokens": 4, "num_model_requests": 1},
         {"uncached_input_tokens": 4, "requests": 1}),
        ("vector_stores", {"usage_bytes": 1024}, {None: 1024}),
        ("code_interpreter_sessions", {"num_sessions": 6}, {"code_sessions": 6}),
        ("file_searches", {"num_requests": 5}, {"file_search_requests": 5}),
        ("web_searches", {"num_requests": 5, "num_model_requests": 3},
         {"web_search_requests": 5, "requests": 3}),
    ],
)  # fmt: skip
def test_openai_usage_of_other_endpoints(
    books: Books, tmp_path: Path, scope: str, result: dict[str, Any], expected: dict[str, int]
) -> None:
    told = {"object": f"organization.usage.{scope}.result", **result}
    one, lines = read(books, tmp_path / "x", page(bucket([told])))
    assert one.scope == scope
    assert kinds(lines) == expected


def test_openai_costs_are_read_digit_by_digit(books: Books, tmp_path: Path) -> None:
    # 0.1 + 0.2 as a float, and more digits than 10^-12 dollars have: half to even at the last.
    content = json.dumps(page(bucket([
        {"object": "organization.costs.result", "amount": {"value": "@", "currency": "usd"},
         "line_item": "gpt-5-mini batch, cached input", "project_id": "p", "quantity": 12.0,
         "quantity_unit": "1000_tokens"},
    ])))  # fmt: skip
    one, (line,) = read(
        books, tmp_path / "x", content.replace('"@"', "0.30000000000000004440892098500626")
    )
    assert (one.source, one.basis) == ("openai.costs", Basis.COST)
    assert line.amount == 300_000_000_000
    assert (line.model, line.kind, line.tier) == ("gpt-5-mini", "cache_read_tokens", "batch")
    assert (line.quantity, line.project) == (12_000, "p")


@pytest.mark.parametrize(
    ("item", "model", "kind", "tier"),
    [
        ("gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06", "uncached_input_tokens", None),
        ("gpt-6-astra, input_tokens", "gpt-6-astra", "uncached_input_tokens", None),
        ("gpt-5-mini flex, output", "gpt-5-mini", "visible_output_tokens", "flex"),
        ("gpt-5, cached input, priority", "gpt-5", "cache_read_tokens", "priority"),
        ("gpt-5.6, cache write", "gpt-5.6", "cache_write_5m_tokens", None),
        ("o3-mini, output", "o3-mini", "visible_output_tokens", None),
        ("gpt-4o-audio-preview, output", "gpt-4o-audio-preview", "visible_output_tokens", None),
        ("gpt-4o-audio-preview, audio output", "gpt-4o-audio-preview", "output_audio_tokens", None),
        ("web search tool calls | gpt-5", "gpt-5", "web_search_requests", None),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc, input", "ft:gpt-4o-mini-2024-07-18:acme::abc",
         "uncached_input_tokens", None),
        ("assistants api | code interpreter", None, "code_sessions", None),
        ("text-embedding-3-small, input", "text-embedding-3-small", "uncached_input_tokens", None),
        ("something new", None, None, None),
        ("", None, None, None),
    ],
)  # fmt: skip
def test_line_items_of_openai(
    item: str, model: str | None, kind: str | None, tier: str | None
) -> None:
    assert words_of_line_item(item) == (model, kind, tier)


def test_the_consoles_flat_csv_is_the_same(books: Books, tmp_path: Path) -> None:
    content = (
        "start_time,end_time,start_time_iso,amount_value,amount_currency,line_item,project_id,"
        "organization_id,organization_name\n"
        '1759622400,1759708800,2025-10-05T00:00:00+00:00,0.895874,usd,"gpt-5, input",p,org-1,Own\n'
        "1759708800,1759795200,2025-10-06T00:00:00+00:00,,,,,,\n"
    )
    one, (line,) = read(books, tmp_path / "costs.csv", content)
    assert (one.account, line.amount, line.model) == ("org-1", 895_874 * MICRO, "gpt-5")
    # The day without cost is covered too.
    assert one.end_ns - one.start_ns == 2 * 86_400 * 10**9


def test_a_page_of_several_says_so(books: Books, tmp_path: Path) -> None:
    result = {
        "object": "organization.costs.result", "amount": {"value": 1, "currency": "usd"},
        "line_item": None,
    }  # fmt: skip
    one, _ = read(books, tmp_path / "x", page(bucket([result]), has_more=True))
    assert one.problems == ("the page says that there are more pages: this is a part",)


def anthropic(day: int, **result: Any) -> dict[str, Any]:
    return {
        "starting_at": f"2026-10-{day:02}T00:00:00Z",
        "ending_at": f"2026-10-{day + 1:02}T00:00:00Z", "results": [result],
    }  # fmt: skip


def test_anthropic_usage(books: Books, tmp_path: Path) -> None:
    result = anthropic(
        3, uncached_input_tokens=100, cache_read_input_tokens=2000, output_tokens=50,
        cache_creation={"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 8},
        server_tool_use={"web_search_requests": 2}, api_key_id="apikey_1", workspace_id="wrk_1",
        model="claude-sonnet-4-6", service_tier="batch", context_window="200k-1M",
        inference_geo="us", speed="fast", account_id="acc_1",
    )  # fmt: skip
    one, lines = read(books, tmp_path / "x", {"data": [result], "has_more": False})
    assert (one.source, one.basis) == ("anthropic.usage_report", Basis.USAGE)
    assert kinds(lines) == {
        "uncached_input_tokens": 100, "cache_read_tokens": 2000, "cache_write_5m_tokens": 7,
        "cache_write_1h_tokens": 8, "visible_output_tokens": 50, "web_search_requests": 2,
    }  # fmt: skip
    line = lines[0]
    assert (line.tier, line.region, line.context_window) == ("batch+fast", "us", "200k-1M")
    assert (line.project, line.api_key, line.tags) == ("wrk_1", "apikey_1", {"account_id": "acc_1"})


def test_anthropic_costs_are_cents(books: Books, tmp_path: Path) -> None:
    rows = [
        anthropic(
            3, amount="123.45", currency="USD", cost_type="tokens", workspace_id=None,
            token_type="cache_creation.ephemeral_1h_input_tokens", model="claude-opus-4-5",
            service_tier="standard", context_window="0-200k", inference_geo="not_available",
            description="Claude Opus 4.5 Usage - Input Tokens, Cache Write (1h)",
        ),
        anthropic(
            4, amount="1.5", currency="USD", cost_type="web_search", description="Web Search Usage",
            token_type=None, model=None, service_tier=None,
        ),
        anthropic(
            5, amount="2", currency="USD", cost_type="code_execution", model=None,
            description="Code Execution Usage",
        ),
        anthropic(
            6, amount="0.000000000001", currency="USD", cost_type="session_usage", model=None,
            description="Session",
        ),
    ]  # fmt: skip
    one, lines = read(books, tmp_path / "x", {"data": rows, "has_more": False})
    assert (one.source, one.basis) == ("anthropic.cost_report", Basis.COST)
    assert [line.amount for line in lines] == [1_234_500_000_000, 15 * 10**9, 2 * 10**10, 0]
    assert [line.kind for line in lines] == [
        "cache_write_1h_tokens", "web_search_requests", "code_sessions", None,
    ]  # fmt: skip
    assert (lines[0].tier, lines[0].region) == (None, None)


CUR = (
    "bill_payer_account_id,bill_billing_period_start_date,bill_invoice_id,line_item_line_item_type,"
    "line_item_product_code,line_item_usage_type,line_item_usage_start_date,"
    "line_item_usage_end_date,line_item_usage_amount,line_item_unblended_cost,"
    "line_item_currency_code,line_item_line_item_description,pricing_unit,product_product_name,"
    "product_region_code,resource_tags,line_item_iam_principal\n"
)


def cur_row(usage_type: str, amount: str, cost: str, **of: str) -> str:
    tags = of.get("tags", "").replace('"', '""')
    return (
        f"111122223333,{of.get('period', '2026-10-01T00:00:00Z')},{of.get('invoice', '')},"
        f"{of.get('type', 'Usage')},{of.get('product', 'AmazonBedrock')},{usage_type},"
        f"2026-10-05T10:00:00Z,2026-10-05T11:00:00Z,{amount},{cost},USD,"
        f"{of.get('details', '')},{of.get('unit', '1K tokens')},{of.get('name', '')},"
        f'{of.get("region", "")},"{tags}",{of.get("principal", "")}\n'
    )


def test_aws_cost_and_usage_report(books: Books, tmp_path: Path) -> None:
    content = CUR + "".join([
        cur_row("USE1-Claude4.6Sonnet-input-tokens", "12.345", "0.037035",
                tags='{"user_team": "search"}', principal="arn:aws:sts::1:assumed-role/app/acme"),
        cur_row("EU-NovaLite-output-tokens-batch", "1.5", "0.00036"),
        cur_row("USW2-Claude4.6Sonnet-cache-read-input-token-count", "1000", "0.3"),
        cur_row("USW2-Claude4.6Sonnet-cache-write-input-token-count", "10", "0.0375"),
        cur_row("MP:USE1_OutputTokenCount_Global-Units", "2.5", "37.5", unit="Units",
                product="abc123", name="Claude Sonnet 4.5 (Amazon Bedrock Edition)",
                details="AWS Marketplace software usage|us-east-1|Million Response Tokens"),
        cur_row("BoxUsage:t3.micro", "1", "3.14", product="AmazonEC2"),
        cur_row("", "1", "0.01", type="Tax"),
        cur_row("USE1-Claude4.6Sonnet-input-tokens", "1", "-0.02", type="Credit"),
        cur_row("", "1", "5", type="SavingsPlanRecurringFee"),
    ])  # fmt: skip
    one, lines = read(books, tmp_path / "cur.csv", content)
    assert (one.provider, one.account, one.source) == ("bedrock", "111122223333", "aws.cur2")
    assert (one.start_ns, one.end_ns) == (ns(2026, 10, 1), ns(2026, 11, 1))
    assert one.finality is Finality.PROVISIONAL
    assert one.problems == ("passed over: 1 rows, 3.14 in sum, of other services",)
    told = [(x.model, x.kind, x.tier, x.region, x.quantity, x.category) for x in lines]
    use, tax, credit = Category.USAGE, Category.TAX, Category.CREDIT
    assert told == [
        ("Claude4.6Sonnet", "uncached_input_tokens", None, "us-east-1", 12_345, use),
        ("NovaLite", "visible_output_tokens", "batch", "eu-west-1", 1500, use),
        ("Claude4.6Sonnet", "cache_read_tokens", None, "us-west-2", 1_000_000, use),
        ("Claude4.6Sonnet", "cache_write_5m_tokens", None, "us-west-2", 10_000, use),
        ("claude-sonnet-4.5", "visible_output_tokens", None, "global", 2_500_000, use),
        (None, None, None, None, None, tax),
        ("Claude4.6Sonnet", None, None, "us-east-1", None, credit),
        (None, None, None, None, None, Category.PURCHASE),
    ]
    assert lines[0].amount == 37_035 * MICRO
    assert lines[0].tags["user_team"] == "search"
    assert lines[0].tags["iam_principal"].endswith("/acme")
    assert sum(line.amount or 0 for line in lines) == 42_864_895 * MICRO


def test_a_report_with_its_invoice_is_final(books: Books, tmp_path: Path) -> None:
    content = CUR + cur_row("USE1-NovaLite-input-tokens", "1", "1", invoice="INV7")
    one, _ = read(books, tmp_path / "cur.csv", content)
    assert (one.finality, one.invoice_id) == (Finality.FINAL, "INV7")


def test_two_months_in_a_report_are_two_statements(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "cur.csv"
    path.write_text(
        CUR + cur_row("USE1-NovaLite-input-tokens", "1", "1")
        + cur_row("USE1-NovaLite-input-tokens", "1", "2", period="2026-11-01T00:00:00Z")
    )  # fmt: skip
    october, november = (one.statement for one in import_file(books, path))
    assert (october.end_ns, november.start_ns) == (ns(2026, 11, 1), ns(2026, 11, 1))
    assert [line.amount for line in lines_of(books, november.statement_id)] == [2 * 10**12]


def test_usage_types_of_aws() -> None:
    for usage_type, area, rest in (
        ("USE1-Claude4.6Sonnet-input-tokens", "USE1", "Claude4.6Sonnet-input-tokens"),
        ("MP:USE1_InputTokenCount-Units", "USE1", "InputTokenCount-Units"),
        ("MP:EUC1_CacheReadInputTokenCount_Global-Units", "EUC1",
         "CacheReadInputTokenCount_Global-Units"),
        ("Claude4.6Sonnet-input-tokens", "", "Claude4.6Sonnet-input-tokens"),
        ("", "", ""),
    ):  # fmt: skip
        assert split_usage_type(usage_type) == (area, rest), usage_type
    assert model_of("Claude4.6Sonnet-mantle-input-tokens-standard", "") == "Claude4.6Sonnet"
    assert model_of("Guardrail-ContentPolicyUnitsConsumed", "") is None


def test_cost_explorer(books: Books, tmp_path: Path) -> None:
    answer = {
        "GroupDefinitions": [
            {"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"},
        ],
        "ResultsByTime": [{
            "TimePeriod": {"Start": "2026-10-05", "End": "2026-10-06"}, "Estimated": True,
            "Groups": [
                {"Keys": ["Amazon Bedrock", "USE1-NovaLite-input-tokens"],
                 "Metrics": {"UnblendedCost": {"Amount": "1.25", "Unit": "USD"}}},
                {"Keys": ["Amazon EC2", "BoxUsage"],
                 "Metrics": {"UnblendedCost": {"Amount": "9", "Unit": "USD"}}},
            ],
        }],
    }  # fmt: skip
    one, (line,) = read(books, tmp_path / "ce.json", answer)
    assert (one.source, one.problems) == (
        "aws.cost_explorer", ("passed over: 1 rows, 9 in sum, of other services",)
    )  # fmt: skip
    assert (line.model, line.kind, line.amount) == (
        "NovaLite", "uncached_input_tokens", 1_250_000 * MICRO,
    )  # fmt: skip


AZURE_MCA = (
    "invoiceId,billingAccountId,billingPeriodStartDate,date,meterCategory,meterSubCategory,"
    "meterName,meterRegion,resourceLocation,unitOfMeasure,quantity,costInBillingCurrency,costInUsd,"
    "billingCurrency,chargeType,pricingModel,ResourceId,tags\n"
)
AZURE_EA = (
    "BillingAccountId,Date,MeterCategory,MeterSubCategory,MeterName,ResourceLocation,"
    "UnitOfMeasure,Quantity,Cost,BillingCurrencyCode,ChargeType,ResourceId,Tags\n"
)


def test_azure_of_a_customer_agreement(books: Books, tmp_path: Path) -> None:
    def row(meter: str, unit: str, quantity: str, cost: str, dollars: str, **of: str) -> str:
        return (
            f",acc:1,10/01/2026,10/05/2026,{of.get('category', 'Azure OpenAI')},"
            f"{of.get('sub', 'Azure OpenAI')},{meter},Global,swedencentral,{unit},{quantity},"
            f"{cost},{dollars},EUR,{of.get('type', 'Usage')},OnDemand,/res/1,"
            '"{""tenant"": ""acme""}"\n'
        )

    content = AZURE_MCA + "".join([
        row("gpt 4o 0806 Inp glbl Tokens", "1K", "12.5", "0.03", "0.0325"),
        row("gpt-5-mini cached Inp DZone Tokens", "1M", "2", "0.1", "0.11"),
        row("gpt-5 Batch Outp regnl Tokens", "1K", "4", "0.2", "0.22"),
        row("Provisioned Managed Global Unit", "1 Hour", "48", "96", "104"),
        row("D2 v3", "1 Hour", "1", "5", "5.5", category="Virtual Machines", sub="D"),
        row("gpt-5 refund", "", "", "-1", "-1.1", type="Refund"),
    ])  # fmt: skip
    one, lines = read(books, tmp_path / "export.csv", content)
    assert (one.source, one.account, one.currency) == ("azure.cost_export", "acc:1", "EUR")
    assert one.problems == ("passed over: 1 rows, 5 in sum, of other services",)
    told = [(x.model, x.kind, x.tier, x.region, x.quantity) for x in lines]
    assert told == [
        ("gpt-4o-0806", "uncached_input_tokens", None, "global", 12_500),
        ("gpt-5-mini", "cache_read_tokens", None, "datazone:swedencentral", 2_000_000),
        ("gpt-5", "visible_output_tokens", "batch", "swedencentral", 4000),
        (None, None, "provisioned", "global", 48),
        ("gpt-5-refund", None, None, "swedencentral", None),
    ]
    assert (lines[0].amount, lines[0].amount_in_currency) == (32_500 * MICRO, 30_000 * MICRO)
    assert lines[0].tags["tenant"] == "acme"
    assert lines[4].category is Category.CREDIT


def test_azure_of_an_enterprise_agreement_and_amortised(books: Books, tmp_path: Path) -> None:
    content = AZURE_EA + (
        "123,10/05/2026,Cognitive Services,Azure OpenAI,gpt-5-mini Outp glbl Tokens,westeurope,"
        '1M,3,6.5,USD,Usage,/res,"""team"": ""core"""\n'
    )
    one, (line,) = read(books, tmp_path / "cost-amortized-october.csv", content)
    assert one.source == "azure.cost_export_amortized"
    assert (line.amount, line.quantity) == (6_500_000 * MICRO, 3_000_000)
    assert line.tags["team"] == "core"


def test_azure_query(books: Books, tmp_path: Path) -> None:
    answer = {"properties": {
        "nextLink": None,
        "columns": [{"name": "Cost"}, {"name": "UsageQuantity"}, {"name": "UsageDate"},
                    {"name": "Meter"}, {"name": "ResourceId"}, {"name": "Currency"}],
        "rows": [[1.5, 3, 20261005, "gpt-5-mini Outp glbl Tokens", "/res/1", "USD"],
                 [2, 1, 20261005, "Neural Text To Speech", "/res/2", "USD"]],
    }}  # fmt: skip
    one, lines = read(books, tmp_path / "q.json", answer)
    assert one.source == "azure.cost_query"
    assert (lines[0].model, lines[0].amount) == ("gpt-5-mini", 15 * 10**11)
    assert (lines[0].start_ns, lines[0].project) == (ns(2026, 10, 5), "/res/1")
    assert lines[0].quantity is None  # the answer does not say of what unit


def test_meters_of_azure() -> None:
    for meter, model in (
        ("gpt 4o 0806 Inp glbl Tokens", "gpt-4o-0806"),
        ("gpt-4o-mini-0718-Inp-glbl Tokens", "gpt-4o-mini-0718"),
        ("Provisioned Managed Global Unit", None),
        ("text-embedding-3-large-glbl Tokens", "text-embedding-3-large"),
    ):
        assert model_of_meter(meter) == model


def gcp_row(sku: str, cost: str, **of: Any) -> str:
    return json.dumps({
        "billing_account_id": "01-02", "service": {"description": of.get("service", "Vertex AI")},
        "sku": {"id": "S-1", "description": sku},
        "usage_start_time": of.get("start", "2026-10-31 22:00:00 UTC"),
        "usage_end_time": "2026-10-31 23:00:00 UTC", "project": {"id": "prj"},
        "labels": [{"key": "tenant", "value": "acme"}], "location": {"region": "europe-west4"},
        "cost": cost, "currency": of.get("currency", "USD"),
        "currency_conversion_rate": of.get("rate", "1"), "usage": {"amount": "1000"},
        "credits": of.get("credits", []), "invoice": {"month": of.get("month", "202611")},
        "cost_type": of.get("cost_type", "regular"),
    }) + "\n"  # fmt: skip


def test_google_cloud_export(books: Books, tmp_path: Path) -> None:
    content = "".join([
        gcp_row("Gemini 2.5 Pro Text Input - Predictions (Long)", "1.5", currency="EUR",
                rate="0.75",
                credits=[{"name": "Spend-based discount", "amount": "-0.3", "type": "DISCOUNT"}]),
        gcp_row("Gemini 2.5 Flash Thinking Text Output - Predictions", "2"),
        gcp_row("N1 Predefined Instance Core", "7", service="Compute Engine"),
        gcp_row("Custom training", "4"),
        gcp_row("Tax", "0.5", cost_type="tax"),
    ])  # fmt: skip
    one, lines = read(books, tmp_path / "rows.jsonl", content)
    assert (one.provider, one.source, one.account) == ("vertex", "gcp.billing_export", "01-02")
    # Billed in November, though it was used on the last evening of October.
    assert (one.start_ns, lines[0].start_ns) == (ns(2026, 11, 1), ns(2026, 10, 31, 22))
    assert one.problems == (
        "passed over: 1 rows, 4 in sum, of no model",
        "passed over: 1 rows, 7 in sum, of other services",
    )
    told = [(x.model, x.kind, x.context_window, x.category, x.amount) for x in lines]
    assert told == [
        ("gemini-2.5-pro", "uncached_input_tokens", "200k-1M", Category.USAGE, 2 * 10**12),
        ("gemini-2.5-pro", None, "200k-1M", Category.CREDIT, -4 * 10**11),
        ("gemini-2.5-flash", "reasoning_tokens", None, Category.USAGE, 2 * 10**12),
        (None, None, None, Category.TAX, 5 * 10**11),
    ]
    assert (lines[0].quantity, lines[0].region) == (1000, "europe-west4")
    assert lines[0].amount_in_currency == 15 * 10**11
    assert lines[0].tags["tenant"] == "acme"


def test_google_cloud_csv_with_flat_names(books: Books, tmp_path: Path) -> None:
    content = (
        "billing_account_id,service.description,sku.description,usage_start_time,usage_end_time,"
        "cost,currency,usage.amount,invoice.month,credits,labels\n"
        "A,Gemini API,Gemini 2.5 Flash Output,2026-10-01T00:00:00Z,2026-10-01T01:00:00Z,1e-3,USD,"
        '50,202610,"[{""name"":""c"",""amount"":-0.0005}]","[{""key"":""k"",""value"":""v""}]"\n'
    )
    one, lines = read(books, tmp_path / "x.csv", content)
    assert one.provider == "gemini"
    assert [line.amount for line in lines] == [1000 * MICRO, -500 * MICRO]
    assert lines[0].tags["k"] == "v"


def test_openrouter_is_money_and_usage(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "activity"
    path.write_text(json.dumps({"data": [{
        "date": "2026-10-05", "model": "openai/gpt-5", "model_permaslug": "openai/gpt-5-2025-08-07",
        "endpoint_id": "e", "provider_name": "OpenAI", "usage": 0.015,
        "byok_usage_inference": 0.012,
        "requests": 3, "prompt_tokens": 50, "completion_tokens": 125, "reasoning_tokens": 25,
    }]}))  # fmt: skip
    money, usage = (one.statement for one in import_file(books, path))
    assert (money.basis, usage.basis) == (Basis.COST, Basis.USAGE)
    (line,) = lines_of(books, money.statement_id)
    assert (line.amount, line.model) == (15 * 10**9, "openai/gpt-5")
    assert line.tags["byok_usage_inference"] == "0.012"
    assert kinds(lines_of(books, usage.statement_id)) == {
        "uncached_input_tokens": 50, "visible_output_tokens": 100, "reasoning_tokens": 25,
        "requests": 3,
    }  # fmt: skip


FOCUS = (
    "BilledCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargeCategory,ChargeClass,ChargeDescription,ChargePeriodStart,ChargePeriodEnd,"
    "ConsumedQuantity,ConsumedUnit,ProviderName,ServiceName,SkuMeter,SkuPriceDetails,InvoiceId,"
    "RegionId,SubAccountId,Tags\n"
)


def focus_row(cost: str, provider: str, service: str, meter: str, **of: str) -> str:
    details = of.get("details", "").replace('"', '""')
    return (
        f"{cost},acct,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,{of.get('category', 'Usage')},"
        f"{of.get('cls', '')},{of.get('text', '')},{of.get('start', '2026-10-05T00:00:00Z')},"
        f"2026-10-06T00:00:00Z,{of.get('quantity', '5')},{of.get('unit', '1000 Tokens')},"
        f'{provider},{service},{meter},"{details}",{of.get("invoice", "")},eu-west-1,sub,\n'
    )


def test_focus_of_a_cloud_and_of_a_provider(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    path.write_text(FOCUS + "".join([
        focus_row("1.5", "AWS", "Amazon Bedrock", "USE1-NovaLite-cache-read-input-token-count"),
        focus_row("9", "AWS", "Amazon EC2", "BoxUsage"),
        focus_row("2", "Anthropic", "Claude API", "Input Tokens", unit="Tokens", cls="Correction",
                  start="2026-09-30T00:00:00Z",
                  details='{"x_ModelId": "claude-opus-4-5", "x_TokenCacheAction": "Write"}'),
        focus_row("0.2", "Anthropic", "Claude API", "", category="Tax", quantity="", unit="",
                  text="VAT"),
    ]))  # fmt: skip
    anthropic_one, aws = (one.statement for one in import_file(books, path))
    assert (aws.provider, aws.source) == ("bedrock", "aws.focus")
    (line,) = lines_of(books, aws.statement_id)
    assert (line.model, line.kind, line.quantity) == ("NovaLite", "cache_read_tokens", 5000)
    assert (line.project, line.region) == ("sub", "eu-west-1")
    assert anthropic_one.source == "focus"
    written, tax = lines_of(books, anthropic_one.statement_id)
    assert (written.model, written.kind) == ("claude-opus-4-5", "cache_write_5m_tokens")
    assert (written.start_ns, written.tags["charge_class"]) == (ns(2026, 9, 30), "Correction")
    assert (tax.category, tax.kind, tax.quantity) == (Category.TAX, None, None)


def test_words_name_only_kinds_that_there_are() -> None:
    from tollbook.chargeback.statements import words  # noqa: PLC0415 -- its table alone

    assert {kind for _, kind in words._KIND_RULES} <= {*KINDS, ""}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cached input", "cache_read_tokens"),
        ("cache-write-1h-input-token-count", "cache_write_1h_tokens"),
        ("CacheWriteInputTokenCount", "cache_write_5m_tokens"),
        ("gpt-5 cchd Inp glbl Tokens", "cache_read_tokens"),
        ("audio input", "input_audio_tokens"),
        ("cached audio input", "cache_read_audio_tokens"),
        ("Grounding with Google Search", "web_search_requests"),
        ("File Search Storage", None),
        ("transcription minutes", "audio_ms"),
        ("image generation", "images"),
        ("Image output tokens", "output_image_tokens"),
        ("Provisioned Managed Global Unit", None),
    ],
)
def test_kinds_out_of_words(text: str, kind: str | None) -> None:
    assert kind_in(text) == kind


def test_tiers_and_windows_out_of_words() -> None:
    assert tier_in("USE1-NovaLite-output-tokens-batch") == "batch"
    assert tier_in("Gemini 2.5 Pro Text Input - Priority Batch") == "batch+priority"
    assert tier_in("gpt-5 input") is None
    assert window_in("Gemini 2.5 Pro Text Input (Long)") == "200k-1M"
    assert window_in("Input tokens > 200k") == "200k-1M"
    assert window_in("Input tokens <= 200k") == "0-200k"
    assert window_in("Input") is None


def test_spellings_of_one_model_have_one_key() -> None:
    for same in (
        ("Claude4.6Sonnet", "us.anthropic.claude-sonnet-4-6-20260217-v1:0", "Claude Sonnet 4.6",
         "claude-sonnet-4-6", "anthropic/claude-sonnet-4.6"),
        ("gpt 4o 0806", "gpt-4o-2024-08-06", "gpt-4o", "openai/gpt-4o"),
        ("NovaLite", "amazon.nova-lite-v1:0"),
        ("gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro", "gemini 2.5 pro"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
    ):  # fmt: skip
        assert len({model_key(name) for name in same}) == 1, same
    apart = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4", "gpt-5", "o3", "o3-mini",
             "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-5")  # fmt: skip
    assert len({model_key(name) for name in apart}) == len(apart)
    assert model_in("no model here") is None
