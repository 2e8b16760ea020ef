"""What every dialect provides: request in, usage out, stream framing; pure, no clock, no sockets.

The gateway calls :meth:`Dialect.route`, :meth:`Dialect.read_request` and a :class:`ResponseMeter`
on its hot path; the ledger calls :meth:`Dialect.measure` later, in batches, on the raw usage that
the gateway kept. A new API is one file that implements :class:`Dialect`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from tollbook.call import Call, Metering, Status, UsageSource
from tollbook.dialects.request_layers import UNKNOWN, Layered
from tollbook.identity.claims import Claims
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Header = tuple[bytes, bytes]
"""Name in lower case, value as received."""


class Rewritten(NamedTuple):
    """A request that asks for another model."""

    target: bytes
    body: bytes


class Watch(StrEnum):
    """What a request has to do with what is answered later.

    Batches are read by :mod:`tollbook.dialects.batch_base`, answers that are shown again by
    :mod:`tollbook.dialects.shown_answers`.
    """

    UPLOAD = "upload"  # a file that may hold lines
    SUBMIT = "submit"
    STATE = "state"  # tells how one or more batches stand
    RESULTS = "results"
    ANSWER = "answer"  # shows an earlier answer, whose usage may not have been known before


class Route(Struct, frozen=True):
    """How one endpoint is treated."""

    operation: str
    metering: Metering
    inspects_body: bool
    """The body is read whole before it is forwarded; otherwise it streams through."""
    model: str | None = None
    """The model (deployment, inference profile) that the path names."""
    is_stream: bool | None = None
    """Whether the path asks for a stream; None where the body says it."""
    region: str | None = None
    """The region that the path names."""
    is_socket: bool = False
    """A WebSocket: metered by :meth:`Dialect.socket_meter`."""
    watch: Watch | None = None
    """What the request has to do with what is answered later."""
    takes_stream_options: bool = True
    """Whether streams may be asked for usage; False for API versions that refuse to be."""


class RequestFacts(Struct, frozen=True):
    """What a metered request says about itself."""

    body: bytes
    """What to forward: the very bytes received, unless usage had to be asked for or a field that
    is no part of the API named the owner (``litellm_metadata``)."""
    model: str | None = None
    is_stream: bool = False
    max_output_tokens: int | None = None
    input_chars: int = 0
    claims: tuple[Claims, ...] = ()
    """Owners named in the body; LITELLM and PROVIDER_NATIVE, in that order."""
    hides_usage: bool = False
    """Usage was asked for on the client's behalf: keep the extra chunk from the client."""
    asked: dict[str, str | int] | None = None
    """What only the request says and the price depends on (``CallOpened.asked``)."""
    layered: Layered = UNKNOWN
    """What the prompt consists of, section by section (``CallOpened.layers``)."""
    marks: str | None = None
    """What the body itself marks as retrieved or remembered
    (:mod:`tollbook.dialects.layer_marks`); ``layered`` does not know of it."""
    lines: bytes = b""
    """Header lines that say to the provider whose call it is, where its policy asks for that."""


class Metered(Struct, frozen=True):
    """What a response said, when it has ended or broken off."""

    usage: tuple[bytes, ...] = ()
    usage_complete: bool = False
    provider_response_id: str | None = None
    model_actual: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    """The provider's error type or code, from an error body or an error event in a stream."""
    output_chars: int = 0
    output_events: int = 0
    stream_ended: bool = False
    """The stream's own last event came ([DONE], message_stop, response.completed)."""


class ResponseMeter(Protocol):
    """Looks on while one response passes. Never raises on provider data, whatever it is."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next body bytes and return what the client gets now.

        The bytes are decoded: neither chunked nor compressed. What is returned equals the input
        unless usage is hidden; only then an unfinished event may be held back.
        """

    def flush(self) -> bytes:
        """Return what is still held back, at the end of the body or when it broke off."""

    @property
    def has_content(self) -> bool:
        """Whether generated output has been seen (for the time to first token)."""

    def result(self) -> Metered:
        """Return what was seen; callable at any moment, also after a cut."""


class SocketTurn(Struct, frozen=True):
    """Something within a WebSocket that is billed for itself: that it began, or how it ended."""

    key: str
    """Which one, among those now open; one that ends may never have begun in sight."""
    operation: str
    metered: Metered | None = None
    """How it ended; None: it has begun."""
    model: str | None = None
    """What was asked for."""
    input_chars: int = 0
    """The basis of an estimate, as far as it is known when it begins."""
    status: Status = Status.OK
    is_billable: bool = True


