"""What is asked of the clouds: Cost Explorer, Cost Management, BigQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from tollbook import clock
from tollbook.capture.gateway.credentials.base import Unsigned
from tollbook.capture.gateway.credentials.sigv4 import Scope, sigv4_lines
from tollbook.chargeback.statements.errors import FetchError
from tollbook.chargeback.statements.fetch.feeds import Feed
from tollbook.chargeback.statements.fetch.http import Question
from tollbook.chargeback.statements.moments import moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.capture.gateway.credentials.sigv4 import AwsKey
    from tollbook.config.statements import FetchSource

_JSON: Final = "application/json"
_AMZ_JSON: Final = "application/x-amz-json-1.1"
_USED: Final = ["Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"]
_AZURE_VERSION: Final = "2023-11-01"
_AZURE_SERVICES: Final = [
    "Cognitive Services", "Azure OpenAI", "Azure OpenAI Service", "Foundry Models", "Foundry Tools",
    "Azure AI Foundry", "Azure AI services", "Azure Machine Learning",
]  # fmt: skip
_BIGQUERY_ROWS: Final = 5_000
_BIGQUERY_WAIT_MS: Final = 30_000


def aws_feeds(base: str, key: AwsKey, span: tuple[int, int]) -> list[Feed]:
    """Return usage by usage type, and everything else by record type.

    ``GetCostAndUsage`` groups by two dimensions at most, so that credits and taxes are asked for
    apart; the two add up.
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
    """
    used = {"Dimensions": {"Key": "RECORD_TYPE", "Values": _USED}}
    period = {"Start": _day(span[0]), "End": _day(span[1])}

    def feed(scope: str, by: str, where: dict[str, Any]) -> Feed:
        asked = {
            "TimePeriod": period, "Granularity": "DAILY", "Metrics": ["UnblendedCost"],
            "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": by}],
            "Filter": where,
        }  # fmt: skip

        def first(token: str | None) -> Callable[[], Question]:
            body = msgspec.json.encode(asked if token is None else asked | {"NextPageToken": token})
            return lambda: _signed(base, key, "AWSInsightsIndexService.GetCostAndUsage", body)

        return Feed("aws.cost_explorer", scope, first, lambda answer: answer.get("NextPageToken"))

    return [feed("usage", "USAGE_TYPE", used), feed("other", "RECORD_TYPE", {"Not": used})]


def _signed(base: str, key: AwsKey, target: str, body: bytes) -> Question:
    parts = urlsplit(base)
    headers = {"content-type": _AMZ_JSON, "x-amz-target": target}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    unsigned = Unsigned("POST", b"/", parts.netloc.encode(), lines.encode(), body)
    stamp = clock.utc_now().strftime("%Y%m%dT%H%M%SZ")
    added = sigv4_lines(unsigned, key, Scope("us-east-1", "ce"), stamp).decode("latin-1")
    for one in added.split("\r\n"):
        name, _, value = one.partition(": ")
        if name:
            headers[name] = value
    return Question("POST", f"{base}/", headers, body)


def azure_feeds(source: FetchSource, base: str, key: str, span: tuple[int, int]) -> list[Feed]:
    """Return actual cost by day, meter and resource.

    https://learn.microsoft.com/en-us/rest/api/cost-management/query/usage
    """
    if source.scope is None:
        raise FetchError(
            "azure", "needs [statements.fetch.azure] scope, such as subscriptions/00000000-..."
        )
    asked = {
        "type": "ActualCost", "timeframe": "Custom",
        "timePeriod": {"from": _moment(span[0]), "to": _moment(span[1] - 10**9)},
        "dataset": {
            "granularity": "Daily",
            "aggregation": {
                "totalCost": {"name": "Cost", "function": "Sum"},
                "totalQuantity": {"name": "UsageQuantity", "function": "Sum"},
            },
            "grouping": [
                {"type": "Dimension", "name": "Meter"},
                {"type": "Dimension", "name": "ResourceId"},
            ],
            "filter": {
                "dimensions": {"name": "ServiceName", "operator": "In", "values": _AZURE_SERVICES}
            },
        },
    }  # fmt: skip
    body = msgspec.json.encode(asked)
    path = f"{source.scope.strip('/')}/providers/Microsoft.CostManagement/query"
    start = f"{base}/{path}?api-version={_AZURE_VERSION}"
    headers = {"authorization": f"Bearer {key}", "content-type": _JSON}

    def first(token: str | None) -> Callable[[], Question]:
        url = start
        if token is not None:
            # A page's address is the provider's word: the key goes nowhere but where it began.
            parts = urlsplit(token)
            url = f"{base}{parts.path}?{parts.query}"
        return lambda: Question("POST", url, headers, body)

    def token_of(answer: dict[str, Any]) -> str | None:
        link = (answer.get("properties") or {}).get("nextLink")
        return str(link) if link else None

    return [Feed("azure.cost_query", None, first, token_of)]


def bigquery_feeds(source: FetchSource, base: str, key: str, span: tuple[int, int]) -> list[Feed]:
    """Return the rows of one invoice month of the billing export, each as JSON.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query
    """
    table = source.table or ""
    if table.count(".") < 2 or not all(part for part in table.split(".")) or "`" in table:  # noqa: PLR2004 -- project.dataset.table
        raise FetchError(
            "bigquery", "needs [statements.fetch.NAME] table = 'project.dataset.table'"
        )
    project = source.project or table.split(".", maxsplit=1)[0]
    asked = {
        "query": f"SELECT TO_JSON_STRING(t) AS row FROM `{table}` AS t"  # noqa: S608 -- a name checked above
        " WHERE t.invoice.month = @month AND REGEXP_CONTAINS("
        "t.service.description, r'(?i)vertex|gemini|generative|agent platform')",
        "useLegacySql": False, "parameterMode": "NAMED", "timeoutMs": _BIGQUERY_WAIT_MS,
        "maxResults": _BIGQUERY_ROWS,
        "queryParameters": [{
            "name": "month", "parameterType": {"type": "STRING"},
            "parameterValue": {"value": moment_of(span[0]).strftime("%Y%m")},
        }],
    }  # fmt: skip
    queries = f"{base}/bigquery/v2/projects/{quote(project, safe='')}/queries"
    headers = {"authorization": f"Bearer {key}", "content-type": _JSON}
    body = msgspec.json.encode(asked)

    def first(token: str | None) -> Callable[[], Question]:
        if token is None:
            return lambda: Question("POST", queries, headers, body)
        job, location, page, asked_before = msgspec.json.decode(token, type=list[str])
        del asked_before
        query: dict[str, Any] = {"maxResults": _BIGQUERY_ROWS, "timeoutMs": _BIGQUERY_WAIT_MS}
        query |= {"location": location} if location else {}
        query |= {"pageToken": page} if page else {}
        url = f"{queries}/{quote(job, safe='')}?{urlencode(query)}"
        return lambda: Question("GET", url, headers)

    waits = 0

    def token_of(answer: dict[str, Any]) -> str | None:
        nonlocal waits
        page = answer.get("pageToken")
        is_done = answer.get("jobComplete") is not False
        if is_done and not page:
            return None
        waits += not is_done
        job = answer.get("jobReference") or {}
        told = [
            str(job.get("jobId", "")), str(job.get("location") or ""),
            str(page or "") if is_done else "", str(waits) if not is_done else "",
        ]  # fmt: skip
        return msgspec.json.encode(told).decode()

    return [Feed("gcp.billing_export", None, first, token_of, source="gcp.bigquery")]


def _day(ns: int) -> str:
    return moment_of(ns).date().isoformat()


def _moment(ns: int) -> str:
    return moment_of(ns).strftime("%Y-%m-%dT%H:%M:%S+00:00")
