"""Fetching from providers' APIs: real HTTP, real faults."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.statements.provider_apis import (
    Asked,
    FakeApi,
    OpenAiOrganization,
    anthropic_organization,
)

from tollbook import clock
from tollbook.chargeback.statements.errors import FetchError
from tollbook.chargeback.statements.fetch.http import ApiClient, Limits, Question
from tollbook.chargeback.statements.fetch.paging import pages
from tollbook.chargeback.statements.fetch.run import Wanted, fetch_statements
from tollbook.chargeback.statements.fetch.sources import KNOWN, resolve
from tollbook.chargeback.statements.fetch.watermarks import watermarks
from tollbook.chargeback.statements.model import Basis, Finality
from tollbook.chargeback.statements.moments import DAY_NS, moment_of, ns_of
from tollbook.chargeback.statements.raws import raw_of
from tollbook.chargeback.statements.shelf import current_lines, statements
from tollbook.config.statements import FetchSource, Statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.model import Statement

NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
ENVIRON = {
    "OPENAI_ADMIN_KEY": "sk-admin-secret", "ANTHROPIC_ADMIN_KEY": "sk-ant-admin",
    "OPENROUTER_MANAGEMENT_KEY": "sk-or-mgmt", "AZURE_ACCESS_TOKEN": "azure-token",
    "GOOGLE_OAUTH_ACCESS_TOKEN": "google-token",
}  # fmt: skip
ALWAYS = (0, 2**62)


class Time:
    """The wall clock, where a test sets it, and the pauses that were asked for."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def unix_ns(self) -> int:
        self.now += timedelta(microseconds=1)
        return ns_of(self.now)

    def sleep(self, pause_s: float) -> None:
        self.slept.append(pause_s)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "unix_ns", made.unix_ns)
    monkeypatch.setattr(clock, "utc_now", lambda: made.now)
    return made


def settings(name: str, url: str, **of: Any) -> Statements:
    source = FetchSource(base_url=url, **({"first_days": 20} | of))
    return Statements(fetch={name: source}, timeout_s=5.0, total_timeout_s=30.0)


def fetch(
    books: Books, name: str, configured: Statements, time: Time, **of: Any
) -> list[Statement]:
    return list(fetch_statements(books, name, configured, ENVIRON, sleep=time.sleep, **of))


def input_tokens(books: Books) -> dict[str, int]:
    return {
        moment_of(line.start_ns).date().isoformat(): line.quantity or 0
        for line in current_lines(books, Basis.USAGE, *ALWAYS)
        if line.kind == "uncached_input_tokens"
    }


def test_openai_is_fetched_by_month_and_page(books: Books, time: Time) -> None:
    tokens = {"2026-10-20": 100, "2026-10-31": 200, "2026-11-02": 300}
    with FakeApi(OpenAiOrganization(tokens)) as api:
        kept = fetch(books, "openai", settings("openai", api.url), time)
        assert {one.source for one in kept} == {"openai.usage", "openai.costs"}
        assert len({one.scope for one in kept}) == 11
        assert input_tokens(books) == tokens
        costs = current_lines(books, Basis.COST, *ALWAYS)
        assert [line.amount for line in costs] == [10**11, 2 * 10**11, 3 * 10**11]
        spans = {(moment_of(one.start_ns).date(), moment_of(one.end_ns).date()) for one in kept}
        assert {f"{a} {b}" for a, b in spans} == {
            "2026-10-01 2026-11-01", "2026-11-01 2026-11-03",
        }  # fmt: skip
        first = next(one for one in api.asked if one.path.endswith("completions"))
        assert first.query["group_by[]"] == [
            "project_id", "api_key_id", "model", "batch", "service_tier",
        ]  # fmt: skip
        assert (first.one("bucket_width"), first.one("limit")) == ("1d", "31")
        # Kept as received: one page on each line.
        usage = next(one for one in kept if one.scope == "completions")
        lines = b"".join(raw_of(books, usage.raw_sha256)).splitlines()
        assert [json.loads(line)["has_more"] for line in lines] == [True, True, True, False]
    assert all("sk-admin" not in str(one) for one in kept)