class SocketMeter(Protocol):
    """Looks on at the messages of one WebSocket. Never raises on what either side sends."""

    def from_client(self, message: bytes) -> None:
        """Take a whole text or binary message of the client."""

    def from_provider(self, message: bytes) -> None:
        """Take a whole text or binary message of the provider."""

    def turns(self) -> list[SocketTurn]:
        """Return what began or ended since the last time, in order."""

    def cut(self) -> list[SocketTurn]:
        """Return how what is still open ended: the connection is gone."""


class NativeTags(Struct, frozen=True):
    """What is written into the provider's own fields, so that its exports name the owner."""

    tenant: str | None = None
    """Plain or pseudonymised, as the policy of the provider says."""
    user: str | None = None
    feature: str | None = None
    workflow: str | None = None
    run: str | None = None
    end_user: str | None = None
    """What stands in the one field that names an end user: the user, or the tenant."""
    end_user_field: str = "safety_identifier"
    """Which field that is, where servers that speak the same API differ (or ``user``)."""
    has_metadata: bool = True
    """Whether the server takes a map of metadata (OpenAI API)."""


class Part(Struct, frozen=True):
    """A share of a call that another model or another price made, priced for itself."""

    kinds: Kinds
    model: str | None = None
    """None: the model of the call."""
    label: str = ""
    """What it was, in the provider's word: compaction, advisor_message, image_generation."""
    tier: str | None = None


class Measured(Struct, frozen=True):
    """A call's usage as disjoint kinds; None where nothing is known (missing is not zero)."""

    kinds: Kinds | None
    source: UsageSource
    problems: tuple[str, ...] = ()
    """Contradictions in the provider's numbers and how they were read, for explain."""
    tier: str | None = None
    """What the price depends on beside the model, where the usage says more than the answer's
    ``service_tier``: words joined by ``+`` (``batch``, ``fast``, ``flex``, ``priority``)."""
    region: str | None = None
    """Where it was served, if the usage or the model's name says so; else that of the call."""
    further: tuple[Part, ...] = ()
    """What ``kinds`` leaves out since it is priced for itself; each becomes an entry of its own."""
    reported_cost_pico: int | None = None
    """What the provider itself says that the call cost (OpenRouter, xAI, Perplexity)."""


class Measures(Protocol):
    """What turns raw usage into kinds: every dialect, and what others tell of calls (spans)."""

    name: str

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate where it is missing."""


class Dialect(Protocol):
    """One provider API."""

    name: str
    stream_types: tuple[bytes, ...]
    """Media types (lower case) of answers that come in events: server-sent or otherwise."""
    can_comment: bool
    """Whether a comment line may be added to its event streams (server-sent events only)."""

    def route(self, method: str, path: str) -> Route:
        """Classify a request; ``path`` is what follows the provider prefix, without the query."""

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the caller's key as this API carries it."""

    def is_credential(self, name: bytes) -> bool:
        """Whether a header (lower case) carries the key, and is replaced when a key is swapped."""

    def credential_headers(self, key: str) -> list[Header]:
        """Return the headers that carry the provider's key upstream."""

    def read_request(
        self, route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
    ) -> RequestFacts:
        """Read a metered request. A body that is not valid JSON is forwarded as it is."""

    def meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter for the response whose head has come (names in lower case)."""

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the client's own attempt count, 1 for the first (from its retry header)."""

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the provider's id of the request, from the response head."""

    def error_body(self, status: int, error_type: str, message: str) -> bytes:
        """Return an error that the official SDK of this API understands (JSON bytes)."""

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate where it is missing."""

    # The rest has defaults in tollbook.dialects.defaults.

    def split_query_credential(self, target: bytes) -> tuple[bytes, str | None]:
        """Return the target without the key that its query holds, and that key.

        The key leaves in a header instead; one in a header goes first.
        """

    def with_query(self, route: Route, query: bytes) -> Route:
        """Return the route of a request with a query (without ``?``), where it tells more."""

    def with_model(self, route: Route, target: bytes, body: bytes, model: str) -> Rewritten | None:
        """Return the request asking for another model, None where that cannot be written.

        ``target`` is the path after the provider prefix, with its query.
        """

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write tags into the API's own fields; what the client set there stays as it is."""

    def tag_headers(self, route: Route, tags: NativeTags) -> list[Header]:
        """Return headers that carry tags, for an API that takes them so."""

    def socket_meter(self, route: Route) -> SocketMeter | None:
        """Return a meter for a WebSocket, None where this API has none."""

    def retry_after_s(self, status: int, headers: Mapping[bytes, bytes]) -> float | None:
        """Return how long the provider asks to wait (seconds), None where it does not say."""

    def is_retryable(self, status: int, error_type: str | None) -> bool:
        """Whether another attempt may succeed where this one failed (429, 408, 5xx, overloaded)."""
