"""Advice on usage: counted once, of the right kinds, by the model that answered."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_DOUBLE: Final = Mode.DOUBLE_COUNTING.value
_RETRIES: Final = Mode.RETRIES.value
_KINDS: Final = Mode.TOKEN_KINDS.value
_MODEL: Final = Mode.MODEL_UNKNOWN.value

_KINDS_APART: Final = advice(
    "Record each kind of token by its own attribute",
    "Kinds differ in price by ten times and more: input includes what was read from and written to "
    "a cache, output includes reasoning, and each part has a name of its own.",
    """
    from opentelemetry import trace


    def tell(span: trace.Span, usage) -> None:  # an answer of OpenAI's Responses API
        span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        cached = usage.input_tokens_details.cached_tokens
        span.set_attribute("gen_ai.usage.cache_read.input_tokens", cached)
        reasoning = usage.output_tokens_details.reasoning_tokens
        span.set_attribute("gen_ai.usage.reasoning.output_tokens", reasoning)
    """,
    page="otlp/genai.md",
    tollbook="""
    import openai

    import tollbook

    client = tollbook.wrap(openai.OpenAI())  # keeps the provider's own usage, byte for byte
    """,
)

_ONE_LAYER: Final = advice(
    "Sum up calls, not the spans that sum them up",
    "A wrapper's span (an agent, a chain, ai.generateText) tells the same tokens as the calls "
    "below it: a sum over all spans counts them twice.",
    """
    processors:
      transform/leaves:
        trace_statements:
          - context: span
            conditions:
              - attributes["gen_ai.operation.name"] == "invoke_agent"
            statements:
              - delete_key(attributes, "gen_ai.usage.input_tokens")
              - delete_key(attributes, "gen_ai.usage.output_tokens")
    """,
    "yaml",
    page="otlp/README.md",
)

_ONE_TELLS: Final = advice(
    "Let one layer tell of each call",
    "Two instrumentations, or a client and a gateway, tell of the same answer: keep the one "
    "nearest to the provider, or join them by the answer's id.",
    """
    # leave one of the instrumentations out, by the name of its entry point
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai,langchain
    """,
    "bash",
    page="stitching.md",
)

ADVICE: Final[Book] = {
    (_DOUBLE, ""): _ONE_LAYER,
    ("A07", ""): _ONE_TELLS,
    # Two instrumentations of one client are no wrapper and its calls.
    ("A06", "openai"): _ONE_TELLS,
    ("A06", "anthropic"): _ONE_TELLS,
    ("A06", "bedrock"): _ONE_TELLS,
    ("A06", "google-genai"): _ONE_TELLS,
    ("A06", "cohere"): _ONE_TELLS,
    ("A06", "mistral"): _ONE_TELLS,
    ("A20", ""): advice(
        "Do not sum up spans that fetch an answer again",
        "Fetching a stored answer tells its usage once more and costs nothing.",
        """
        processors:
          transform/fetched:
            trace_statements:
              - context: span
                conditions:
                  - attributes["gen_ai.operation.name"] == "fetch_response"
                statements:
                  - delete_key(attributes, "gen_ai.usage.input_tokens")
                  - delete_key(attributes, "gen_ai.usage.output_tokens")
        """,
        "yaml",
        page="otlp/README.md",
    ),
    (_DOUBLE, "vercel-ai"): advice(
        "Sum up doGenerate and doStream, not the spans above them",
        "ai.generateText and ai.streamText tell the sum of the steps below them.",
        """
        processors:
          transform/leaves:
            trace_statements:
              - context: span
                conditions:
                  - IsMatch(name, "^ai\\\\.(generate|stream)(Text|Object)$")
                statements:
                  - delete_matching_keys(attributes, "^ai\\\\.usage\\\\.")
        """,
        "yaml",
        page="otlp/vercel.md",
    ),
    (_RETRIES, ""): advice(
        "Mark each attempt, and say which of them was billed",
        "An attempt that failed after tokens were made is billed by some providers; one that is "
        "not marked looks like another call.",
        """
        from opentelemetry import trace


        def attempts(call, retried: type[Exception], most: int = 3):
            tracer = trace.get_tracer("shop")
            for attempt in range(most):
                with tracer.start_as_current_span("chat") as span:
                    span.set_attribute("http.request.resend_count", attempt)
                    try:
                        return call()
                    except retried as error:
                        span.set_attribute("error.type", type(error).__name__)
                        if attempt == most - 1:
                            raise
        """,
        page="routing.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())  # every retry is an attempt of its own
        """,
    ),
    (_RETRIES, "openai"): advice(
        "Turn off the client's own retries where your code retries too",
        "Two loops around each other make up to nine requests of one, and only the outer one is "
        "seen in spans.",
        """
        from openai import OpenAI

        client = OpenAI(max_retries=0)  # retried by the caller, an attempt a span
        """,
        page="sdk/openai.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())
        """,
    ),
    (_RETRIES, "anthropic"): advice(
        "Turn off the client's own retries where your code retries too",
        "Two loops around each other make up to nine requests of one.",
        """
        from anthropic import Anthropic

        client = Anthropic(max_retries=0)
        """,
        page="sdk/anthropic.md",
    ),
    (_RETRIES, "langchain"): advice(
        "Retry in one place",
        "ChatOpenAI retries, and so do with_retry and the client below.",
        """
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(model="gpt-4o-mini", max_retries=0).with_retry(stop_after_attempt=3)
        """,
        page="routing.md",
    ),
    (_KINDS, ""): _KINDS_APART,
    ("A08", ""): advice(
        "Add cached tokens to input, as the convention has it",
        "Anthropic's input_tokens leaves out what was read from and written to the cache; "
        "gen_ai.usage.input_tokens includes both.",
        """
        from opentelemetry import trace


        def tell(span: trace.Span, usage) -> None:  # an answer of Anthropic's
            read = usage.cache_read_input_tokens or 0
            written = usage.cache_creation_input_tokens or 0
            span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens + read + written)
            span.set_attribute("gen_ai.usage.cache_read.input_tokens", read)
            span.set_attribute("gen_ai.usage.cache_creation.input_tokens", written)
            span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        """,
        page="otlp/genai.md",
    ),
    ("A10", ""): advice(
        "Sum up the iterations of the answer",
        "Compaction and advisor models are billed in usage.iterations, which the top level leaves "
        "out.",
        """
        def output_tokens(usage: dict) -> int:
            parts = usage.get("iterations") or [usage]
            return sum(part.get("output_tokens", 0) for part in parts)
        """,
        page="providers.md",
    ),
    ("A26", "vercel-ai"): advice(
        "Update the AI SDK to version 6 or later",
        "Version 5 does not tell of cached tokens of OpenAI on its spans.",
        """
        npm install ai@^6 @ai-sdk/openai@latest
        """,
        "bash",
        page="otlp/vercel.md",
    ),
    (_MODEL, ""): advice(
        "Record the model that answered",
        "A router, a fallback or an alias answers with another model than was asked for, at "
        "another price; the answer names it.",
        """
        from opentelemetry import trace


        def tell(span: trace.Span, requested: str, answer) -> None:
            span.set_attribute("gen_ai.request.model", requested)
            span.set_attribute("gen_ai.response.model", answer.model)
            span.set_attribute("gen_ai.response.id", answer.id)
        """,
        page="otlp/genai.md",
    ),
    (_MODEL, "litellm-proxy"): advice(
        "Map your names of models to the providers' own",
        "Spans and logs of the proxy carry the name that callers use; base_model says which model "
        "it is.",
        """
        model_list:
          - model_name: smart
            litellm_params:
              model: azure/my-deployment
            model_info:
              base_model: azure/gpt-4o-2024-08-06
        """,
        "yaml",
        page="otlp/litellm.md",
    ),
    ("A29", ""): advice(
        "Add a price for the model, or record the provider's own name of it",
        "The model is in no price list under this name: a fine-tune, a deployment or a model of "
        "one's own.",
        """
        # the name that the provider's answer has, not the deployment's
        gen_ai.response.model = "gpt-4o-2024-08-06"
        """,
        "text",
        page="prices.md",
        tollbook="""
        # tollbook.toml, and: tollbook audit traces.jsonl --config tollbook.toml
        [[prices]]
        provider = "openai"
        model = "my-deployment*"
        effective_from = "2026-01-01"
        input = 2.5
        output = 10
        """,
        tollbook_language="toml",
    ),
}
