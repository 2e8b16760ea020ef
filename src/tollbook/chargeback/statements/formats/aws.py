"""AWS: Cost and Usage Report 2.0 (and its elder) for Bedrock, and Cost Explorer's answers.

Each request's tokens are separate line items by token type; kind, tier and region are in the usage
type (docs.aws.amazon.com/bedrock/latest/userguide/cost-mgmt-understanding-cur-data.html). Models
sold through the Marketplace come as products of their own ("... (Amazon Bedrock Edition)").
Amounts are ``line_item_unblended_cost``: what is billed, before any sharing of discounts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.base import (
    Cells,
    Format,
    an_object,
    json_object,
    line,
    objects,
    plain_name,
    readable,
    tags_of,
)
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.chargeback.statements.models import model_in
from tollbook.chargeback.statements.moments import month_span
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import LONG_WINDOW, kind_in, tier_in, window_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

PROVIDER: Final = "bedrock"
_CATEGORIES: Final = {
    "tax": Category.TAX,
    "credit": Category.CREDIT,
    "refund": Category.CREDIT,
    "edpdiscount": Category.CREDIT,
    "privateratediscount": Category.CREDIT,
    "bundleddiscount": Category.CREDIT,
    "distributordiscount": Category.CREDIT,
    "savingsplannegation": Category.ADJUSTMENT,
    "savingsplanupfrontfee": Category.PURCHASE,
    "savingsplanrecurringfee": Category.PURCHASE,
    "rifee": Category.PURCHASE,
    "fee": Category.PURCHASE,
}
_AREAS: Final = {
    "USE1": "us-east-1", "USE2": "us-east-2", "USW1": "us-west-1", "USW2": "us-west-2",
    "CAN1": "ca-central-1", "EU": "eu-west-1", "EUW1": "eu-west-1", "EUW2": "eu-west-2",
    "EUW3": "eu-west-3", "EUC1": "eu-central-1", "EUC2": "eu-central-2", "EUN1": "eu-north-1",
    "EUS1": "eu-south-1", "EUS2": "eu-south-2", "APN1": "ap-northeast-1",
    "APN2": "ap-northeast-2", "APN3": "ap-northeast-3", "APS1": "ap-southeast-1",
    "APS2": "ap-southeast-2", "APS3": "ap-south-1", "APS4": "ap-southeast-3",
    "SAE1": "sa-east-1", "UGW1": "us-gov-west-1", "UGE1": "us-gov-east-1",
}  # fmt: skip
"""Prefixes of usage types; they do not follow from the region's name, so others stay unknown."""
_TYPE: Final = re.compile(
    r"(?:MP:)?(?P<area>[A-Z]{2,4}\d?)?[-_](?P<rest>.+)|(?P<plain>.+)", re.DOTALL
)
_MODEL_PART: Final = re.compile(
    r"^(?P<model>.+?)[-_](?:mantle[-_])?(?:input|output|cache|provisioned|model-?unit|batch|"
    r"text|image|audio|video|search|on-?demand)",
    re.IGNORECASE,
)
_THOUSAND: Final = re.compile(r"\b(1k|1,?000|thousand)\b", re.IGNORECASE)
_MILLION: Final = re.compile(r"\b(1m|1,?000,?000|million)\b", re.IGNORECASE)
_GLOBAL: Final = re.compile(r"(?<![a-z])global(?![a-z])", re.IGNORECASE)
_TAG_COLUMN: Final = re.compile(r"resource(Tags/|_tags_)")
_METRICS: Final = ("UnblendedCost", "NetUnblendedCost", "AmortizedCost", "BlendedCost")


