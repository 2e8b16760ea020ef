"""Traces of a small shop: a web request with a tenant, and a job that lost it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tollbook.audit.command import main
from tollbook.audit.findings import Advice, Finding, Hop, Mode, Severity, SpanRef
from tollbook.audit.read import InputRead, Trouble, Where
from tollbook.audit.report import AtRisk, Audit, Criterion, Defensibility

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START_NS = 1_795_000_000_000_000_000
"""In November 2026."""


def attribute(key: str, value: str | int) -> dict[str, Any]:
    told = {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}
    return {"key": key, "value": told}


def span(
    trace: int, number: int, parent: int | None, name: str, kind: int, **attributes: str | int
) -> dict[str, Any]:
    started_ns = START_NS + trace * 1_000_000_000 + number * 1_000_000
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace * 100 + number:016x}",
        "parentSpanId": "" if parent is None else f"{trace * 100 + parent:016x}",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(started_ns),
        "endTimeUnixNano": str(started_ns + 500_000),
        "attributes": [attribute(key.replace("__", "."), one) for key, one in attributes.items()],
    }


def request(service: str, scope: str, *spans: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", service)]},
                "scopeSpans": [{"scope": {"name": scope, "version": "1.0"}, "spans": list(spans)}],
            }
        ]
    }


def chat(trace: int, number: int, parent: int | None, **more: str | int) -> dict[str, Any]:
    told: dict[str, str | int] = {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "openai",
        "gen_ai__request__model": "gpt-4o-mini",
        "gen_ai__response__model": "gpt-4o-mini-2024-07-18",
        "gen_ai__response__id": f"chatcmpl-{trace}-{number}",
        "gen_ai__usage__input_tokens": 1000,
        "gen_ai__usage__output_tokens": 200,
        "server__address": "api.openai.com",
    }
    return span(trace, number, parent, "chat gpt-4o-mini", 3, **told, **more)


def lines(*requests: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in requests)


WEB = "opentelemetry.instrumentation.fastapi"
OPENAI = "opentelemetry.instrumentation.openai_v2"
CELERY = "opentelemetry.instrumentation.celery"

OWNED = lines(
    request("web", WEB, span(1, 1, None, "POST /ask", 2, tenant__id="acme")),
    request("web", OPENAI, chat(1, 2, 1, tenant__id="acme")),
)
LOST = lines(
    request("web", WEB, span(2, 1, None, "POST /report", 2, tenant__id="acme")),
    request("web", CELERY, span(2, 2, 1, "apply_async/report", 4, tenant__id="acme",
                                messaging__system="celery")),
    request("worker", CELERY, span(3, 1, None, "run/report", 5, messaging__system="celery",
                                   celery__task_name="report")),
    request("worker", OPENAI, chat(3, 2, 1)),
)  # fmt: skip


class Answer(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """One call with its owner, one without."""
    path = tmp_path / "traces.jsonl"
    path.write_text(OWNED + LOST, encoding="utf-8")
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """One call, with its owner."""
    path = tmp_path / "clean.jsonl"
    path.write_text(OWNED, encoding="utf-8")
    return path


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Answer]:
    """Run the command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def started(*arguments: str | Path, stdin: bytes | None = None) -> Answer:
        if stdin is not None:
            buffer = io.BufferedReader(io.BytesIO(stdin))
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(buffer, encoding="utf-8"))
        code = main([str(one) for one in arguments])
        told = capsys.readouterr()
        return Answer(code, told.out, told.err)

    return started


@pytest.fixture
def sample() -> Audit:
    """A report with something of everything, and names that nobody should trust."""
    return made_audit()


