"""Traces of a product with calls to models, as the Collector's file exporter writes them.

One span in five is a call to a model. The others are what surrounds one: the request, its handler,
queries, an HTTP client. Text is written on some calls, since some instrumentations do.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TRACES_PER_LINE = 10
SPANS_PER_TRACE = 10
_BLOCK_TRACES = 5000
_START_NS = 1_790_000_000_000_000_000
_PROMPT = "You are a support assistant. Answer with what the documents say, and name them. \n" * 12


def write(path: Path, size_bytes: int, *, seed: int = 7) -> int:
    """Write at least so many bytes of OTLP JSON lines, and return how many spans they hold."""
    chance = random.Random(seed)
    block = [_line(chance) for _ in range(_BLOCK_TRACES // TRACES_PER_LINE)]
    written = spans = at = 0
    with path.open("wb") as file:
        while written < size_bytes:
            # Ids differ throughout: what is grouped by them is the work that is measured.
            line = _numbered(block[at % len(block)], at // len(block))
            written += file.write(line)
            spans += TRACES_PER_LINE * SPANS_PER_TRACE
            at += 1
    return spans


def _numbered(line: bytes, turn: int) -> bytes:
    return line.replace(b'"traceId":"00000000', b'"traceId":"%08x' % (turn + 1))


def _line(chance: random.Random) -> bytes:
    traces = [_trace(chance) for _ in range(TRACES_PER_LINE)]
    web = [one for trace in traces for one in trace[0]]
    worker = [one for trace in traces for one in trace[1]]
    told = {"resourceSpans": [_resource("web", web), _resource("worker", worker)]}
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _resource(service: str, by_scope: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    scopes: dict[str, list[dict[str, Any]]] = {}
    for scope, span in by_scope:
        scopes.setdefault(scope, []).append(span)
    return {
        "resource": {
            "attributes": _pairs(
                {
                    "service.name": service,
                    "service.version": "4.2.0",
                    "deployment.environment.name": "production",
                    "telemetry.sdk.language": "python",
                    "telemetry.sdk.name": "opentelemetry",
                    "k8s.pod.name": f"{service}-7d9f5c",
                }
            )
        },
        "scopeSpans": [
            {"scope": {"name": scope, "version": "0.66b2"}, "spans": spans}
            for scope, spans in scopes.items()
        ],
        "schemaUrl": "https://opentelemetry.io/schemas/1.40.0",
    }


def _trace(
    chance: random.Random,
) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, dict[str, Any]]]]:
    trace_id = "00000000" + chance.randbytes(12).hex()
    tenant = f"tenant-{chance.randrange(200)}"
    has_tenant = chance.random() < 0.8
    owner = {"tenant.id": tenant, "user.id": f"u{chance.randrange(9999)}"} if has_tenant else {}
    at = _START_NS + chance.randrange(10**15)
    web: list[tuple[str, dict[str, Any]]] = []
    worker: list[tuple[str, dict[str, Any]]] = []

    def span(
        into: list[tuple[str, dict[str, Any]]],
        scope: str,
        name: str,
        kind: int,
        parent: str,
        attributes: dict[str, Any],
    ) -> str:
        nonlocal at
        span_id = chance.randbytes(8).hex()
        at += chance.randrange(1, 4_000_000)
        made = {
            "traceId": trace_id,
            "spanId": span_id,
            "parentSpanId": parent,
            "flags": 256,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(at),
            "endTimeUnixNano": str(at + chance.randrange(10**6, 10**9)),
            "attributes": _pairs(attributes),
            "status": {},
        }
        into.append((scope, made))
        return span_id

    server = span(web, "opentelemetry.instrumentation.fastapi", "POST /answer", 2, "", {
        "http.request.method": "POST", "url.path": "/answer", "url.scheme": "https",
        "http.route": "/answer", "http.response.status_code": 200, "server.address": "shop.example",
        "client.address": "10.0.0.7", "network.protocol.version": "1.1",
        "user_agent.original": "Mozilla/5.0", **owner,
    })  # fmt: skip
    handler = span(web, "shop.app", "answer", 1, server, {"shop.step": "answer", **owner})
    for table in ("users", "orders"):
        span(web, "opentelemetry.instrumentation.asyncpg", f"SELECT {table}", 3, handler, {
            "db.system": "postgresql", "db.name": "shop", "db.operation.name": "SELECT",
            "db.statement": f"SELECT * FROM {table} WHERE id = $1",
            "server.address": "db.internal", "server.port": 5432,
        })  # fmt: skip
    _call(span, chance, web, handler, owner)
    job = span(worker, "opentelemetry.instrumentation.celery", "run/summarise", 5, handler, {
        "messaging.system": "redis", "messaging.destination.name": "celery",
        "celery.task_name": "summarise", "celery.state": "SUCCESS", "celery.action": "run",
    })  # fmt: skip
    span(worker, "opentelemetry.instrumentation.redis", "GET", 3, job, {
        "db.system": "redis", "db.statement": "GET ?", "server.address": "cache.internal",
        "server.port": 6379, "db.redis.database_index": 0,
    })  # fmt: skip
    _call(span, chance, worker, job, owner if chance.random() < 0.5 else {})
    for _ in range(2):
        span(worker, "opentelemetry.instrumentation.httpx", "POST", 3, job, {
            "http.request.method": "POST", "url.full": "https://search.internal/v1/query",
            "server.address": "search.internal", "server.port": 443,
            "http.response.status_code": 200, "network.protocol.version": "1.1",
        })  # fmt: skip
    return web, worker


def _call(
    span: Any,
    chance: random.Random,
    into: list[tuple[str, dict[str, Any]]],
    parent: str,
    owner: dict[str, Any],
) -> None:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{chance.randbytes(9).hex()}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 800,
        "gen_ai.usage.input_tokens": chance.randrange(200, 9000),
        "gen_ai.usage.output_tokens": chance.randrange(10, 800),
        "gen_ai.usage.cache_read.input_tokens": chance.randrange(0, 128),
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_a1b2",
        "server.address": "api.openai.com",
        "server.port": 443,
        **owner,
    }
    if chance.random() < 0.3:
        attributes["gen_ai.input.messages"] = json.dumps([{"role": "system", "content": _PROMPT}])
    span(into, "opentelemetry.instrumentation.openai_v2", "chat gpt-4o-mini", 3, parent, attributes)


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": value}
