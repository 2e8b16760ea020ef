"""A console that audits files, and files to hand to it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace
from tests.audit_html.made_audits import audit, sketch
from tests.people.people_kit import People, form_of, people

from tollbook.console.audits.jobs import Job, Jobs
from tollbook.console.audits.received import Received

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tollbook.audit.report import Audit
    from tollbook.console.audits.limits import Limits

SECRET = "words that were said to a model"
NS = 10**9


@contextmanager
def auditing(data_dir: Path, limits: Limits | None = None) -> Iterator[tuple[People, Jobs]]:
    """Serve a console, and yield its audits too."""
    with people(data_dir) as house:
        jobs: Jobs = house.app.state.audits
        if limits is not None:
            jobs.limits = limits
        try:
            yield house, jobs
        finally:
            jobs.close()


def _attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int)
         else {"stringValue": value}}
        for name, value in given.items()
    ]  # fmt: skip


def _span(
    trace: str, span_id: str, parent: str, name: str, kind: int, at_ns: int, **given: Any
) -> dict[str, Any]:
    return {
        "traceId": trace, "spanId": span_id, "parentSpanId": parent, "name": name, "kind": kind,
        "startTimeUnixNano": str(at_ns), "endTimeUnixNano": str(at_ns + NS // 2),
        "attributes": _attributes(given["attributes"]),
    }  # fmt: skip


def _of_service(service: str, scope: str, spans: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resource": {"attributes": _attributes({"service.name": service})},
        "scopeSpans": [{"scope": {"name": scope, "version": "1.0"}, "spans": spans}],
    }


def traces(number: int = 5, tenant: str = "acme-insurance") -> bytes:
    """Return OTLP JSONL of traces whose tenant is lost between a service and its worker."""
    lines = []
    for at in range(1, number + 1):
        trace, at_ns = f"{at:032x}", 1_763_000_000 * NS + at * NS
        whose = {"tenant.id": tenant}
        call = {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": f"chatcmpl-{at}", "gen_ai.usage.input_tokens": 1000 + at,
            "gen_ai.usage.output_tokens": 100, "gen_ai.input.messages": SECRET,
        }  # fmt: skip
        web = [
            _span(trace, "00000000000000a1", "", "POST /ask", 2, at_ns, attributes=whose),
            _span(trace, "00000000000000a2", "00000000000000a1", "publish summarise", 4,
                  at_ns + 10_000_000, attributes=whose | {"messaging.system": "celery"}),
        ]  # fmt: skip
        worker = [
            _span(trace, "00000000000000b1", "00000000000000a2", "run summarise", 5,
                  at_ns + 100_000_000, attributes={"messaging.system": "celery"}),
            _span(trace, "00000000000000b2", "00000000000000b1", "chat gpt-4o-mini", 3,
                  at_ns + 200_000_000, attributes=call),
        ]  # fmt: skip
        scope = "opentelemetry.instrumentation.celery"
        both = [_of_service("web", scope, web), _of_service("worker", scope, worker)]
        lines.append(msgspec.json.encode({"resourceSpans": both}))
    return b"\n".join(lines) + b"\n"


def hand_in(client: httpx.Client, files: dict[str, bytes], **fields: str) -> httpx.Response:
    """Send files as the form of the page does, with its token; redirects are not followed."""
    token = form_of(client, "/trace-audit").get("csrf_token", "")
    parts = [("files", (name, content)) for name, content in files.items()]
    return client.post(
        "/do/trace-audit", data={"csrf_token": token} | fields, files=parts,
        headers={"accept": "text/html", "origin": str(client.base_url).rstrip("/")},
    )  # fmt: skip


def finished(client: httpx.Client, location: str) -> httpx.Response:
    """Return the page of an audit once it is done."""
    for _ in range(600):
        answer = client.get(location, headers={"accept": "text/html"})
        if "data-refresh-s" not in answer.text:
            return answer
        time.sleep(0.05)
    raise AssertionError("the audit does not end")


def put_audit(jobs: Jobs, owner: str, made: Audit | None = None) -> Job:
    """Keep a report that was made by hand, as if somebody had handed its files in."""
    received = Received(["traces.jsonl"], [], 48_000_000)
    job = Job(owner, jobs.place(), received)
    done: Future[Audit] = Future()
    done.set_result(made if made is not None else some_audit())
    job.report = done
    jobs._jobs[job.job_id] = job
    return job


def some_audit(findings: int = 4) -> Audit:
    """Return a report; its third finding has no trace and no hop."""
    made = audit(findings)
    found = list(made.findings)
    found[2] = replace(found[2], hop=None, sketch=None, fix=None, score_after=None)
    found[3] = replace(found[3], sketch=replace(sketch(), left_out=0))
    return replace(made, findings=tuple(found))
