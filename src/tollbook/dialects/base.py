"""What every dialect provides: request in, usage out, stream framing; pure, no clock, no sockets.

The gateway calls :meth:`Dialect.route`, :meth:`Dialect.read_request` and a :class:`ResponseMeter`
on its hot path; the ledger calls :meth:`Dialect.measure` later, in batches, on the raw usage that
the gateway kept. A new API is one file that implements :class:`Dialect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from tollbook.call import Call, Metering, UsageSource
from tollbook.identity.claims import Claims
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Header = tuple[bytes, bytes]
"""Name in lower case, value as received."""


class Route(Struct, frozen=True):
    """How one endpoint is treated."""

    operation: str
    metering: Metering
    inspects_body: bool
    """The JSON body is read whole before it is forwarded; otherwise it streams through."""


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


class Measured(Struct, frozen=True):
    """A call's usage as disjoint kinds; None where nothing is known (missing is not zero)."""

    kinds: Kinds | None
    source: UsageSource
    problems: tuple[str, ...] = ()
    """Contradictions in the provider's numbers and how they were read, for explain."""


class Dialect(Protocol):
    """One provider API."""

    name: Literal["openai", "anthropic"]

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