def test_revised_days_take_the_place_and_settled_ones_are_left(books: Books, time: Time) -> None:
    tokens = {"2026-09-10": 5, "2026-10-31": 200, "2026-11-02": 300}
    with FakeApi(OpenAiOrganization(tokens)) as api:
        configured = settings("openai", api.url, first_days=60, window_days=7)
        kept = fetch(books, "openai", configured, time)
        assert {one.finality for one in kept if one.end_ns < ns_of(NOW) - 7 * DAY_NS} == {
            Finality.FINAL
        }
        assert all(one.finality is Finality.PROVISIONAL for one in kept if one.end_ns > ns_of(NOW))
        tokens |= {"2026-10-31": 250, "2026-09-10": 99}
        del tokens["2026-11-02"]
        time.now += timedelta(hours=1)
        api.asked.clear()
        fetch(books, "openai", configured, time)
        # September was final; October, a day from the edge, was asked for again.
        assert input_tokens(books) == {"2026-09-10": 5, "2026-10-31": 250}
        oldest = min(int(one.one("start_time") or 0) for one in api.asked)
        assert oldest == int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())


def test_the_same_again_is_one_statement_seen_twice(books: Books, time: Time) -> None:
    with FakeApi(OpenAiOrganization({"2026-11-02": 3})) as api:
        configured = settings("openai", api.url)
        fetch(books, "openai", configured, time)
        count = len(statements(books))
        time.now += timedelta(hours=1)
        fetch(books, "openai", configured, time)
        assert len(statements(books)) == count


def test_it_is_never_asked_more_often_than_allowed(books: Books, time: Time) -> None:
    with FakeApi(OpenAiOrganization({"2026-11-02": 3})) as api:
        configured = settings("openai", api.url, interval_s=60)
        fetch(books, "openai", configured, time)
        api.asked.clear()
        time.now += timedelta(seconds=30)
        with pytest.raises(FetchError, match="at most every 60 s; try again in"):
            fetch(books, "openai", configured, time)
        assert api.asked == []
        time.now += timedelta(seconds=31)
        assert fetch(books, "openai", configured, time)