def read_cur(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the line items of a report that are of Bedrock, a group for each billing period."""
    provider = reading.provider or PROVIDER
    for at, values in readable(rows, reading):
        cells = Cells(at, {plain_name(name): value for name, value in values.items()}, reading)
        product = json_object(cells.first("product"))
        if not _is_bedrock(cells, product):
            reading.pass_over("of other services", cells.number("lineitemunblendedcost"))
            continue
        start_ns = cells.at("lineitemusagestartdate")
        end_ns = cells.at("lineitemusageenddate")
        if start_ns is None or end_ns is None:
            continue
        billed = cells.first("billbillingperiodstartdate")
        period_ns = start_ns if billed is None else cells.at("billbillingperiodstartdate")
        span = month_span(start_ns if period_ns is None else period_ns)
        group = Group(
            provider, reading.account or cells.text("billpayeraccountid"), reading.scope,
            start_ns=span[0], end_ns=span[1],
        )  # fmt: skip
        if end_ns <= start_ns:
            end_ns = start_ns + 1  # a tax or a fee of one moment
        tags = _tags(cells, values)
        yield Told(group, _cur_line(cells, product, provider, (start_ns, end_ns), tags, reading))


def _is_bedrock(cells: Cells, product: dict[str, Any]) -> bool:
    said = (
        cells.text("lineitemproductcode"), cells.text("productservicename"),
        cells.text("productproductname"), str(product.get("product_name", "")),
        str(product.get("servicename", "")), cells.text("productservicecode"),
    )  # fmt: skip
    return any("bedrock" in one.lower() for one in said if one)


def _cur_line(
    cells: Cells, product: dict[str, Any], provider: str, span: tuple[int, int],
    tags: dict[str, str], reading: Reading,
) -> StatementLine:  # fmt: skip
    usage_type = cells.text("lineitemusagetype") or ""
    details = cells.text("lineitemlineitemdescription") or ""
    kind_of_item = plain_name(cells.text("lineitemlineitemtype") or "usage")
    category = _CATEGORIES.get(kind_of_item, Category.USAGE)
    area, rest = split_usage_type(usage_type)
    words = f"{rest} {cells.text('lineitemoperation') or ''}"
    name = cells.text("productproductname") or str(product.get("product_name") or "")
    model = product.get("model") or cells.text("productmodel") or model_of(rest, name)
    currency = (cells.text("lineitemcurrencycode") or "USD").upper()
    amount = cells.pico("lineitemunblendedcost")
    kind = kind_in(rest) or kind_in(str(product.get("inferenceType") or details))
    is_usage = category is Category.USAGE
    region = "global" if _GLOBAL.search(rest) else cells.text("productregioncode", "productregion")
    return line(
        start_ns=span[0], end_ns=span[1], provider=provider, category=category,
        project=cells.text("lineitemusageaccountid"), model=None if model is None else str(model),
        kind=kind if is_usage else None, tier=tier_in(words), region=region or _AREAS.get(area),
        context_window=LONG_WINDOW if "lctx" in rest.lower() else window_in(details),
        quantity=_quantity(cells, details) if is_usage else None,
        amount=reading.dollars(cells.row, amount, currency, span[0]), currency=currency,
        amount_in_currency=None if currency == "USD" else amount,
        description=usage_type or details or None, tags=tags,
    )  # fmt: skip


def split_usage_type(usage_type: str) -> tuple[str, str]:
    """Return the area prefix and the rest: ``USE1``, ``Claude4.6Sonnet-input-tokens``."""
    found = _TYPE.fullmatch(usage_type)
    if found is None or found["rest"] is None or (found["area"] or "") not in {"", *_AREAS}:
        return "", usage_type
    area = found["area"] or ""
    rest = found["rest"]
    # Marketplace: ``MP:USE1_InputTokenCount-Units``; the area may stand there a second time.
    head = re.match(r"(?P<area>[A-Z]{2,4}\d)_(?P<rest>.+)", rest.removeprefix("MP:"))
    if head is not None and head["area"] in _AREAS:
        return head["area"], head["rest"]
    return area, rest


def model_of(rest: str, product_name: str) -> str | None:
    """Return the model of a usage type without its area, or of a Marketplace product's name."""
    found = model_in(product_name)
    if found is not None:
        return found
    part = _MODEL_PART.match(rest)
    if part is not None and not part["model"].lower().startswith(("guardrail", "knowledge")):
        return part["model"]
    return model_in(rest)


def _quantity(cells: Cells, details: str) -> int | None:
    unit = cells.text("pricingunit") or ""
    for said in (unit, details):
        if _MILLION.search(said):
            return cells.whole("lineitemusageamount", unit=10**6)
        if _THOUSAND.search(said):
            return cells.whole("lineitemusageamount", unit=1000)
        if said and re.search(r"token|image|request|hour|search|second", said, re.IGNORECASE):
            return cells.whole("lineitemusageamount")
    return None  # "Units" of we know not what


def _tags(cells: Cells, values: dict[str, Any]) -> dict[str, str]:
    own = {
        "invoice_id": cells.text("billinvoiceid"), "resource": cells.text("lineitemresourceid"),
        "iam_principal": cells.text("lineitemiamprincipal"),
        "line_item_type": cells.text("lineitemlineitemtype"),
    }  # fmt: skip
    given = json_object(cells.first("resourcetags", "tags"))
    flat = (
        (_TAG_COLUMN.sub("", name), value)
        for name, value in values.items()
        if _TAG_COLUMN.match(name)
    )
    return tags_of((*own.items(), *given.items(), *flat))


def read_cost_explorer(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield a line for each group of ``GetCostAndUsage``: by usage type, or by record type."""
    provider = reading.provider or PROVIDER
    group = Group(provider, reading.account, reading.scope)
    for at, values in readable(rows, reading):
        if values.get("NextPageToken"):
            reading.is_cut_off = True
        keys = [str(one.get("Key", "")) for one in objects(values.get("GroupDefinitions"))]
        results = values.get("ResultsByTime")
        for result in objects(results) if isinstance(results, list) else [values]:
            period = Cells(at, an_object(result.get("TimePeriod")), reading)
            start_ns, end_ns = period.at("Start"), period.at("End")
            if start_ns is None or end_ns is None or end_ns <= start_ns:
                continue
            reading.cover(start_ns, end_ns)
            for one in objects(result.get("Groups")):
                said = one.get("Keys")
                told = [str(key) for key in said] if isinstance(said, list) else []
                named = dict(zip(keys or ["USAGE_TYPE"], told, strict=False))
                span = (start_ns, end_ns)
                if "bedrock" not in named.get("SERVICE", "bedrock").lower():
                    metrics = Cells(at, _metric(one), reading)
                    reading.pass_over("of other services", metrics.number("Amount"))
                    continue
                yield Told(group, _explorer_line(at, named, _metric(one), provider, span, reading))


def _metric(group: dict[str, Any]) -> dict[str, Any]:
    metrics = an_object(group.get("Metrics"))
    return an_object(next((metrics[name] for name in _METRICS if name in metrics), None))


def _explorer_line(
    at: int, named: dict[str, str], metric: dict[str, Any], provider: str, span: tuple[int, int],
    reading: Reading,
) -> StatementLine:  # fmt: skip
    cells = Cells(at, metric, reading)
    amount = cells.pico("Amount")
    currency = (cells.text("Unit") or "USD").upper()
    usage_type = named.get("USAGE_TYPE", "")
    area, rest = split_usage_type(usage_type)
    record = plain_name(named.get("RECORD_TYPE", "usage"))
    category = _CATEGORIES.get(record, Category.USAGE)
    return line(
        start_ns=span[0], end_ns=span[1], provider=provider, category=category,
        project=named.get("LINKED_ACCOUNT"), model=model_of(rest, named.get("SERVICE", "")),
        kind=kind_in(rest) if category is Category.USAGE else None, tier=tier_in(rest),
        region="global" if _GLOBAL.search(rest) else named.get("REGION") or _AREAS.get(area),
        context_window=LONG_WINDOW if "lctx" in rest.lower() else None,
        amount=reading.dollars(at, amount, currency, span[0]), currency=currency,
        amount_in_currency=None if currency == "USD" else amount,
        description=usage_type or named.get("SERVICE") or named.get("RECORD_TYPE"),
        tags=tags_of((n, v) for n, v in named.items() if n not in {"USAGE_TYPE", "REGION"}),
    )  # fmt: skip


CUR: Final = Format(
    "aws.cur2", Basis.COST,
    (frozenset({"lineitemusagetype", "lineitemunblendedcost", "lineitemusagestartdate"}),),
    read_cur, has_quantities=True,
)  # fmt: skip
COST_EXPLORER: Final = Format(
    "aws.cost_explorer", Basis.COST, (frozenset({"resultsbytime"}), frozenset({"timeperiod"})),
    read_cost_explorer,
)  # fmt: skip
