"""OpenTelemetry as the product has set it up: the tenant is baggage, and is copied to spans."""

# ruff: noqa: PLC0415 -- each instrumentation is in one of two environments only
# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from examples.corpus.program.truth import TruthProcessor

if TYPE_CHECKING:
    from examples.corpus.program.surroundings import Surroundings

IDENTITY: Final = ("tenant.id", "user.id", "tenant_id")
"""Keys of baggage."""


def start_telemetry(service: str, around: Surroundings) -> None:
    """Set it up once, at the start of a process."""
    start_provider(service, around)
    if service == "worker" and around.has("background-baggage"):
        set_global_textmap(TraceContextTextMapPropagator())
    if service != "web" or not around.has("background-jobs"):
        CeleryInstrumentor().instrument()
    if not around.has({"agent": "agent-recursion", "web": "streaming"}.get(service, "")):
        ThreadingInstrumentor().instrument()
    if around.has("baggage-third-party"):
        HTTPXClientInstrumentor().instrument()
    if around.has("gateway") and service != "gateway":
        return  # the gateway tells of the calls
    watch_models(around)
    if around.has("twice-told") and around.instrumentation == "opentelemetry":
        _openllmetry()
    if around.has("langchain"):
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor

        LangchainInstrumentor().instrument()


def start_provider(service: str, around: Surroundings) -> None:
    """Send the spans of this process to the collector."""
    atexit.register(_provider(service, around).force_flush)


def watch_models(around: Surroundings) -> None:
    """Make spans of calls to models, as the instrumentation in use does."""
    _INSTRUMENT[around.instrumentation]()


def watch_app(app: Any) -> None:
    """Make spans of the requests that an application serves."""
    FastAPIInstrumentor.instrument_app(app, excluded_urls="docs", exclude_spans=["receive", "send"])


def _provider(service: str, around: Surroundings) -> Any:
    exporter = OTLPSpanExporter(f"{around.otlp_url}/v1/traces")
    batches = BatchSpanProcessor(exporter, schedule_delay_millis=200)
    noting = TruthProcessor(Path(around.truth_dir) / f"{service}-{os.getpid()}.jsonl")
    if around.instrumentation == "logfire":
        import logfire

        logfire.configure(
            send_to_logfire=False, console=False, inspect_arguments=False, service_name=service,
            environment="production", distributed_tracing=True,
            additional_span_processors=[noting, batches],
        )  # fmt: skip
        return logfire
    resource = {"service.name": service, "deployment.environment.name": "production"}
    provider = TracerProvider(resource=Resource.create(resource))
    provider.add_span_processor(BaggageSpanProcessor(lambda key: key in IDENTITY))
    provider.add_span_processor(noting)
    provider.add_span_processor(batches)
    trace.set_tracer_provider(provider)
    return provider


def _opentelemetry() -> None:
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def _openllmetry() -> None:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.cohere import CohereInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()
    CohereInstrumentor().instrument()


def _openinference() -> None:
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def _logfire() -> None:
    import logfire

    logfire.instrument_openai()
    logfire.instrument_anthropic()


_INSTRUMENT: Final = {
    "opentelemetry": _opentelemetry,
    "openllmetry": _openllmetry,
    "openinference": _openinference,
    "logfire": _logfire,
}