def test_limits_and_failures_are_waited_out(books: Books, time: Time) -> None:
    later = format_datetime(NOW + timedelta(seconds=9), usegmt=True)
    with FakeApi(OpenAiOrganization({"2026-11-02": 3})) as api:
        api.faults = [
            (429, {"retry-after": "7"}, b"{}"), (503, {"retry-after": later}, b""),
            (500, {}, b"oops"), "cut", "hang up",
            (429, {"x-ms-ratelimit-microsoft.costmanagement-entity-retry-after": "3"}, b"{}"),
        ]  # fmt: skip
        fetch(books, "openai", settings("openai", api.url), time)
    assert time.slept[0] == 7
    assert 8 < time.slept[1] <= 9
    # Half to whole of 4, 8 and 16 s: each failure doubles the pause.
    for pause_s, longest_s in zip(time.slept[2:5], (4, 8, 16), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s
    assert time.slept[5] == 3
    assert input_tokens(books) == {"2026-11-02": 3}


def test_a_wait_that_is_too_long_ends_it_and_it_goes_on_there(books: Books, time: Time) -> None:
    tokens = {"2026-10-20": 1, "2026-11-02": 3}
    with FakeApi(OpenAiOrganization(tokens)) as api:
        configured = settings("openai", api.url)
        found = fetch_statements(books, "openai", configured, ENVIRON, sleep=time.sleep)
        first = next(found)
        api.faults = [(429, {"retry-after": "3600"}, b"{}")]
        with pytest.raises(FetchError, match=r"would have to wait 3600 s .* goes on where it"):
            next(found)
        marks = watermarks(books, "openai", None)
        assert list(marks) == [("openai.usage", "completions")]
        assert moment_of(first.end_ns) == datetime(2026, 11, 1, tzinfo=UTC)
        time.now += timedelta(minutes=2)
        fetch(books, "openai", configured, time)
    assert input_tokens(books) == tokens


def test_a_wrong_key_is_told_and_never_shown(books: Books, time: Time) -> None:
    with FakeApi(OpenAiOrganization({})) as api:
        environ = ENVIRON | {"OPENAI_ADMIN_KEY": "sk-wrong-secret"}
        with pytest.raises(FetchError, match="answered 401; check that the key") as caught:
            list(fetch_statements(books, "openai", settings("openai", api.url), environ))
        assert len(api.asked) == 1
    assert "sk-wrong-secret" not in str(caught.value)
    assert "start_time" not in str(caught.value)
    with pytest.raises(FetchError, match="OPENAI_ADMIN_KEY is not set"):
        list(fetch_statements(books, "openai", settings("openai", api.url), {}))
    assert "secret" not in repr(Question("GET", "http://h/p?page=secret", {"x-api-key": "secret"}))


def client(time: Time, **of: Any) -> ApiClient:
    limits = Limits(**({"timeout_s": 2.0, "total_s": 10.0, "max_bytes": 100_000} | of))
    return ApiClient("test", limits, sleep=time.sleep)


def question(url: str) -> Callable[[str | None], Callable[[], Question]]:
    return lambda token: lambda: Question("GET", f"{url}/?page={token or ''}")


def test_tokens_that_go_round_in_a_circle_end(time: Time) -> None:
    def answer(asked: Asked) -> Any:
        return {"next": {"": "a", "a": "b", "b": "a"}[asked.one("page") or ""]}

    with (
        FakeApi(answer) as api,
        client(time) as asks,
        pytest.raises(FetchError, match="go round in a circle"),
    ):
        list(pages(asks, question(api.url), lambda page: page["next"]))
    assert len(api.asked) == 3


def test_a_page_that_comes_twice_counts_once(time: Time) -> None:
    def answer(asked: Asked) -> Any:
        at = asked.one("page") or "0"
        return 200, {}, json.dumps({"rows": "same" if at in {"0", "1"} else "other"}).encode()

    turns = iter(["1", "2", None])
    with FakeApi(answer) as api, client(time) as asks:
        found = list(pages(asks, question(api.url), lambda _: next(turns)))
    assert [json.loads(one)["rows"] for one in found] == ["same", "other"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((200, {}, b"x" * 200_000), "larger than 100000 bytes"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b"[1]"), "not JSON"),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), "answered 302"),
        ((404, {}, b'{"error": "no such thing"}'), "answered 404: no such thing"),
        ((400, {}, b'{"message": "bad date"}'), "answered 400: bad date"),
    ],
)
def test_answers_that_are_none(answer: Any, problem: str, time: Time) -> None:
    with FakeApi(lambda _: answer) as api, client(time) as asks:
        with pytest.raises(FetchError, match=problem):
            asks.json(question(api.url)(None))
        assert len(api.asked) == 1
        assert time.slept == []


def test_nobody_answers(time: Time) -> None:
    nobody = Question("GET", "http://127.0.0.1:9/")
    with client(time, total_s=0.2) as asks, pytest.raises(FetchError, match="ConnectError"):
        asks.ask(lambda: nobody)


def test_anthropic_usage_and_costs(books: Books, time: Time) -> None:
    with FakeApi(anthropic_organization) as api:
        kept = fetch(books, "anthropic", settings("anthropic", api.url), time)
        asked = api.asked[0]
        assert asked.path == "/v1/organizations/usage_report/messages"
        assert asked.query["group_by[]"][2] == "model"
        costs = next(one for one in api.asked if one.path.endswith("cost_report"))
        assert costs.query["group_by[]"] == ["workspace_id", "description"]
    assert {one.source for one in kept} == {"anthropic.usage_report", "anthropic.cost_report"}
    usage = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [line.quantity for line in usage] == [10] * 33  # October, and two days of November
    money = current_lines(books, Basis.COST, *ALWAYS)
    assert sum(line.amount or 0 for line in money) == 33 * 15 * 10**11


