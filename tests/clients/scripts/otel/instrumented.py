"""Calls of the official clients under one instrumentation, exported as spans.

``instrumented.py DIALECT PROVIDERS_URL OTLP_URL``: each call stands below a span of its own, whose
attribute ``case`` names it, so that what its instrumentation told can be held against what the
provider did.
"""

# ruff: noqa: PLC0415 -- each dialect imports its own packages only
# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import anthropic
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-sim-provider"
TEXT = [{"role": "user", "content": "Say something short."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
GPT = "gpt-4o-mini"
THINKER = "gpt-5-mini"
CLAUDE = "claude-haiku-4-5"


def provider_to(otlp_url: str) -> TracerProvider:
    """Return a tracer provider that sends each span when it ends."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": "shop", "deployment.environment.name": "staging"})
    )
    exporter = OTLPSpanExporter(endpoint=f"{otlp_url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


@contextlib.contextmanager
def case(name: str) -> Iterator[dict[str, str]]:
    """Name one call, and give the headers that tell the provider which one it is."""
    with trace.get_tracer("cases").start_as_current_span("case", attributes={"case": name}):
        yield {"x-sim-request-id": name}


def sized(headers: dict[str, str], size: str) -> dict[str, str]:
    """Ask the provider for exact counts."""
    return {**headers, "x-sim-size": size}


def openai_calls(client: Any) -> None:
    """Ask once in every way that tells usage differently."""
    with case("chat") as headers:
        client.chat.completions.create(
            model=GPT, messages=TEXT,
            extra_headers=sized(headers, "input=1500;cache_read=1024;output=40"),
        )  # fmt: skip
    with case("chat-stream") as headers:
        for _ in client.chat.completions.create(
            model=GPT, messages=TEXT, stream=True, stream_options={"include_usage": True},
            extra_headers=sized(headers, "input=300;output=30"),
        ):  # fmt: skip
            pass
    with case("chat-reasoning") as headers:
        client.chat.completions.create(
            model=THINKER, messages=TEXT,
            extra_headers=sized(headers, "input=200;output=120;reasoning=80"),
        )  # fmt: skip
    with case("chat-tools") as headers:
        client.chat.completions.create(
            model=GPT, messages=TEXT, tools=[TOOL],
            extra_headers=sized(headers, "input=250;output=25"),
        )  # fmt: skip
    with case("responses") as headers:
        client.responses.create(
            model=GPT, input="Say something short.",
            extra_headers=sized(headers, "input=1400;cache_read=1280;output=35"),
        )  # fmt: skip
    with case("embeddings") as headers:
        client.embeddings.create(
            model="text-embedding-3-small", input=["a text", "another"], extra_headers=headers
        )
    with case("chat-error") as headers, contextlib.suppress(Exception):
        client.chat.completions.create(
            model=GPT, messages=TEXT, extra_headers={**headers, "x-sim-fault": "server_error"}
        )


def anthropic_calls(client: Any) -> None:
    """Ask with more and with less in the cache than beside it."""
    asked: dict[str, Any] = {"model": CLAUDE, "max_tokens": 500, "messages": TEXT}
    with case("claude") as headers:
        client.messages.create(**asked, extra_headers=sized(headers, "input=120;output=40"))
    with case("claude-cached") as headers:
        client.messages.create(
            **asked,
            extra_headers=sized(headers, "input=5000;cache_read=4000;cache_write_5m=500;output=40"),
        )
    with case("claude-little-cached") as headers:
        client.messages.create(
            **asked, extra_headers=sized(headers, "input=5000;cache_read=1100;output=40")
        )
    with case("claude-hour") as headers:
        client.messages.create(
            **asked, extra_headers=sized(headers, "input=3000;cache_write_1h=1200;output=20")
        )
    with case("claude-stream") as headers, client.messages.stream(
        **asked, extra_headers=sized(headers, "input=2400;cache_read=1100;output=30")
    ) as stream:  # fmt: skip
        for _ in stream:
            pass
    with case("claude-create-stream") as headers:
        for _ in client.messages.create(
            **asked,
            stream=True,
            extra_headers=sized(headers, "input=2400;cache_read=1100;output=30"),
        ):
            pass


def both(url: str) -> None:
    """Ask both providers with their official clients."""
    import openai

    openai_calls(openai.OpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0))
    anthropic_calls(anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0))


def genai(url: str, otlp_url: str) -> None:
    """OpenTelemetry's own instrumentations."""
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    provider = provider_to(otlp_url)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    AnthropicInstrumentor().instrument(tracer_provider=provider)
    both(url)


def openllmetry(url: str, otlp_url: str) -> None:
    """Traceloop's OpenLLMetry."""
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    provider = provider_to(otlp_url)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    AnthropicInstrumentor().instrument(tracer_provider=provider)
    both(url)


def langchain(url: str, otlp_url: str) -> None:
    """OpenLLMetry on LangChain and on the client below it: both tell of each call."""
    from langchain_openai import ChatOpenAI
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    provider = provider_to(otlp_url)
    LangchainInstrumentor().instrument(tracer_provider=provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    chat: Any = ChatOpenAI
    for name, size in (("langchain", "input=1500;cache_read=1024;output=40"),):
        with case(name) as headers:
            model = chat(
                model=GPT, base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0,
                default_headers=sized(headers, size),
            )  # fmt: skip
            model.invoke(
                "Say something short.", config={"metadata": {"tenant_id": "acme", "user_id": "u-1"}}
            )


def openinference(url: str, otlp_url: str) -> None:
    """OpenInference on OpenAI's client."""
    import openai
    from openinference.instrumentation import using_attributes
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider_to(otlp_url))
    with using_attributes(
        user_id="u-1", session_id="s-1", metadata={"tenant_id": "acme", "plan": "gold"}
    ):
        openai_calls(openai.OpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0))


def openinference_anthropic(url: str, otlp_url: str) -> None:
    """OpenInference on Anthropic's client, of a version that others do not take yet."""
    from openinference.instrumentation import using_attributes
    from openinference.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=provider_to(otlp_url))
    client = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0)
    with using_attributes(user_id="u-1", metadata={"tenant_id": "acme"}):
        anthropic_calls(client)


