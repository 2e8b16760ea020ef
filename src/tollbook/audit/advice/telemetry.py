"""Advice on telemetry itself: sampling, lost spans, clocks, metrics without traces."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_FIND_LOST: Final = advice(
    "Find out where spans are lost",
    "Queues that overflow drop spans, and a process that ends without a flush takes its last "
    "ones along; what is above a call cannot be seen then.",
    """
    # in the environment of the service; and call provider.shutdown() before it ends
    OTEL_BSP_MAX_QUEUE_SIZE=16384
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2048
    OTEL_ATTRIBUTE_COUNT_LIMIT=256
    """,
    "bash",
    page="otlp/README.md",
)
_MISSING_PARENT: Final = advice(
    "Bring back the spans that are missing above the call",
    "The call names a parent that was not exported, and who pays may be on it: look for what was "
    "dropped, sampled away or never instrumented between the two, and export it too.",
    """
    # in the environment of both services; and call provider.shutdown() before they end
    OTEL_TRACES_SAMPLER=parentbased_always_on
    OTEL_BSP_MAX_QUEUE_SIZE=16384
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2048
    """,
    "bash",
    page="otlp/README.md",
)
ADVICE: Final[Book] = {
    (Mode.MISSING_TENANT.value, "hole"): _MISSING_PARENT,
    (Mode.TRACE_DAMAGE.value, ""): _FIND_LOST,
    ("A22", ""): advice(
        "Instrument the client",
        "The request to the provider is seen and nothing tells what it used: without a span of the "
        "call there are no tokens, no model and no answer's id, and its cost is in no sum.",
        """
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()  # before the first client is made
        """,
        page="otlp/README.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())
        """,
    ),
    (Mode.SAMPLING.value, ""): advice(
        "Keep every trace that has a call of a model",
        "A sum over some of the traces is an estimate: no charge to a customer can rest on it. "
        "Decide after the trace is there, and keep those that cost money.",
        """
        processors:
          tail_sampling:
            decision_wait: 30s
            policies:
              - name: calls-of-models
                type: ottl_condition
                ottl_condition:
                  error_mode: ignore
                  span:
                    - attributes["gen_ai.operation.name"] != nil
              - name: the-rest
                type: probabilistic
                probabilistic: {sampling_percentage: 10}
        """,
        "yaml",
        page="otlp/README.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())  # booked whether or not its trace is sampled
        """,
    ),
    (Mode.CLOCK_SKEW.value, ""): advice(
        "Keep the clocks of all hosts in step",
        "A call near midnight, or near a change of price, is booked to the wrong day or price.",
        """
        # on each host: how far its clock is off, and from which servers it takes the time
        chronyc tracking
        chronyc sources
        """,
        "bash",
    ),
    (Mode.METRICS_ONLY.value, ""): advice(
        "Export spans too: metrics cannot say whose call it was",
        "gen_ai.client.token.usage sums up calls; without spans there is no tenant, no request and "
        "no answer's id behind it.",
        """
        # in the environment of the service
        OTEL_TRACES_EXPORTER=otlp
        OTEL_TRACES_SAMPLER=parentbased_always_on
        """,
        "bash",
        page="otlp/README.md",
    ),
    ("A13", ""): advice(
        "Find out which calls below the agent are missing",
        "The agent's sum is larger than that of its calls: some were dropped, or their client is "
        "not instrumented.",
        """
        # in the Collector: refused and dropped spans, by exporter and processor
        service:
          telemetry:
            metrics:
              level: detailed
        """,
        "yaml",
        page="runs.md",
    ),
}
