"""Counters of one worker and their Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.capture.gateway.ports import SpoolHealthView

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What happened in this worker since it began."""

    __slots__ = (
        "cache",
        "connections",
        "draining",
        "drains",
        "in_flight",
        "malformed",
        "open_streams",
        "requests",
        "retries",
        "unread_messages",
    )

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """By provider, operation and the status the client got (0: it hung up before one)."""
        self.malformed: dict[int, int] = {}
        """Requests refused before they were calls, by status."""
        self.drains: dict[str, int] = {}
        """Streams read on after the client hung up, by how that ended."""
        self.in_flight = 0
        self.open_streams = 0
        self.draining = 0
        self.retries = 0
        self.cache: dict[str, int] = {}
        """Requests that wanted the response cache, by what became of that."""
        self.unread_messages = 0
        """Messages of WebSockets that passed without being read."""
        self.connections = 0

    def refused(self, status: int) -> None:
        """Count a request that was refused before it was a call."""
        self.malformed[status] = self.malformed.get(status, 0) + 1

    def request(self, provider: str, operation: str, status: int) -> None:
        """Count a call that ended."""
        key = (provider, operation, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def text(
        self,
        spool: SpoolHealthView,
        upstreams: Iterable[tuple[str, int, int, int]],
    ) -> bytes:
        """Return all metrics; ``upstreams`` are (provider, open, idle, waiting)."""
        upstreams = list(upstreams)
        lines: list[str] = []

        def family(name: str, kind: str, help_text: str, samples: dict[str, int]) -> None:
            lines.append(f"# HELP {name} {help_text}")
            lines.append(f"# TYPE {name} {kind}")
            lines.extend(f"{name}{labels} {value}" for labels, value in samples.items())

        family(
            "tollbook_gateway_requests_total", "counter", "Calls that ended.",
            {
                f'{{provider="{_label(p)}",operation="{_label(o)}",status="{s}"}}': n
                for (p, o, s), n in sorted(self.requests.items())
            },
        )  # fmt: skip
        family(
            "tollbook_gateway_refused_total", "counter",
            "Requests refused before they were calls.",
            {f'{{status="{status}"}}': n for status, n in sorted(self.malformed.items())},
        )  # fmt: skip
        family(
            "tollbook_gateway_drains_total", "counter",
            "Answers read on after the client hung up.",
            {f'{{outcome="{outcome}"}}': n for outcome, n in sorted(self.drains.items())},
        )  # fmt: skip
        family(
            "tollbook_gateway_response_cache_total", "counter",
            "Requests that wanted the response cache.",
            {f'{{outcome="{outcome}"}}': n for outcome, n in sorted(self.cache.items())},
        )  # fmt: skip
        for name, kind, help_text, value in (
            ("in_flight", "gauge", "Calls now open.", self.in_flight),
            ("open_streams", "gauge", "Event streams now open.", self.open_streams),
            ("draining", "gauge", "Answers now read on without a client.", self.draining),
            ("client_connections", "gauge", "Open client connections.", self.connections),
            (
                "unread_messages_total",
                "counter",
                "WebSocket messages not metered.",
                self.unread_messages,
            ),
            ("upstream_retries_total", "counter", "Requests sent a second time.", self.retries),
        ):
            family(f"tollbook_gateway_{name}", kind, help_text, {"": value})
        for at, state in enumerate(("open", "idle", "waiting"), start=1):
            family(
                f"tollbook_gateway_upstream_{state}", "gauge", f"Upstream connections: {state}.",
                {f'{{provider="{_label(row[0])}"}}': int(row[at]) for row in upstreams},
            )  # fmt: skip
        for name, kind, help_text, value in (
            ("writable", "gauge", "1 while frames reach the disk.", int(spool.ok)),
            ("ring_bytes", "gauge", "Frames waiting in memory, bytes.", spool.ring_bytes),
            ("frames_lost_total", "counter", "Frames lost for good.", spool.frames_lost),
            ("written_bytes_total", "counter", "Bytes written.", spool.bytes_written),
        ):
            family(f"tollbook_spool_{name}", kind, help_text, {"": value})
        lines.append("")
        return "\n".join(lines).encode()


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