def openlit(url: str, otlp_url: str) -> None:
    """OpenLIT."""
    import openlit as lit

    provider_to(otlp_url)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as prices:
        json.dump({"chat": {GPT: {"promptPrice": 0.00015, "completionPrice": 0.0006}}}, prices)
        prices.flush()
        lit.init(
            environment="staging", application_name="shop", disable_metrics=True,
            disable_events=True, pricing_json=prices.name,
            custom_span_attributes={"tenant.id": "acme"},
        )  # fmt: skip
    both(url)


def langfuse(url: str, otlp_url: str) -> None:
    """Langfuse's client, its wrapper of OpenAI's, and a generation by hand."""
    from langfuse import Langfuse, propagate_attributes
    from langfuse.openai import openai as wrapped

    client = Langfuse(
        public_key="pk-lf-1", secret_key="sk-lf-1", base_url=otlp_url, environment="staging",
        should_export_span=lambda _: True,
    )  # fmt: skip
    with propagate_attributes(
        user_id="u-1", session_id="s-1", metadata={"tenant_id": "acme"}, tags=["beta"]
    ):
        openai_calls(wrapped.OpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0))
        with case("claude-cached") as headers, client.start_as_current_observation(
            name="by-hand", as_type="generation", model=CLAUDE
        ) as generation:  # fmt: skip
            raw = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0)
            size = "input=5000;cache_read=4000;cache_write_5m=500;output=40"
            answer = raw.messages.create(
                model=CLAUDE, max_tokens=500, messages=TEXT,  # type: ignore[arg-type]
                extra_headers=sized(headers, size),
            )  # fmt: skip
            used = answer.usage
            generation.update(
                usage_details={
                    "input": used.input_tokens,
                    "output": used.output_tokens,
                    "cache_read_input_tokens": used.cache_read_input_tokens or 0,
                    "cache_creation_input_tokens": used.cache_creation_input_tokens or 0,
                }
            )
    client.flush()


