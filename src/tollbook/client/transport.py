"""What is the same for both clients: limits, retries of reads, and reading answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx2
import msgspec

from tollbook.client.errors import UnexpectedAnswerError, error_of

if TYPE_CHECKING:
    from tollbook.client.questions import Question

T = TypeVar("T")
TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 5.0
RETRIES: Final = 2
"""Of reads: of a request that did not arrive, and of answers that say "later"."""
ANSWER_MAX_BYTES: Final = 256 * 1024 * 1024
RETRIED: Final = frozenset([429, 502, 503])
"""Not 504: a question that took too long will do so again."""
_FIRST_WAIT_S: Final = 0.2
_WAIT_MAX_S: Final = 10.0
_OK: Final = 200


def options(url: str, token: str, timeout_s: float) -> dict[str, Any]:
    """Return the arguments of an HTTP client."""
    return {
        "base_url": url.rstrip("/"),
        "headers": {"authorization": f"Bearer {token}", "accept": "application/json"},
        "timeout": httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        "follow_redirects": False,
    }


def wait_s(attempt: int, response: httpx2.Response | None) -> float:
    """Return seconds until the next attempt: what the server says, or longer each time."""
    told = "" if response is None else response.headers.get("retry-after", "")
    if told.isascii() and told.isdigit():
        return min(float(told), _WAIT_MAX_S)
    # Spread out, so that clients that failed together do not come back together.
    return float(min(_FIRST_WAIT_S * 2**attempt, _WAIT_MAX_S) * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret


def read(question: Question[T], status: int, body: bytes) -> T:
    """Return an answer as what was asked for.

    Raises:
        ApiError: it is an error.
        UnexpectedAnswerError: it is none that this version knows.
    """
    if status != _OK:
        raise error_of(status, body)
    try:
        return msgspec.json.decode(body, type=question.answer)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UnexpectedAnswerError(question.path, str(error)) from error


def body_of(question: Question[Any]) -> bytes | None:
    """Return the body of a request."""
    return None if question.body is None else msgspec.json.encode(question.body)
