"""Counters of the receiver, as Prometheus reads them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tollbook.capture.otlp.outcome import Outcome, Signal
    from tollbook.spool import SpoolHealth


class Tally:
    """Counts requests and what they carried since the process began; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._items: Counter[tuple[str, str]] = Counter()

    def count(self, signal: Signal, outcome: Outcome) -> None:
        """Count one request."""
        name = signal.value
        with self._lock:
            self._requests[name, outcome.kind.name.lower()] += 1
            self._items[name, "accepted"] += outcome.accepted
            self._items[name, "rejected"] += outcome.rejected

    def text(self, health: SpoolHealth) -> str:
        """Return the text of ``/metrics`` (Prometheus text format 0.0.4)."""
        with self._lock:
            requests, items = dict(self._requests), dict(self._items)
        lines = [
            "# HELP tollbook_receiver_requests_total Requests by what they carried and outcome.",
            "# TYPE tollbook_receiver_requests_total counter",
            *(
                f'tollbook_receiver_requests_total{{signal="{signal}",outcome="{outcome}"}} {count}'
                for (signal, outcome), count in sorted(requests.items())
            ),
            "# HELP tollbook_receiver_items_total Spans, records, points and frames by state.",
            "# TYPE tollbook_receiver_items_total counter",
            *(
                f'tollbook_receiver_items_total{{signal="{signal}",state="{state}"}} {count}'
                for (signal, state), count in sorted(items.items())
            ),
            "# HELP tollbook_receiver_spool_ok Whether the spool is written.",
            "# TYPE tollbook_receiver_spool_ok gauge",
            f"tollbook_receiver_spool_ok {int(health.ok)}",
            "# HELP tollbook_receiver_spool_bytes_total Bytes written to the spool.",
            "# TYPE tollbook_receiver_spool_bytes_total counter",
            f"tollbook_receiver_spool_bytes_total {health.bytes_written}",
        ]
        return "\n".join(lines) + "\n"
