"""The Call: one request to a provider, the only thing that flows between the stages.

Capture writes it in two frames: :class:`CallOpened` before the request leaves and
:class:`CallClosed` before the last byte of the answer reaches the client, so that a killed process
leaves evidence of every call in flight. The ledger joins them to a :class:`Call`. Field names are
those of OpenTelemetry GenAI and FOCUS where these have one. On disk the structs are MessagePack
arrays: fields may be appended (with a default), never moved or removed. They can hold no
reference cycle, so the garbage collector need not look at the millions of them (``gc=False``).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct


class Metering(StrEnum):
    """What the gateway knows of an endpoint's price."""

    METERED = "metered"
    FREE = "free"  # the provider documents it as free (count_tokens)
    UNMETERED = "unmetered"  # passed through; its cost, if any, is unknown


class Observer(StrEnum):
    """Who saw a call, where it was not the gateway."""

    SDK = "sdk"  # the harness in the application's own process
    OTLP = "otlp"  # a span of an OpenTelemetry instrumentation
    IMPORT = "import"  # another tool's log


class Status(StrEnum):
    """How a call ended."""

    OK = "ok"
    ERROR = "error"  # the provider said so, or could not be reached, or broke off
    CANCELLED = "cancelled"  # the client hung up first
    REJECTED = "rejected"  # refused by the gateway; never reached a provider
    INTERRUPTED = "interrupted"  # no close frame: the gateway process died


class UsageSource(StrEnum):
    """Where the token counts come from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    NONE = "none"


IDENTITY_FIELDS = (
    "tenant_id",
    "user_id",
    "team_id",
    "cost_center",
    "feature",
    "workflow_id",
    "agent_run_id",
    "workflow_step",
    "environment",
    "request_origin",
    "request_id",
)


class Conflict(Struct, frozen=True, array_like=True, gc=False):
    """Two mechanisms named different owners; the first in order was kept."""

    field: str
    kept: str
    kept_source: str
    refused: str
    refused_source: str


class Identity(Struct, frozen=True, array_like=True, gc=False):
    """Whose call it is. None is unknown; ``sources`` says which mechanism carried each field."""

    tenant_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    workflow_id: str | None = None
    agent_run_id: str | None = None
    workflow_step: str | None = None
    environment: str | None = None
    request_origin: str | None = None
    request_id: str | None = None
    api_key_id: str | None = None
    tags: dict[str, str] = {}
    sources: dict[str, str] = {}
    conflicts: tuple[Conflict, ...] = ()
    problems: tuple[str, ...] = ()
    """What carriers held that could not be used, in words for the operator."""


class CallOpened(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """What is known before the request leaves for the provider."""

    call_id: bytes  # UUIDv7, 16 bytes
    started_at_ns: int  # since the epoch, UTC
    identity: Identity
    provider: str  # the configured name, such as "openai" or "vllm-eu"
    dialect: str
    operation: str  # gen_ai.operation.name: chat, responses, text_completion, embeddings, ...
    metering: Metering
    method: str
    path: str  # without the query, which may hold secrets
    model_requested: str | None = None
    is_stream: bool = False
    attempt: int = 1  # from the client's own retry counter, 1 is the first try
    idempotency_key: str | None = None
    trace_id: str | None = None
    parent_span_id: str | None = None
    request_bytes: int = 0
    input_chars: int = 0  # text sent, the basis of an estimate
    max_output_tokens: int | None = None
    operation_id: bytes | None = None  # call id of the first attempt; None is this call itself
    retry_of: bytes | None = None  # the attempt before this one, made by the gateway
    fallback_from: str | None = None  # "provider/model" that this attempt stands in for
    route: str | None = None  # the configured route that chose the target
    region: str | None = None  # where the provider serves it, if its address says so
    asked: dict[str, str | int] | None = None
    """What only the request says and the price depends on: images, size, quality, characters."""
    batch_id: str | None = None  # the provider's id; this call is a line of that batch
    custom_id: str | None = None  # of the line within its batch
    model_sent: str | None = None  # what a route asked for in place of the client's model
    observer: Observer | None = None  # None: the gateway
    span_id: str | None = None  # of the span that this call is, where its observer knows one
    call_site: str | None = None  # "path.py:12 function", of a call that nobody named a tenant for
    layers: tuple[int, ...] | None = None
    """Weights of the request by section, in the order of the prompt: section, weight, section, ...
    (:mod:`tollbook.layers`)."""
    prefix_hash: str | None = None  # of what stands at the start of every such request
    prefix_chars: int = 0


class CallClosed(Struct, frozen=True, array_like=True, gc=False, tag=2):
    """How the call went."""

    call_id: bytes
    closed_at_ns: int
    status: Status
    http_status: int | None = None  # as sent to the client
    error_type: str | None = None
    time_to_first_token_ns: int | None = None
    duration_ns: int = 0
    provider_request_id: str | None = None
    provider_response_id: str | None = None
    model_actual: str | None = None
    service_tier: str | None = None
    usage: tuple[bytes, ...] = ()  # the provider's usage objects, byte for byte, in order
    usage_complete: bool = False  # the final usage was among them
    output_chars: int = 0  # text received, the basis of an estimate
    output_events: int = 0  # content events received
    response_bytes: int = 0
    is_billable: bool = True  # False: the provider answered with an error, or was never reached
    cached_from: bytes | None = None  # call id whose answer was given again; nothing was sent


class FramesLost(Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The spool could not be written and its memory overflowed: so many frames are gone."""

    at_ns: int
    frames: int
    first_lost_at_ns: int


