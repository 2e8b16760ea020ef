"""Reports made by hand, so that what is drawn does not depend on what rules find."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tollbook.audit.findings import (
    Advice,
    Bar,
    Finding,
    Hop,
    Mode,
    Severity,
    Sketch,
    SpanRef,
)
from tollbook.audit.read import InputRead, Trouble, Where
from tollbook.audit.report import AtRisk, Audit, Criterion, Defensibility

USD = 10**12
TENANTS = ("acme-insurance", "globex", "initech")
FOLDER = "/srv/exports/of-the-week"
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SNIPPET = """from opentelemetry import baggage, context
from celery.signals import before_task_publish

@before_task_publish.connect
def carry(headers=None, **_):
    propagate.inject(headers)  # traceparent and baggage, which the worker takes up again from here
"""


def ref(number: int, name: str, service: str = "web", **more: Any) -> SpanRef:
    """Return a span as evidence."""
    given: dict[str, Any] = {
        "scope": "opentelemetry.instrumentation.celery", "source": f"{FOLDER}/traces.jsonl",
        "line": number,
    }  # fmt: skip
    return SpanRef(_TRACE, f"{number:016x}", name, service, **(given | more))


def sketch() -> Sketch:
    """Return a trace that loses its tenant in a queue."""
    bars = (
        Bar("a1", "POST /claims/{id}/summary", "web", 0, 0, 840_000, TENANTS[0]),
        Bar("a2", "check quota", "web", 1, 4_000, 9_000, TENANTS[0]),
        Bar("a3", "celery.publish summarise", "web", 1, 15_000, 6_000, TENANTS[0],
            mark="last-seen"),
        Bar("a4", "celery.run summarise", "worker", 2, 120_000, 700_000, None,
            mark="first-missing"),
        Bar("a5", "retrieve passages", "worker", 3, 130_000, 90_000, None),
        Bar("a6", "embeddings text-embedding-3-small", "worker", 4, 132_000, 60_000, None, True,
            "affected"),
        Bar("a7", "chat gpt-5-mini", "worker", 3, 240_000, 520_000, None, True, "affected"),
    )  # fmt: skip
    return Sketch(_TRACE, bars, left_out=12)


def finding(number: int = 0, **changes: Any) -> Finding:
    """Return a finding; each number is another one."""
    modes = tuple(Mode)
    severities = tuple(Severity)
    made = Finding(
        finding_id=f"{number:012x}", mode=modes[(number + 2) % len(modes)],
        rule=f"A{number % 20 + 1:02}", severity=severities[number // 3 % 3],
        title=f"Calls of worker started by web have no tenant (task summarise, place {number})",
        evidence=tuple(ref(40 + at, "chat gpt-5-mini", "worker") for at in range(5)),
        hits=214, traces=97, calls=214, cost_pico=3 * USD + number * 17 * USD // 100,
        unpriced_calls=number % 4,
        hop=Hop(ref(12, "celery.publish summarise"), ref(31, "celery.run summarise", "worker"),
                "queue"),
        is_cause=True, framework="celery", sketch=sketch(), score_after=812,
        fix=Advice(
            "Send baggage along with the task",
            "The task starts a trace of its own context: the publisher's baggage is not put into "
            "the headers of the message.", "python", _SNIPPET, "https://example.org/a/page/of/the/documentation/that/has/a/long/name.md#celery",
            with_tollbook="from tollbook.sdk import install\n\ninstall('celery')\n",
        ),
    )  # fmt: skip
    return replace(made, **changes)


def criterion(name: str, title: str, weight_millis: int, calls: int) -> Criterion:
    """Return a criterion."""
    return Criterion(name=name, title=title, weight_millis=weight_millis, calls=calls, cost_pico=0)


def defensibility(**changes: Any) -> Defensibility:
    """Return a score with its parts."""
    criteria = (
        criterion("owner", "A tenant or a team", 350, 1204 - 431),
        criterion("request_id", "The provider's request id", 150, 988),
        criterion("model_actual", "The model that answered", 150, 1204),
        criterion("token_kinds", "Tokens by kind", 150, 1100),
        criterion("price", "A price card with a version", 100, 1191),
        criterion("retries", "Marks of retries and fallbacks", 100, 402),
    )
    at_risk = (
        AtRisk(cause="background-jobs", title="Background jobs and workers", calls=214,
               cost_pico=8 * USD + 420_000_000_000, unpriced_calls=0),
        AtRisk(cause="header-stripping", title="Identity headers stripped", calls=120,
               cost_pico=2 * USD, unpriced_calls=3),
        AtRisk(cause="streaming", title="Streaming", calls=97, cost_pico=0, unpriced_calls=97),
        AtRisk(cause="request_id", title="No request id of the provider", calls=31,
               cost_pico=USD // 3, unpriced_calls=0),
    )  # fmt: skip
    made = Defensibility(
        score_millis=734,
        formula="Each call has the weights of what it has; the score is the mean over all calls.",
        criteria=criteria, calls=1204, defensible_calls=388, cost_pico=41 * USD + 7,
        unpriced_calls=100, at_risk_pico=sum(one.cost_pico for one in at_risk), at_risk=at_risk,
    )  # fmt: skip
    return replace(made, **changes)


def audit(number: int = 3, **changes: Any) -> Audit:
    """Return a report with so many findings."""
    inputs = (
        InputRead(source=f"{FOLDER}/traces.jsonl", format="otlp-jsonl", size_bytes=48_123_456,
                  read_bytes=48_123_456, records=2210, spans=9841, content_dropped=4312,
                  troubles=2),
        InputRead(source=f"{FOLDER}/litellm.csv.gz", format="litellm", compression="gzip",
                  size_bytes=812_000, records=640, spans=640),
    )  # fmt: skip
    troubles = (
        Trouble(Where(f"{FOLDER}/traces.jsonl", 1871), "the line ends inside a string", 1),
        Trouble(Where(f"{FOLDER}/traces.jsonl", None, 48_123_000), "the file ends inside a record"),
    )
    made = Audit(
        version="0.7.0", made_at="2026-11-22T00:00:00+00:00", inputs=inputs, troubles=troubles,
        spans=10_481, traces=1877, calls=1204, wrappers=88,
        first_at_ns=1_763_000_000_000_000_000, last_at_ns=1_763_600_000_000_000_000,
        instrumentations={"opentelemetry.instrumentation.openai_v2 2.4b0": 900, "litellm": 304},
        services={"worker": 640, "web": 300, "gateway": 264},
        unowned_services={"worker": 311, "gateway": 120},
        findings=tuple(finding(one) for one in range(number)), defensibility=defensibility(),
        ignored=("A14",), privacy="Attributes with content were dropped on reading.",
        prices="genai-prices 0.2.3 of 2026-11-14",
    )  # fmt: skip
    return replace(made, **changes)