def logfire(url: str, otlp_url: str) -> None:
    """Logfire's instrumentations of the official clients."""
    import logfire as fire

    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{otlp_url}/v1/traces"
    fire.configure(send_to_logfire=False, console=False, service_name="shop", environment="staging")
    fire.instrument_openai()
    fire.instrument_anthropic()
    with fire.set_baggage(**{"tenant.id": "acme"}):
        both(url)
    fire.force_flush()


def pydantic_ai(url: str, otlp_url: str) -> None:
    """Agents of Pydantic AI, which tell of each call and of the whole run."""
    import openai
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    provider_to(otlp_url)
    Agent.instrument_all()
    claude = anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0)
    gpt = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0)
    models: dict[str, Callable[[], Any]] = {
        "agent": lambda: OpenAIChatModel(GPT, provider=OpenAIProvider(openai_client=gpt)),
        "claude-agent": lambda: AnthropicModel(
            CLAUDE, provider=AnthropicProvider(anthropic_client=claude)
        ),
    }
    sizes = {
        "agent": "input=1500;cache_read=1024;output=40",
        "claude-agent": "input=5000;cache_read=1100;cache_write_1h=600;output=40",
    }
    for name, model in models.items():
        with case(name) as headers:
            agent = Agent(model(), metadata={"tenant_id": "acme"})
            settings: Any = {"extra_headers": sized(headers, sizes[name])}
            agent.run_sync("Say something short.", model_settings=settings)


def litellm(url: str, otlp_url: str) -> None:
    """LiteLLM as a library, with its OpenTelemetry callback."""
    import litellm as lite
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
    from litellm.litellm_core_utils.thread_pool_executor import executor

    os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"  # else it writes on the span around it
    provider = provider_to(otlp_url)
    config = OpenTelemetryConfig(exporter="otlp_http", endpoint=f"{otlp_url}/v1/traces")
    lite.callbacks = [OpenTelemetry(config=config, tracer_provider=provider)]
    base: dict[str, Any] = {"api_key": KEY, "messages": TEXT, "max_retries": 0}
    base["user"] = "u-1"
    gpt = {**base, "model": f"openai/{GPT}", "api_base": f"{url}/openai/v1"}
    claude = {**base, "model": f"anthropic/{CLAUDE}", "api_base": f"{url}/anthropic"}

    def metadata() -> dict[str, Any]:
        return {"tenant_id": "acme"}  # new for each call: LiteLLM marks it as done with

    with case("chat") as headers:
        lite.completion(
            **gpt, metadata=metadata(),
            extra_headers=sized(headers, "input=1500;cache_read=1024;output=40"),
        )  # fmt: skip
    with case("chat-stream") as headers:
        for _ in lite.completion(
            **gpt, metadata=metadata(), stream=True, stream_options={"include_usage": True},
            extra_headers=sized(headers, "input=300;output=30"),
        ):  # fmt: skip
            pass
    for name, size in (
        ("claude", "input=120;output=40"),
        ("claude-cached", "input=5000;cache_read=4000;cache_write_5m=500;output=40"),
        ("claude-little-cached", "input=5000;cache_read=1100;output=40"),
        ("claude-hour", "input=3000;cache_write_1h=1200;output=20"),
    ):
        with case(name) as headers:
            lite.completion(**claude, metadata=metadata(), extra_headers=sized(headers, size))
    with case("embeddings") as headers:
        lite.embedding(
            model="openai/text-embedding-3-small", input=["a text"], api_key=KEY,
            api_base=f"{url}/openai/v1", extra_headers=headers,
        )  # fmt: skip
    with case("chat-error") as headers, contextlib.suppress(Exception):
        lite.completion(**gpt, extra_headers={**headers, "x-sim-fault": "server_error"})
    executor.shutdown(wait=True)  # callbacks run in its threads


def main(dialect: str, url: str, otlp_url: str) -> None:
    """Run the calls of one dialect."""
    globals()[dialect](url, otlp_url)
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


main(*sys.argv[1:])
