"""What the provider APIs share: the request in hand, and deciding what the model does."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tollbook.simulator.params import BadParamsError
from tollbook.simulator.provider.answers import Generation, RefusedError, Shape
from tollbook.simulator.provider.sizing import PromptCache, Size, parse_size, quantities_of

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model
    from tollbook.simulator.provider.answers import Answer, Header
    from tollbook.simulator.provider.checks import Json
    from tollbook.simulator.truth import TruthLog

_MIN_EVENTS = 1
_DEFAULT_EVENTS = 8
_DEFAULT_OUTPUT_MIN = 16
_DEFAULT_OUTPUT_SPREAD = 240


class Incoming(NamedTuple):
    """A request that has been let in, with what decides its answer."""

    method: str
    path: str  # below the provider's prefix
    headers: dict[str, str]
    body: Json
    attempt_id: str
    arrived_at_ns: int
    shape: Shape
    cache: PromptCache
    query: str = ""
    provider: str = "openai"  # whose models may be asked for
    raw_body: bytes = b""  # as sent, for APIs that check a signature over it
    full_path: str = ""
    log: TruthLog | None = None  # for what one request has done later, as a batch does


class Api(Protocol):
    """One provider."""

    name: str

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the key that a request presents."""

    def request_id(self, seed: int) -> str:
        """Return the provider's own id for a request."""

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has."""

    def rate_limit_headers(self, remaining: int) -> list[Header]:
        """Return the headers on what is left of a limit."""

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that stands for a fault."""

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""

    def error(self, refused: RefusedError, request_id: str) -> Answer:
        """Return an error in the provider's shape."""


class Extent(NamedTuple):
    """What the body says about sizes."""

    input_tokens: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    max_output: int | None = None
    choices: int = 1
    makes_output: bool = True
    tool: tuple[str, str] | None = None


def generate(incoming: Incoming, model: Model, extent: Extent) -> Generation:
    """Decide sizes, text seed and tool call of one answer.

    Raises:
        RefusedError: the input is longer than the model's context, or ``x-sim-size`` is wrong.
    """
    identity = incoming.headers.get("x-sim-request-id") or incoming.attempt_id
    seed = zlib.crc32(identity.encode()) << 32 | zlib.crc32(incoming.attempt_id.encode())
    guess = Size(
        input=extent.input_tokens,
        output=_DEFAULT_OUTPUT_MIN + (seed >> 40) % _DEFAULT_OUTPUT_SPREAD,
        cache_read=extent.cache_read,
        cache_write_5m=extent.cache_write_5m,
        cache_write_1h=extent.cache_write_1h,
    )
    wish = incoming.headers.get("x-sim-size")
    if wish is not None:
        try:
            guess = parse_size(wish, guess)
        except BadParamsError as error:
            raise RefusedError(400, "invalid_request_error", f"x-sim-size: {error}") from error
    size, is_cut_short = _limit(guess, extent, model)
    if size.input > model.max_input:
        raise RefusedError(
            400,
            "invalid_request_error",
            f"This model's maximum context length is {model.max_input} tokens; "
            f"your input has {size.input}.",
            "messages",
            "context_length_exceeded",
        )
    return Generation(
        model,
        quantities_of(size),
        seed,
        incoming.arrived_at_ns // 1_000_000_000,
        extent.choices,
        max(_MIN_EVENTS, size.events or _DEFAULT_EVENTS),
        size.pause_ms / 1000,
        extent.tool if size.tool else None,
        is_cut_short,
        incoming.shape,
    )


def _limit(size: Size, extent: Extent, model: Model) -> tuple[Size, bool]:
    """Apply the output limit, and drop kinds that the model cannot produce."""
    kinds = model.usd_per_mtok
    changes = {
        name: 0 for name in ("cache_read", "cache_write_5m", "cache_write_1h") if name not in kinds
    }
    if not model.can_reason:
        changes["reasoning"] = 0
    if not extent.makes_output:
        changes |= {"output": 0, "reasoning": 0}
    size = size._replace(**changes)
    if extent.max_output is None or size.output <= extent.max_output:
        return size, False
    most = extent.max_output * (1 if size.reasoning else extent.choices)
    return size._replace(output=min(size.output, most)), size.output > most


def bearer_key(headers: dict[str, str]) -> str | None:
    """Return the key of an ``Authorization: Bearer`` header (RFC 6750 section 2.1)."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