def made_audit() -> Audit:
    seen = SpanRef(
        "1" * 32, "1" * 16, "POST /ask", "web", WEB, "traces/with space.jsonl", 12
    )  # fmt: skip
    missing = SpanRef(
        "1" * 32, "2" * 16, "agent chat", "agents", OPENAI, "traces/with space.jsonl", 14
    )
    hostile = SpanRef(
        "3" * 32,
        "3" * 16,
        "x\x1b[2J\r\n\u202eevil <b> ]]> \ud800",
        "=cmd|' /C calc'!A0",
        "",
        "/tmp/é.jsonl",
    )
    fix = Advice(
        "Let baggage travel", "Both sides need it.", "bash",
        "OTEL_PROPAGATORS=tracecontext,baggage",
        "https://example.org/page", "import tollbook",
    )  # fmt: skip
    findings = (
        Finding(
            finding_id="aaaaaaaaaaaa", mode=Mode.HEADER_STRIPPING, rule="A01",
            severity=Severity.ERROR, title="agents does not read the tenant",
            evidence=(missing, seen),
            hits=40, traces=30, calls=40, cost_pico=12_340_000_000_000, unpriced_calls=3,
            hop=Hop(seen, missing, "http"), is_cause=True, framework="httpx", fix=fix,
            score_after=815,
        ),
        Finding(
            finding_id="bbbbbbbbbbbb", mode=Mode.DOUBLE_COUNTING, rule="A06",
            severity=Severity.WARNING, title="sums count calls twice", evidence=(hostile,), hits=1,
            traces=1, calls=2, cost_pico=0, factor_millis=2000,
        ),
        Finding(
            finding_id="cccccccccccc", mode=Mode.SAMPLING, rule="A14", severity=Severity.NOTE,
            title="-1 of the traces were kept", evidence=(), hits=1, traces=1, calls=0, cost_pico=0,
        ),
    )  # fmt: skip
    totals = Defensibility(
        score_millis=412, formula="sum of weights over calls",
        criteria=(
            Criterion(
                name="owner", title="Tenant or team", weight_millis=250, calls=10, cost_pico=9
            ),
        ),
        calls=50, defensible_calls=8, cost_pico=20_000_000_000_000, unpriced_calls=3,
        at_risk_pico=12_340_000_000_000,
        at_risk=(
            AtRisk(
                cause="header-stripping", title="Identity headers stripped", calls=40,
                cost_pico=12_340_000_000_000, unpriced_calls=3,
            ),
        ),
    )  # fmt: skip
    return Audit(
        version="1.2.3", made_at="2026-11-22T00:00:00+00:00",
        inputs=(
            InputRead(
                source="traces/with space.jsonl", format="otlp-jsonl", compression="gzip",
                size_bytes=2048, read_bytes=2048, records=10, spans=100, content_dropped=7,
                troubles=9,
            ),
        ),
        troubles=(
            Trouble(Where("traces/with space.jsonl", 3), "not JSON: \x1b[31mred", 1),
            Trouble(Where("-", None, 77), "cut off"),
        ),
        spans=100, traces=31, calls=50, wrappers=2, first_at_ns=START_NS, last_at_ns=START_NS,
        instrumentations={OPENAI: 50}, services={"web": 10, "agents": 40}, findings=findings,
        defensibility=totals, ignored=("A20",), privacy="Content was dropped.",
        prices="list prices",
    )  # fmt: skip


def empty_audit(*, spans: int = 0) -> Audit:
    """A report on nothing."""
    totals = Defensibility(
        score_millis=0, formula="", criteria=(), calls=0, defensible_calls=0, cost_pico=0,
        unpriced_calls=0, at_risk_pico=0, at_risk=(),
    )  # fmt: skip
    return Audit(
        version="1.2.3", made_at="2026-11-22T00:00:00+00:00",
        inputs=(InputRead(source="a.json", format="otlp-json", size_bytes=2, spans=spans),),
        troubles=(), spans=spans, traces=spans, calls=0, wrappers=0, first_at_ns=0, last_at_ns=0,
        instrumentations={}, services={"web": spans} if spans else {}, findings=(),
        defensibility=totals,
    )  # fmt: skip


@pytest.fixture
def empty() -> Audit:
    """Nothing was read."""
    return empty_audit()


@pytest.fixture
def without_calls() -> Audit:
    """Spans were read, and none is a call."""
    return empty_audit(spans=6)
