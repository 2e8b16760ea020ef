"""Handing files in at a real console: who may, how much, and what is answered."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped] # it has no types
import pytest
from msgspec.structs import replace
from tests.audit_page.page_kit import (
    SECRET,
    auditing,
    finished,
    hand_in,
    put_audit,
    some_audit,
    traces,
)
from tests.people.people_kit import TENANT

from tollbook.audit.outputs.as_json import audit_of
from tollbook.books.events import list_events
from tollbook.console.audits.limits import DEFAULT
from tollbook.desk.permits import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from tests.people.people_kit import People

    from tollbook.console.audits.jobs import Jobs

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[People, Jobs]]:
    with auditing(tmp_path_factory.mktemp("audits")) as found:
        yield found


@pytest.fixture
def house(served: tuple[People, Jobs]) -> People:
    return served[0]


@pytest.fixture
def jobs(served: tuple[People, Jobs]) -> Iterator[Jobs]:
    """The audits, with their usual limits after a test changed them."""
    usual = served[1].limits
    yield served[1]
    served[1].limits = usual


@pytest.fixture
def anna(house: People) -> Iterator[httpx.Client]:
    with house.signed_in(Role.VIEWER, "anna@example.org") as client:
        yield client


def _uploads(house: People) -> list[Path]:
    return [one for one in house.data_dir.rglob("uploads/**/*") if one.is_file()]


def test_from_a_file_to_a_finding(house: People, anna: httpx.Client) -> None:
    answer = hand_in(anna, {"of acme.jsonl": traces(3)}, tenant_attribute="app.customer")
    assert answer.status_code == 303, answer.text[:500]
    location = answer.headers["location"]
    page = finished(anna, location)
    assert page.status_code == 200
    assert "of acme.jsonl" in page.text
    assert "tollbook audit &#39;of acme.jsonl&#39;" in page.text
    assert SECRET not in page.text
    assert _uploads(house) == []
    data = anna.get(location.replace("?", ".json?")).json()
    assert data["tables"]["inputs"]["rows"][0]["spans"] == 12
    found = data["tables"]["findings"]["rows"]
    rows = list(csv.DictReader(io.StringIO(anna.get(location.replace("?", ".csv?")).text)))
    assert [one["title"] for one in rows] == [one["title"] for one in found]
    link = re.search(r'href="(/trace-audit\?id=[^"]+finding=[^"]+)"', page.text)
    assert link is not None, "the planted fault is found"
    one = anna.get(link.group(1).replace("&amp;", "&"), headers=HTML)
    assert one.status_code == 200
    assert "Where it is lost" in one.text
    assert "waterfall" in one.text
    assert SECRET not in one.text
    event = list_events(house.books, action="trace_audit.run")[0]
    assert event.actor == "user:anna@example.org"
    assert "acme" not in str(event.detail)


def test_what_is_listed_and_shown_is_ones_own(
    house: People, jobs: Jobs, anna: httpx.Client
) -> None:
    job = put_audit(jobs, "user:anna@example.org")
    path = f"/trace-audit?id={job.job_id}"
    assert job.job_id in anna.get("/trace-audit").text
    assert anna.get(path, headers=HTML).status_code == 200
    assert anna.get(f"{path}&finding=nothing", headers=HTML).status_code == 404
    with house.signed_in(Role.OWNER, "bo@example.org") as bo:
        assert job.job_id not in bo.get("/trace-audit").text
        for other in (path, f"/trace-audit.json?id={job.job_id}",
                      f"/trace-audit/report?id={job.job_id}&format=html"):  # fmt: skip
            answer = bo.get(other, headers=HTML)
            assert answer.status_code == 404
            assert "hand the files in again" in answer.text


@pytest.mark.parametrize("path", ["/trace-audit", "/trace-audit/report?id=x"])
def test_looking_needs_the_permit(house: People, path: str) -> None:
    with house.with_token("spend:read", label=f"spend{len(path)}") as program:
        assert program.get(path).status_code == 403
    with house.signed_in(Role.TENANT) as tenant:
        assert tenant.get(path, headers=HTML).status_code == 403
    with house.client() as nobody:
        assert nobody.get(path, headers=HTML).status_code == 303
        assert nobody.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/do/trace-audit", "/api/v1/audit"])
def test_handing_in_needs_the_permit(house: People, path: str) -> None:
    with house.with_token("finance:write", label=f"finance{len(path)}") as program:
        assert program.post(path, content=b"{}").status_code == 403
    with house.with_token("portal:read", tenant=TENANT, label=f"portal{len(path)}") as tenant:
        assert tenant.post(path, content=b"{}").status_code in (401, 403)
    with house.client() as nobody:
        assert nobody.post(path, content=b"{}").status_code == 401
    assert _uploads(house) == []


def test_a_form_of_another_site_is_refused(house: People, anna: httpx.Client) -> None:
    files = [("files", ("a.jsonl", traces(1)))]
    own = {"origin": house.url, "accept": "text/html"}
    for token in ("", "f" * 64, "salt.hash"):
        answer = anna.post("/do/trace-audit", data={"csrf_token": token}, files=files, headers=own)
        assert answer.status_code == 403
        assert "not made for this session" in answer.text
    foreign = {"origin": "https://evil.example", "accept": "text/html"}
    assert anna.post("/do/trace-audit", files=files, headers=foreign).status_code == 403
    assert anna.post("/api/v1/audit", content=b"{}", headers=foreign).status_code == 403
    assert _uploads(house) == []


@pytest.mark.parametrize("is_told", [True, False])
def test_more_than_is_taken_names_the_command(house: People, jobs: Jobs, *, is_told: bool) -> None:
    jobs.limits = replace(DEFAULT, upload_max_bytes=100_000)
    body = b"x" * 300_000
    chunks = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    content: Any = body if is_told else iter(chunks)
    with house.process() as client:
        answer = client.post("/api/v1/audit", content=content)
    assert answer.status_code == 413
    assert "97.6 KiB" in answer.json()["detail"]
    assert "tollbook audit FILE" in answer.json()["detail"]
    assert _uploads(house) == []


def test_a_form_that_is_too_large_is_a_page_with_the_command(
    house: People, jobs: Jobs, anna: httpx.Client
) -> None:
    jobs.limits = replace(DEFAULT, upload_max_bytes=1000)
    answer = hand_in(anna, {"a.jsonl": b"x" * 5000})
    assert answer.status_code == 413
    assert "text/html" in answer.headers["content-type"]
    assert "tollbook audit FILE" in answer.text
    assert _uploads(house) == []


def test_a_busy_console_says_so(house: People, jobs: Jobs) -> None:
    jobs.limits = replace(DEFAULT, waiting_max=-1)
    with house.process() as client:
        answer = client.post("/api/v1/audit", content=b"{}")
    assert answer.status_code == 503
    assert "repeat it in a minute" in answer.json()["detail"]


def test_a_hostile_file_is_a_page_that_says_why(anna: httpx.Client) -> None:
    name = "../<img src=x onerror=alert(1)>.json"
    answer = hand_in(anna, {name: b"[" * 100_000})
    page = finished(anna, answer.headers["location"])
    assert "No spans were read" in page.text
    assert "<img" not in page.text
    assert "Hand in other files" in page.text


def test_hostile_names_in_a_result_are_text(jobs: Jobs, anna: httpx.Client) -> None:
    made = some_audit()
    bad = "</script><script>alert(1)</script>"
    one = replace(made.findings[0], title=bad, framework=bad)
    made = replace(made, findings=(one, *made.findings[1:]), services={bad: 3})
    job = put_audit(jobs, "user:anna@example.org", made)
    for more in ("", f"&finding={one.finding_id}"):
        page = anna.get(f"/trace-audit?id={job.job_id}{more}", headers=HTML)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
    report = anna.get(f"/trace-audit/report?id={job.job_id}&format=html")
    assert "<script" not in report.text


@pytest.mark.parametrize(
    ("form", "kind", "starts"),
    [
        ("json", "application/json", "{"), ("html", "text/html", "<!doctype html>"),
        ("sarif", "application/sarif+json", "{"), ("junit", "application/xml", "<?xml"),
        ("csv", "text/csv", ""),
    ],
)  # fmt: skip
def test_reports_are_downloads(
    jobs: Jobs, anna: httpx.Client, form: str, kind: str, starts: str
) -> None:
    job = put_audit(jobs, "user:anna@example.org")
    answer = anna.get(f"/trace-audit/report?id={job.job_id}&format={form}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.startswith(starts)


def test_the_html_report_hides_names_unless_they_are_asked_for(
    jobs: Jobs, anna: httpx.Client
) -> None:
    job = put_audit(jobs, "user:anna@example.org")
    path = f"/trace-audit/report?id={job.job_id}&format=html"
    assert "acme-insurance" not in anna.get(path).text
    assert "acme-insurance" in anna.get(f"{path}&show_names=true").text
    assert anna.get(f"{path}&show_names=perhaps").status_code == 400


def test_the_api_answers_with_the_audit(house: People) -> None:
    with house.process() as client:
        document = client.get("/api/v1/openapi.json").json()
        answer = client.post(
            "/api/v1/audit", params={"tenant_attribute": "app.customer", "full": "true"},
            content=traces(3),
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    route = document["paths"]["/api/v1/audit"]["post"]
    told = answer.json()
    schema = route["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(told, schema)
    jsonschema.validate(route["responses"]["200"]["content"]["application/json"]["example"], schema)
    assert told["calls"] == 3
    assert "multipart/form-data" in route["requestBody"]["content"]
    made = audit_of(answer.content, "the answer")
    assert made.inputs[0].source == "upload"
    assert SECRET not in answer.text


def test_the_api_takes_forms_and_formats(house: People) -> None:
    with house.process() as client:
        answer = client.post(
            "/api/v1/audit", params={"format": "html"}, data={"hash_names": "true"},
            files=[("files", ("a.jsonl", traces(1)))],
        )  # fmt: skip
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "a.jsonl" in answer.text
        assert "acme-insurance" not in answer.text


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("hash_name=true", b"{}", "hash_name"), ("ignore=A99", b"{}", "no rule"),
        ("format=pdf", b"{}", "pdf"), ("", b"", "no file came"), ("", b"rubbish", "no spans"),
        ("kind=nothing", b"{}", "nothing"),
    ],
)  # fmt: skip
def test_what_the_api_refuses(house: People, query: str, body: bytes, words: str) -> None:
    with house.process() as client:
        answer = client.post(f"/api/v1/audit?{query}", content=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]
    assert _uploads(house) == []


def test_an_audit_that_takes_too_long_is_ended(house: People, jobs: Jobs) -> None:
    jobs.limits = replace(DEFAULT, time_max_s=0.001)
    with house.process() as client:
        answer = client.post("/api/v1/audit", content=traces(1))
    assert answer.status_code == 504
    assert "the command has no such limit" in answer.json()["detail"]
