"""The metrics of calls, by the GenAI conventions of late 2026: counters of tokens, durations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.sdk.sinks.otel_attributes import metric_attributes, usage_attributes

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    from tollbook.call import CallClosed, CallOpened
    from tollbook.dialects.base import Measured

_COUNTED: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read.input_tokens",
    "cache_write.input_tokens",
    "reasoning.output_tokens",
)
_DURATION_BUCKETS_S: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip


class Instruments:
    """Counters ``gen_ai.client.inference.usage.*`` and histograms of how long calls took."""

    def __init__(self, meter: Meter) -> None:
        self._tokens = {
            f"gen_ai.usage.{name}": meter.create_counter(
                f"gen_ai.client.inference.usage.{name}", "{token}", f"Tokens used: {name}."
            )
            for name in _COUNTED
        }
        self._inference = meter.create_histogram(
            "gen_ai.client.inference.duration", "s", "How long a call took.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS_S,
        )  # fmt: skip
        self._embeddings = meter.create_histogram(
            "gen_ai.client.embeddings.duration", "s", "How long a call for embeddings took.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS_S,
        )  # fmt: skip

    def record(self, opened: CallOpened, closed: CallClosed, measured: Measured | None) -> None:
        """Count a call."""
        attributes = metric_attributes(opened, closed)
        histogram = self._embeddings if opened.operation == "embeddings" else self._inference
        histogram.record(closed.duration_ns / 1e9, attributes)
        if measured is None:
            return
        for name, value in usage_attributes(measured).items():
            counter = self._tokens.get(name)
            if counter is not None and isinstance(value, int):
                counter.add(value, attributes)
