"""Calls as several observers tell of them, and the spans around them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tests.ledger.conftest import World

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Observer,
    SpanKind,
    SpanSeen,
    Status,
)

if TYPE_CHECKING:
    from tollbook.call import Frame

SOURCES = {None: "baggage", Observer.SDK: "sdk", Observer.OTLP: "span", Observer.IMPORT: "import"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
MS = 1_000_000
HOUR = 3_600_000 * MS


def hexid(name: str, chars: int = 16) -> str:
    """A span id (or with 32 characters a trace id) that a name stands for."""
    return hashlib.sha256(name.encode()).hexdigest()[:chars]


def call_id(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


def response(name: str) -> str:
    """A provider's response id, long enough to be unique."""
    return "chatcmpl-" + hexid(name, 28)


def owner(tenant: str | None = None, source: str = "span", **fields: str) -> Identity:
    """Whose it is."""
    said: dict[str, Any] = ({} if tenant is None else {"tenant_id": tenant}) | fields
    return Identity(**said, sources=dict.fromkeys(said, source))


class StitchWorld(World):
    """A ledger world with observers beside the gateway."""

    def seen(
        self,
        observer: Observer | None = None,
        name: str | None = None,
        *,
        response_id: str | None = None,
        tenant: str | None = None,
        trace: str | None = None,
        span: str | None = None,
        parent: str | None = None,
        tokens: tuple[int, int] | None = (1000, 100),
        at_ns: int | None = None,
        took_ns: int = 500 * MS,
        **fields: Any,
    ) -> tuple[CallOpened, CallClosed]:
        """Frames of a call; names of spans and traces stand for ids. No ``tokens``: no usage."""
        at_ns = self.tick() if at_ns is None else at_ns
        identity = fields.pop("identity", None) or owner(tenant, SOURCES[observer])
        usage: tuple[bytes, ...] = ()
        if tokens is not None:
            usage = (b'{"prompt_tokens":%d,"completion_tokens":%d}' % tokens,)
        opened: dict[str, Any] = {
            "call_id": call_id(name) if name else None, "started_at_ns": at_ns,
            "identity": identity, "provider": "openai", "dialect": "openai", "operation": "chat",
            "metering": Metering.METERED, "method": "POST", "path": "/v1/chat/completions",
            "model_requested": "m-1", "input_chars": 40, "observer": observer,
            "trace_id": None if trace is None else hexid(trace, 32),
            "span_id": None if span is None else hexid(span),
            "parent_span_id": None if parent is None else hexid(parent),
        }  # fmt: skip
        closed: dict[str, Any] = {
            "closed_at_ns": at_ns + took_ns, "status": Status.OK, "http_status": 200,
            "duration_ns": took_ns, "usage": usage, "usage_complete": bool(usage),
            "provider_response_id": response_id, "model_actual": "m-1",
        }  # fmt: skip
        for key, value in fields.items():
            (opened if key in CallOpened.__struct_fields__ else closed)[key] = value
        if opened["call_id"] is None:
            opened["call_id"] = call_id(f"{observer}{at_ns}{response_id}{span}")
        return CallOpened(**opened), CallClosed(call_id=opened["call_id"], **closed)

    def span(
        self,
        trace: str,
        span: str,
        parent: str | None = None,
        identity: Identity | None = None,
        **fields: Any,
    ) -> SpanSeen:
        at_ns = fields.pop("at_ns", None) or self.tick()
        said: dict[str, Any] = {
            "at_ns": at_ns, "trace_id": hexid(trace, 32), "span_id": hexid(span),
            "parent_span_id": None if parent is None else hexid(parent), "name": span,
            "kind": SpanKind.OTHER, "observer": Observer.OTLP, "started_at_ns": at_ns,
            "ended_at_ns": at_ns + MS, "identity": identity,
        }  # fmt: skip
        return SpanSeen(**(said | fields))

    def write(self, *frames: Any) -> None:
        """Write frames, or tuples of them, with a writer of their own, and book them."""
        self.spool(*frames)
        self.drain()

    def spool(self, *frames: Any) -> None:
        """Write frames, or tuples of them, with a writer of their own that dies then."""
        writer = self.writer(1 << 20)
        for frame in flat(frames):
            writer.append(frame)
        assert writer.flush()
        writer.close()

    def sums(self) -> list[tuple[Any, ...]]:
        """What reports show: tenant, calls, tokens and dollars."""
        rows = self.rows(
            "SELECT tenant_id, sum(calls)::INT, sum(uncached_input_tokens)::INT,"
            " sum(visible_output_tokens)::INT, sum(cost_usd)"
            " FROM entries GROUP BY tenant_id HAVING sum(calls) <> 0 OR sum(cost_usd) <> 0"
            " ORDER BY tenant_id NULLS LAST"
        )
        return [(*row, f"{usd.normalize():f}") for *row, usd in rows]

    def in_force(self, *names: str) -> list[tuple[Any, ...]]:
        """Columns of the charges that are in force, oldest call first."""
        return self.rows(
            f"SELECT {', '.join(names)} FROM entries WHERE kind = 'charge' AND entry_id NOT IN"
            " (SELECT replaces FROM entries WHERE kind = 'reversal') ORDER BY called_at, call_id"
        )

    def states(self) -> dict[str, str]:
        """State of each observed call, by observer and state's count."""
        found = self.rows("SELECT call_id, state FROM observations")
        return {str(one): state for one, state in found}

    def clean(self) -> None:
        assert self.verify().findings == ()


def flat(frames: Any) -> list[Frame]:
    found: list[Frame] = []
    for one in frames:
        found += flat(one) if isinstance(one, (tuple, list)) else [one]
    return found


def joined(frames: tuple[CallOpened, CallClosed]) -> Call:
    return Call(*frames, Evidence("w", 1, 2, "v"))