def test_openrouter_by_day(books: Books, time: Time) -> None:
    def answer(asked: Asked) -> Any:
        assert asked.headers["authorization"] == "Bearer sk-or-mgmt"
        day = asked.one("date")
        return {"data": [{
            "date": day, "model": "m", "usage": 0.5, "requests": 1, "prompt_tokens": 3,
            "completion_tokens": 0, "reasoning_tokens": 0,
        }]}  # fmt: skip

    with FakeApi(answer) as api:
        configured = settings("openrouter", api.url, first_days=400)
        fetch(books, "openrouter", configured, time)
        assert len(api.asked) == 30  # older days are refused
        money = current_lines(books, Basis.COST, *ALWAYS)
        assert [line.amount for line in money] == [5 * 10**11] * 30
        api.asked.clear()
        time.now += timedelta(days=1)
        fetch(books, "openrouter", configured, time)
        assert [one.one("date") for one in api.asked] == ["2026-11-01", "2026-11-02", "2026-11-03"]


def test_aws_cost_explorer_is_signed(
    books: Books, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-key")

    def answer(asked: Asked) -> Any:
        body = json.loads(asked.body)
        by = [one["Key"] for one in body["GroupBy"]]
        groups = [{
            "Keys": [
                "Amazon Bedrock", "USE1-NovaLite-input-tokens" if "USAGE_TYPE" in by else "Tax",
            ],
            "Metrics": {"UnblendedCost": {"Amount": "1.5", "Unit": "USD"}},
        }]  # fmt: skip
        start = datetime.fromisoformat(body["TimePeriod"]["Start"])
        if "NextPageToken" in body:
            start += timedelta(days=1)
        return {
            "GroupDefinitions": body["GroupBy"],
            "ResultsByTime": [{
                "TimePeriod": {"Start": start.date().isoformat(),
                               "End": (start + timedelta(days=1)).date().isoformat()},
                "Groups": groups,
            }],
            **({} if "NextPageToken" in body else {"NextPageToken": "more"}),
        }  # fmt: skip

    with FakeApi(answer) as api:
        kept = fetch(books, "bedrock", settings("bedrock", api.url, first_days=2), time)
        headers = api.asked[0].headers
    assert headers["x-amz-target"] == "AWSInsightsIndexService.GetCostAndUsage"
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261103/us-east-1/ce/aws4_request"
    )
    assert all("aws-secret-key" not in str(one.headers) for one in api.asked)
    assert {one.scope for one in kept} == {"usage", "other"}
    lines = current_lines(books, Basis.COST, *ALWAYS)
    assert sum(line.amount or 0 for line in lines) == 4 * 15 * 10**11
    assert {line.category.value for line in lines} == {"Usage", "Tax"}


def test_azure_cost_management_keeps_its_token_at_home(books: Books, time: Time) -> None:
    def answer(asked: Asked) -> Any:
        columns = [{"name": name} for name in ("Cost", "UsageDate", "Meter", "Currency")]
        is_first = "skip" not in asked.query
        row = [1.25, 20261102, f"gpt-5-mini {'Inp' if is_first else 'Outp'} glbl Tokens", "USD"]
        link = "https://elsewhere.example/subscriptions/1/query?api-version=1&skip=5"
        return {"properties": {
            "columns": columns, "rows": [row], "nextLink": link if is_first else None,
        }}  # fmt: skip

    with FakeApi(answer) as api:
        configured = settings("azure", api.url, scope="/subscriptions/1/", first_days=1)
        fetch(books, "azure", configured, time)
        assert [one.path for one in api.asked] == [
            "/subscriptions/1/providers/Microsoft.CostManagement/query", "/subscriptions/1/query",
        ]  # fmt: skip
        assert {one.headers["authorization"] for one in api.asked} == {"Bearer azure-token"}
        asked = json.loads(api.asked[0].body)
        assert asked["timePeriod"]["to"].startswith("2026-11-02T23:59:59")
        time.now += timedelta(hours=2)
        with pytest.raises(FetchError, match=r"needs \[statements.fetch.azure\] scope"):
            fetch(books, "azure", settings("azure", api.url), time)
    lines = current_lines(books, Basis.COST, *ALWAYS)
    assert [(line.kind, line.amount) for line in lines] == [
        ("uncached_input_tokens", 125 * 10**10), ("visible_output_tokens", 125 * 10**10),
    ]  # fmt: skip


