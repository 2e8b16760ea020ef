"""What an API module hands to delivery: a plain answer or a stream of events.

Nothing is sent here; each event says how much was generated when it left, so that an answer that
breaks off is billed for exactly what was produced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model, Quantities

Header = tuple[bytes, bytes]


class Shape(NamedTuple):
    """Wishes of a fault that change what is built, not how it is sent."""

    has_usage: bool = True
    splits_usage: bool = False
    huge_bytes: int = 0


class Generation(NamedTuple):
    """What the model does with one request, decided before anything is built."""

    model: Model
    quantities: Quantities
    seed: int  # chooses text and ids
    created_s: int
    choices: int = 1
    events: int = 8  # content events of a stream
    pause_s: float = 0.0  # between two events
    tool: tuple[str, str] | None = None  # name and JSON arguments of a call to make
    is_cut_short: bool = False  # the output limit was reached
    shape: Shape = Shape()


class Plain(NamedTuple):
    """An answer in one piece."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    generation: Generation | None = None  # None: nothing was generated, nothing is billed
    response_id: str | None = None
    has_usage: bool = False
    media_type: bytes = b"application/json"


class Event(NamedTuple):
    """One server-sent event, framed."""

    data: bytes
    visible_tokens: int = 0  # generated for this event
    reasoning_tokens: int = 0
    is_content: bool = False
    has_final_usage: bool = False


class Stream(NamedTuple):
    """A server-sent event stream that has been generated in advance."""

    events: tuple[Event, ...]
    generation: Generation
    response_id: str
    error_event: bytes  # what this API sends when it fails in the middle
    headers: tuple[Header, ...] = ()
    media_type: bytes = b"text/event-stream; charset=utf-8"


Answer = Plain | Stream


class RefusedError(Exception):
    """The provider does not serve the request; carries its own shape of error.

    Args:
        status: HTTP status.
        error_type: the provider's error type.
        message: for the caller.
        param: the offending parameter, where known.
        code: OpenAI's error code.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.param = param
        self.code = code
