"""Spans as instrumentations write them, and audits of them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.engine import audit
from tollbook.audit.extract import Extractor
from tollbook.audit.findings import Mode, Severity
from tollbook.audit.pricing import NoPrices
from tollbook.audit.read import Batch, InputRead, Where
from tollbook.audit.rules.registry import rules_of
from tollbook.audit.settings import DEFAULT
from tollbook.audit.trace import Trace
from tollbook.capture.otlp.spans import Event, Link, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Finding, Hit
    from tollbook.audit.report import Audit
    from tollbook.audit.settings import AuditSettings

START_NS: Final = 1_790_000_000 * 10**9
MS: Final = 10**6
KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
HERE: Final = Where("made.jsonl", 1)


def trace_id(name: str) -> str:
    """Return the id of a trace that goes by a name."""
    return sha256(f"trace {name}".encode()).hexdigest()[:32]


def span_id(name: str) -> str:
    """Return the id of a span that goes by a name."""
    return sha256(f"span {name}".encode()).hexdigest()[:16]


def span(
    trace: str,
    key: str,
    parent: str | None = None,
    *,
    name: str | None = None,
    service: str = "web",
    kind: str = "internal",
    at: float = 0,
    ms: float = 100,
    tenant: str | None = None,
    scope: str = "product",
    links: Sequence[tuple[str, str]] = (),
    events: tuple[Event, ...] = (),
    tracestate: str = "",
    is_error: bool = False,
    resource: dict[str, Any] | None = None,
    **attributes: Any,
) -> Span:
    """Return a span; names of attributes have two underscores where a dot is meant."""
    said = {attribute.replace("__", "."): value for attribute, value in attributes.items()}
    if tenant is not None:
        said["tenant.id"] = tenant
    return Span(
        trace_id=trace_id(trace),
        span_id=span_id(key),
        parent_span_id=None if parent is None else span_id(parent),
        name=key if name is None else name,
        kind=KINDS[kind],
        started_at_ns=START_NS + int(at * MS),
        ended_at_ns=START_NS + int((at + ms) * MS),
        attributes=said,
        resource={"service.name": service} | (resource or {}),
        scope_name=scope,
        scope_version="1.0",
        is_error=is_error,
        links=tuple(Link(trace_id(one), span_id(other)) for one, other in links),
        events=events,
        tracestate=tracestate,
    )


def call(
    trace: str, key: str, parent: str | None = None, *, operation: str = "chat",
    model: str = "gpt-4.1", usage: tuple[int, int] | None = (100, 20), **more: Any,
) -> Span:  # fmt: skip
    """Return a call to a model, by the conventions of OpenTelemetry."""
    more.setdefault("scope", "opentelemetry.instrumentation.genai.openai")
    more.setdefault("kind", "client")
    more.setdefault("ms", 50)
    told: dict[str, Any] = {
        "gen_ai__operation__name": operation,
        "gen_ai__provider__name": "openai",
        "gen_ai__request__model": model,
        "gen_ai__response__model": model,
    }
    if usage is not None:
        told["gen_ai__usage__input_tokens"], told["gen_ai__usage__output_tokens"] = usage
    return span(trace, key, parent, name=more.pop("name", f"{operation} {model}"), **told, **more)


def stream(trace: str, key: str, parent: str | None = None, **more: Any) -> Span:
    """Return a call whose answer came bit by bit."""
    return call(trace, key, parent, gen_ai__request__stream=True, **more)


def server(trace: str, key: str, parent: str | None = None, **more: Any) -> Span:
    """Return the server's side of a request."""
    more.setdefault("http__request__method", "POST")
    more.setdefault("scope", "opentelemetry.instrumentation.fastapi")
    return span(trace, key, parent, kind="server", **more)


def client(trace: str, key: str, parent: str | None = None, *, url: str, **more: Any) -> Span:
    """Return the client's side of a request."""
    more.setdefault("http__request__method", "POST")
    more.setdefault("scope", "opentelemetry.instrumentation.httpx")
    return span(trace, key, parent, kind="client", url__full=url, **more)


class Made:
    """An input of spans that were made here."""

    def __init__(
        self, spans: Sequence[Span], *, chunk: int = 1000, has_traces: bool = True
    ) -> None:
        self.read = InputRead(source="made.jsonl")
        self._spans, self._chunk, self._has_traces = spans, chunk, has_traces

    def __iter__(self) -> Iterator[Batch]:
        """Yield them in parts."""
        for at in range(0, len(self._spans), self._chunk):
            part = self._spans[at : at + self._chunk]
            yield Batch(part, Where("made.jsonl", at + 1), self._has_traces)


def audited(spans: Iterable[Span], settings: AuditSettings = DEFAULT, **how: Any) -> Audit:
    """Return the audit of spans."""
    return audit([Made(list(spans), **how)], NoPrices(), settings)


def facts(spans: Iterable[Span], settings: AuditSettings = DEFAULT) -> list[SpanFact]:
    """Return what is kept of spans."""
    extractor, batch = Extractor(settings), Batch((), HERE)
    return [extractor.fact(one, 0, batch) for one in spans]


def trace_of(spans: Iterable[Span]) -> Trace:
    """Return spans as a trace."""
    return Trace(facts(spans))


def owner_findings(made: Audit) -> list[Finding]:
    """Return why calls have no owner."""
    return [one for one in made.findings if one.is_cause]


def only_cause(made: Audit) -> Finding:
    """Return why calls have no owner, where there is one reason."""
    (found,) = owner_findings(made)
    return found


def of_mode(made: Audit, mode: Mode) -> list[Finding]:
    """Return the findings of a mode."""
    return [one for one in made.findings if one.mode is mode]


def loud(made: Audit) -> list[tuple[str, str, str]]:
    """Return the findings on owners and streams that are more than notes."""
    return [
        (one.mode.value, one.rule, one.title)
        for one in made.findings
        if one.severity is not Severity.NOTE and one.rule in {"A01", "A02", "A05"}
    ]


def hop_of(found: Finding) -> tuple[str | None, str]:
    """Return a hop as ``service: name`` of both sides."""
    assert found.hop is not None
    last, first = found.hop.last_seen, found.hop.first_missing
    seen = None if last is None else f"{last.service}: {last.name}"
    return seen, f"{first.service}: {first.name}"


def causes_by_call(spans: Sequence[Span]) -> dict[str, list[Hit]]:
    """Return the causes of each call, as the rules tell them one trace after the other."""
    grouped: dict[str, list[SpanFact]] = {}
    for fact in facts(spans):
        grouped.setdefault(fact.trace_id, []).append(fact)
    within, across, never = rules_of(DEFAULT)[:3]
    hits: list[Hit] = []
    keyed: dict[str, list[SpanFact]] = {}
    for some in grouped.values():
        trace = Trace(some)
        hits += [one for one in within.check(trace) if one.is_cause]
        never.observe(trace)
        for key, fact in across.keys(trace):
            keyed.setdefault(key, []).append(fact)
    for key, some in keyed.items():
        some.sort(key=lambda one: (one.started_at_ns, one.ref))
        hits += across.check_group(key, some)
    hits += never.finish()
    found: dict[str, list[Hit]] = {}
    for hit in hits:
        found.setdefault(hit.span, []).append(hit)
    return found
