"""Traces of a small shop: a web request with a tenant, and a job that lost it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tollbook.audit.command import main

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

    def started(*arguments: str | Path, stdin: bytes | None = None) -> Answer:
        if stdin is not None:
            buffer = io.BufferedReader(io.BytesIO(stdin))
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(buffer, encoding="utf-8"))
        code = main([str(one) for one in arguments])
        told = capsys.readouterr()
        return Answer(code, told.out, told.err)

    return started
