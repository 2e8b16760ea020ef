from __future__ import annotations

import csv
import http.client
import io
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tollbook.console.auth import read_announcement
from tollbook.console.client import ApiCheckError, ApiError, ApiSource, LedgerSilentError
from tollbook.reports.errors import CallNotFoundError

if TYPE_CHECKING:
    from tests.console.conftest import Running


def _get(
    ledger: Running, target: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", ledger.port, timeout=10)
    with closing(connection):
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return response.status, named, response.read()


def _authorized(ledger: Running, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return _get(ledger, target, authorization=f"Bearer {ledger.token}", **headers)


@pytest.mark.parametrize(
    "target",
    ["/api/v1/spend", "/api/v1/status", "/api/v1/openapi.json", "/api/v1/calls/x/explain"],
)
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer ", "Basic dXNlcg==", "Bearer \xff\xfe"]
)
def test_nothing_is_told_without_the_token(
    ledger: Running, target: str, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    status, answer, body = _get(ledger, target, **headers)
    assert status == 401
    assert answer["content-type"] == "application/problem+json"
    assert answer["www-authenticate"].startswith("Bearer")
    assert msgspec.json.decode(body)["status"] == 401
    assert ledger.token.encode() not in body


def test_writing_needs_the_token_too(ledger: Running) -> None:
    assert _get(ledger, "/api/v1/ingest", "POST")[0] == 401


def test_health_is_open(ledger: Running) -> None:
    assert _get(ledger, "/healthz")[0] == 200


def test_token_and_address_are_private(ledger: Running) -> None:
    for name in ("console.token", "console.json"):
        mode = stat.S_IMODE((ledger.data_dir / name).stat().st_mode)
        assert mode == 0o600


def test_spend_has_the_public_shape(ledger: Running) -> None:
    status, _, body = _authorized(ledger, "/api/v1/spend?by=tenant,model&since=today")
    report: dict[str, Any] = msgspec.json.decode(body)
    assert status == 200
    # 1000 tokens at 0.15 and 100 at 0.60 dollars per million
    assert report["rows"] == [
        {"tenant": tenant, "model": "gpt-4o-mini", "calls": calls, "input_tokens": 1000 * calls,
         "output_tokens": 100 * calls, "cache_read_tokens": 0, "cache_write_tokens": 0,
         "cost_usd": cost}
        for tenant, calls, cost in (
            ("acme", 3, "0.000630000000"), ("globex", 1, "0.000210000000"),
            ("unknown", 1, "0.000210000000"),
        )
    ]  # fmt: skip
    assert report["totals"]["cost_usd"] == "0.001050000000"
    assert report["currency"] == "USD"
    complete = report["completeness"]
    assert complete["unattributed"] == {"calls": 1, "cost_usd": "0.000210000000"}
    assert complete["unpriced"] == complete["estimated"] == {
        "calls": 0, "cost_usd": "0.000000000000"
    }  # fmt: skip
    assert complete["complete_until"] is not None
    assert set(report) == {"rows", "totals", "completeness", "query", "currency"}


def test_csv_by_format_and_by_accept(ledger: Running) -> None:
    for target, headers in (
        ("/api/v1/spend?by=tenant&format=csv", {}),
        ("/api/v1/spend?by=tenant", {"accept": "text/csv"}),
    ):
        status, answer, body = _authorized(ledger, target, **headers)
        assert status == 200
        assert answer["content-type"].startswith("text/csv")
        assert answer["tollbook-complete-until"] != "never"
        rows = list(csv.DictReader(io.StringIO(body.decode())))
        assert [row["tenant"] for row in rows] == ["acme", "globex", "unknown"]
        assert rows[0]["cost_usd"] == "0.000630000000"


def test_csv_without_rows_has_the_same_header(ledger: Running) -> None:
    target = "/api/v1/spend?by=tenant,model&format=csv"
    headers = [
        _authorized(ledger, target + more)[2].decode().splitlines()[0]
        for more in ("", "&where=tenant%3Dnobody")
    ]
    assert headers[0] == headers[1]
    assert headers[0].startswith("tenant,model,calls,")


def test_rollup_columns_are_unknown_until_reconciled(ledger: Running) -> None:
    report = ledger.api.ask("rollup", [])
    assert [row["tenant"] for row in report["rows"]] == ["acme", "globex", "unknown"]
    for row in [*report["rows"], report["totals"]]:
        assert row["reconciled_usd"] is None
        assert row["invoice_delta_usd"] is None
    assert report["reconciliation"] == "not reconciled"


def test_calls_are_paged_without_gap_or_repeat(ledger: Running) -> None:
    seen: list[int] = []
    pairs = [("limit", "2")]
    while True:
        page = ledger.api.ask("calls", pairs)
        seen += [row["entry_id"] for row in page["rows"]]
        assert page["totals"]["calls"] == 5
        if page["next_before"] is None:
            break
        pairs = [("limit", "2"), ("before", str(page["next_before"]))]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 5


def test_explain_by_our_id_and_by_the_providers(ledger: Running) -> None:
    call = ledger.api.ask("calls", [("where", "tenant=acme"), ("limit", "1")])["rows"][0]
    explained = ledger.api.explain(call["call_id"])
    assert explained == ledger.api.explain(call["provider_response_id"])
    assert explained["identity"]["tenant_id"] == {"value": "acme", "source": "tollbook_header"}
    assert explained["tags"] == {"plan": "gold"}
    assert explained["usage_raw"] == [
        '{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}'
    ]
    assert explained["kinds"]["uncached_input_tokens"]["quantity"] == 1000
    price = explained["price"]
    assert price["card"]["source"].startswith("genai-prices")
    assert price["lines_sum_usd"] == price["cost_usd"] == "0.000210000000"
    assert [line["kind"] for line in price["lines"]] == [
        "uncached_input_tokens", "visible_output_tokens"
    ]  # fmt: skip
    assert [entry["kind"] for entry in explained["entries"]] == ["charge"]
    assert explained["entries"][0]["batch_hash"]
    assert explained["evidence"]["spool_writer"]


@pytest.mark.parametrize(
    "wanted", ["nothing", "0198c0de-0000-7000-8000-000000000000", "a/b?c", "'"]
)
def test_explain_of_an_unknown_call_is_not_found(ledger: Running, wanted: str) -> None:
    with pytest.raises((ApiCheckError, CallNotFoundError), match="no call"):
        ledger.api.explain(wanted)


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/api/v1/spend?by=tennant", 400, "did you mean tenant?"),
        ("/api/v1/spend?group_by=tenant", 400, "there is no 'group_by'"),
        ("/api/v1/spend?format=xml", 400, "--format"),
        ("/api/v1/spend?tz=Nowhere", 400, "IANA"),
        ("/api/v1/spend?since=%ff", 400, "UTF-8"),
        ("/api/v1/calls?limit=5000", 400, "between 1 and 1000"),
        ("/api/v1/calls?before=x", 400, "not an entry id"),
        ("/api/v1/rollup?by=user", 400, "fixed"),
        ("/api/v1/nothing", 404, ""),
        ("/api/v1/spend?where=tenant=" + "a" * 40_000, 414, "32768"),
    ],
)
def test_a_wrong_question_is_a_problem_with_words(
    ledger: Running, target: str, status: int, words: str
) -> None:
    got, headers, body = _authorized(ledger, target)
    problem = msgspec.json.decode(body)
    assert (got, problem["status"]) == (status, status)
    assert headers["content-type"] == "application/problem+json"
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]


