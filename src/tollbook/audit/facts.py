"""What is kept of a span: who, what, when and how much; nothing that anybody said.

A million of these go through a spill file, so they are MessagePack arrays: append fields, with a
default.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook.call import SpanKind
from tollbook.usage import Kinds


class CallFact(Struct, frozen=True, array_like=True, gc=False):
    """A span that is a call to a model, or sums some up."""

    operation: str
    """``gen_ai.operation.name`` by our names: chat, responses, embeddings, rerank, invoke_agent."""
    provider: str
    model_requested: str | None = None
    model_actual: str | None = None
    kinds: Kinds | None = None
    """Disjoint quantities; None where no usage was told."""
    counts: dict[str, int] = {}
    """As reported: input, output, cache_read, cache_write, reasoning, total; what was told."""
    usage_notes: tuple[str, ...] = ()
    """How the numbers were understood, in words (exclusive or inclusive of the cache, ...)."""
    is_stream: bool = False
    is_error: bool = False
    is_billable: bool = True
    """False: the provider answered with an error or was never reached."""
    http_status: int | None = None
    error_type: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    """The provider's, as support and invoices know it."""
    service_tier: str | None = None
    is_batch: bool = False
    batch_id: str | None = None
    region: str | None = None
    host: str | None = None
    api_key_id: str | None = None
    """A name or hash of the key; never the key."""
    conversation_id: str | None = None
    attempt: int | None = None
    retry_of: str | None = None
    fallback_from: str | None = None
    price_version: str | None = None
    """Of the price that the tool itself worked a cost out with."""
    reported_cost_pico: int | None = None
    cost_source: str | None = None
    """``provider``, or the tool that worked it out."""
    cost_pico: int | None = None
    """By the price book at the time of the call; None is unpriced."""
    price_card: str | None = None
    price_problem: str | None = None
    """Why there is no price, or what is uncertain about it."""
    is_call: bool = True
    """False for a wrapper (agent, workflow) that only sums up."""
    told_operation: str | None = None
    """``gen_ai.operation.name`` as it was told, where ``operation`` is another word."""
    passes: int = 0
    """How many passes the provider's own usage lists (``usage.iterations``); 0 where none."""
    outside_tokens: int = 0
    """Of these passes the tokens that the span's own counts leave out."""
    is_compacted: bool = False
    """The provider made its context shorter, by a pass of its own that is billed."""
    is_aggregate: bool = False
    """Its usage is told under names that are for sums only (``gen_ai.aggregated_usage.*``)."""
    usage_source: str = ""
    """``reported``, ``estimated`` (a count was missing) or ``none``."""
    is_price_doubtful: bool = False
    """The price is not known for just this provider, tier, region or time; or there is none."""
    is_price_waiting: bool = False
    """The price is known, and there is no usage to price."""


class SpanFact(Struct, frozen=True, array_like=True, gc=False):
    """One span. Times are nanoseconds since the epoch, 0 where unknown."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    what: SpanKind
    kind: int = 0
    """SpanKind of OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    service: str = ""
    scope: str = ""
    """The instrumentation that wrote it."""
    scope_version: str = ""
    started_at_ns: int = 0
    ended_at_ns: int = 0
    is_error: bool = False
    owner: dict[str, str] = {}
    """What the span itself says: fields of Identity (tenant_id, user_id, ...) to values."""
    carriers: dict[str, str] = {}
    """For each field of the owner the attribute that carried it; one that held a placeholder is
    here too, without a value in the owner."""
    process_owner: dict[str, str] = {}
    """What its resource says: the owner of every call of that process."""
    baggage: dict[str, str] = {}
    """Identity that is visible as baggage or an identity header here and is no attribute of the
    span: fields to values."""
    sent: dict[str, str] = {}
    """Names of identity headers and baggage that a client span shows as sent, to their values."""
    peer: str | None = None
    """Host that a client span called, or the queue that a producer or consumer used."""
    messaging: str | None = None
    """``messaging.system``, or the job library that was recognised."""
    links: tuple[str, ...] = ()
    """``trace_id:span_id`` of spans that caused it."""
    kept_share_ppm: int | None = None
    """Of a million such traces so many were kept; None where nothing says that it was sampled."""
    session_id: str | None = None
    problems: tuple[str, ...] = ()
    """Values that could not be used, in words."""
    call: CallFact | None = None
    source: int = 0
    """Which input it was read from."""
    line: int | None = None
    has_trace: bool = True
    """False for a line of a log of calls."""
    protocol: str = ""
    """Over what it went to another process: ``http``, ``rpc``, ``db``, ``messaging`` or nothing."""
    path_hash: str = ""
    """A checksum of the path of an HTTP request: both sides of one request have the same."""
    role: str = ""
    """What it is to a rule that holds spans of several traces against each other."""
    received: tuple[str, ...] = ()
    """Fields of an owner that a server span got by baggage or a header of the request."""

    @property
    def ref(self) -> str:
        """Return its id among all spans."""
        return f"{self.trace_id}:{self.span_id}"

    @property
    def tenant(self) -> str | None:
        """Who pays, by the span itself."""
        return self.owner.get("tenant_id")


_encode: Final = msgspec.msgpack.Encoder().encode


def encode_fact(fact: SpanFact) -> bytes:
    """Return a fact for a spill file; halves of characters, which no encoding has, become ``?``."""
    try:
        return _encode(fact)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(fact)))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, (list, tuple)):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(one) for name, one in value.items()}
    return value


decode_fact: Final = msgspec.msgpack.Decoder(SpanFact).decode