def test_bigquery_waits_for_its_job_and_reads_its_pages(books: Books, time: Time) -> None:
    def cell(cost: str) -> dict[str, Any]:
        row = json.dumps({
            "billing_account_id": "A", "service": {"description": "Vertex AI"},
            "sku": {"description": "Gemini 2.5 Pro Text Output"}, "currency": "USD", "cost": "@",
            "usage_start_time": "2026-11-01T00:00:00Z", "usage_end_time": "2026-11-01T01:00:00Z",
            "invoice": {"month": "202611"}, "usage": {"amount": 7},
        }).replace('"@"', cost)  # fmt: skip
        return {"f": [{"v": row}]}

    def answer(asked: Asked) -> Any:
        job = {"jobReference": {"jobId": "job 1", "location": "EU"}}
        if asked.method == "POST":
            month = json.loads(asked.body)["queryParameters"][0]["parameterValue"]["value"]
            if month != "202611":
                return job | {"jobComplete": True, "rows": []}
            return job | {"jobComplete": False}
        assert asked.one("location") == "EU"
        if asked.one("pageToken") == "P2":
            return job | {"jobComplete": True, "rows": [cell("0.2")]}
        return job | {"jobComplete": True, "rows": [cell("0.1")], "pageToken": "P2"}

    with FakeApi(answer) as api:
        configured = settings(
            "vertex", api.url, table="prj.set.gcp_billing_export_v1", first_days=9
        )
        kept = fetch(books, "vertex", configured, time)
        assert api.asked[-1].path == "/bigquery/v2/projects/prj/queries/job%201"
        time.now += timedelta(hours=2)
        with pytest.raises(FetchError, match=r"table = 'project\.dataset\.table'"):
            fetch(books, "vertex", settings("vertex", api.url, table="x`y"), time)
    assert {one.source for one in kept} == {"gcp.bigquery"}
    lines = current_lines(books, Basis.COST, *ALWAYS)
    assert sorted(line.amount or 0 for line in lines) == [10**11, 2 * 10**11]
    used = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [line.quantity for line in used] == [7, 7]


def test_days_that_are_asked_for(books: Books, time: Time) -> None:
    with FakeApi(OpenAiOrganization({})) as api:
        configured = settings("openai", api.url)
        wanted = Wanted(ns_of(NOW - timedelta(days=40)), ns_of(NOW - timedelta(days=35, hours=2)))
        kept = fetch(books, "openai", configured, time, wanted=wanted, author="ann")
        assert {moment_of(one.start_ns).date().isoformat() for one in kept} == {"2026-09-01"}
        assert {moment_of(one.end_ns).date().isoformat() for one in kept} == {"2026-09-30"}
        assert {one.received_by for one in kept} == {"ann"}
        time.now += timedelta(hours=2)
        today = fetch(books, "openai", configured, time, wanted=Wanted(None, ns_of(NOW)))
        assert max(one.end_ns for one in today) == ns_of(datetime(2026, 11, 4, tzinfo=UTC))


def test_every_api_is_known_by_a_provider() -> None:
    for name, api in (("bedrock", "aws"), ("vertex", "bigquery"), ("openai", "openai")):
        assert resolve(name, Statements(), FetchSource()).api == api
    own = Statements(fetch={"openai-eu": FetchSource(api="openai", key_env="EU_KEY")})
    found = resolve("openai-eu", own, FetchSource())
    assert (found.provider, found.key_env, found.base_url) == (
        "openai-eu", "EU_KEY", KNOWN["openai"].base_url,
    )  # fmt: skip
    with pytest.raises(FetchError, match=r"set \[statements.fetch.acme\] api to one of anthropic"):
        resolve("acme", Statements(), FetchSource())