def test_openapi_describes_every_route(ledger: Running) -> None:
    status, _, body = _authorized(ledger, "/api/v1/openapi.json")
    document = msgspec.json.decode(body)
    assert status == 200
    assert document["openapi"].startswith("3.1")
    assert {
        "/api/v1/spend", "/api/v1/rollup", "/api/v1/calls", "/api/v1/calls/{call_id}/explain",
        "/api/v1/status", "/api/v1/ingest",
    } <= set(document["paths"])  # fmt: skip
    names = {one["name"] for one in document["paths"]["/api/v1/spend"]["get"]["parameters"]}
    assert {"since", "until", "tz", "by", "where", "measures", "limit", "format"} <= names


def test_status_tells_watermark_writers_and_versions(ledger: Running) -> None:
    status = ledger.api.status()
    assert status["entries"] == 5
    assert status["complete_until"] is not None
    assert status["lag_s"] is not None
    assert [one["state"] for one in status["writers"]] == ["finished"]
    assert status["problems"] == []


def test_a_wrong_token_is_refused_by_the_client_in_one_line(ledger: Running) -> None:
    announced = read_announcement(ledger.data_dir)
    assert announced is not None
    with pytest.raises(ApiError, match=r"console\.token"):
        ApiSource(announced[0], "wrong").status()


def test_a_ledger_that_does_not_answer_is_one_line(ledger: Running) -> None:
    announced = read_announcement(ledger.data_dir)
    assert announced is not None
    gone = ApiSource(msgspec.structs.replace(announced[0], port=1), ledger.token)
    with pytest.raises(LedgerSilentError, match="does not answer at 127") as caught:
        gone.status()
    assert "\n" not in caught.value.message