class BatchOwners(Struct, frozen=True, array_like=True, gc=False, tag=4):
    """Lines of a batch's input that name owners of their own; one of many such frames."""

    call_id: bytes  # of the request that carried the lines: the upload, or the submission
    at_ns: int
    identities: tuple[Identity, ...]
    """Only what the lines themselves say; the rest is the batch's."""
    lines: tuple[tuple[str, int], ...]
    """Custom id, and which of the identities it has."""


class BatchFile(Struct, frozen=True, array_like=True, gc=False, tag=5):
    """An uploaded file of batch lines has got its id."""

    call_id: bytes  # of the upload
    at_ns: int
    provider: str
    file_id: str
    identity: Identity
    lines: int = 0
    problem: str | None = None


class BatchSeen(Struct, frozen=True, array_like=True, gc=False, tag=6):
    """What a provider said of a batch, when it was submitted or looked at later."""

    at_ns: int
    provider: str
    dialect: str
    batch_id: str
    collection: str = ""  # path of the provider's batches, as it was asked
    status: str = ""  # the provider's word
    is_ended: bool = False  # no result can come that is not there yet
    endpoint: str | None = None
    input_ids: tuple[str, ...] = ()
    result_ids: tuple[str, ...] = ()
    """Where the results are: files, or the batch itself."""
    created_at_ns: int | None = None
    ended_at_ns: int | None = None
    lines: int | None = None
    model: str | None = None
    call_id: bytes | None = None  # of the submission, where it was seen
    identity: Identity | None = None  # of the submission
    problem: str | None = None  # why its results could not be fetched


class BatchResult(Struct, frozen=True, array_like=True, gc=False, tag=7):
    """One line of a batch's results; the same line may be seen again."""

    call_id: bytes  # a new id; that of the first sight is kept
    at_ns: int
    provider: str
    dialect: str
    source_id: str  # the file, or the batch, that the line was read from
    custom_id: str
    endpoint: str | None = None
    http_status: int | None = None
    error_type: str | None = None
    is_billable: bool = True
    provider_request_id: str | None = None
    provider_response_id: str | None = None
    model_actual: str | None = None
    service_tier: str | None = "batch"
    usage: tuple[bytes, ...] = ()
    problem: str | None = None
    identity: Identity | None = None  # what its custom id alone says of the owner


class BatchRead(Struct, frozen=True, array_like=True, gc=False, tag=8):
    """A source of results was read to its end."""

    at_ns: int
    provider: str
    source_id: str
    lines: int


class LateUsage(Struct, frozen=True, array_like=True, gc=False, tag=9):
    """The final usage of an earlier answer, as a request that shows it again has seen it."""

    call_id: bytes  # of the request that showed it, which itself costs nothing
    at_ns: int
    provider: str
    provider_response_id: str
    usage: tuple[bytes, ...]
    model_actual: str | None = None
    service_tier: str | None = None


class SpanKind(StrEnum):
    """What a span is within a run; the name that OpenTelemetry GenAI has for it, or ours."""

    AGENT = "agent"  # invoke_agent, create_agent
    WORKFLOW = "workflow"  # invoke_workflow; a request, a job
    STEP = "step"
    TOOL = "tool"  # execute_tool
    RETRIEVAL = "retrieval"
    MODEL = "model"  # a call to a model
    OTHER = "other"


class SpanSeen(Struct, frozen=True, array_like=True, gc=False, tag=10):
    """A span of a trace: what a run consists of, and who its calls belong to."""

    at_ns: int  # when it was received
    trace_id: str  # 32 lower-case hex digits
    span_id: str  # 16
    parent_span_id: str | None
    name: str
    kind: SpanKind
    observer: Observer
    started_at_ns: int
    ended_at_ns: int | None = None
    is_error: bool = False
    identity: Identity | None = None  # what the span itself says of the owner
    call_id: bytes | None = None  # the call that it is
    links: tuple[str, ...] = ()
    """Spans of other traces that caused it, as ``trace_id:span_id`` (a job and who enqueued it)."""


BatchFrame = BatchOwners | BatchFile | BatchSeen | BatchResult | BatchRead
Frame = CallOpened | CallClosed | FramesLost | BatchFrame | LateUsage | SpanSeen

encode_frame = msgspec.msgpack.Encoder().encode
"""Frame to MessagePack bytes."""

decode_frame = msgspec.msgpack.Decoder(Frame).decode
"""MessagePack bytes to a frame; raises msgspec.DecodeError or msgspec.ValidationError."""


class Evidence(Struct, frozen=True, array_like=True, gc=False):
    """Where the frames of a call lie in the spool."""

    writer: str  # name of the spool writer: host, worker, process, start time
    segment: int
    offset: int  # of the close frame; of the open frame for an interrupted call
    version: str  # of the gateway that wrote it


class Call(Struct, frozen=True):
    """A whole call, joined from its two frames."""

    opened: CallOpened
    closed: CallClosed
    evidence: Evidence
