"""Ask a provider's API: bounded in size and time, patient with limits, never louder than asked.

Answers of 429 and 5xx and broken connections are repeated after ``retry-after``, or after an
exponential pause; all of it within one time. Redirects are not followed: a key is for the address
that was configured. Keys are in headers only and in no message.

Deliveries to billing systems have pauses and tries of their own (``billing/sender.py``): here only
the time is bounded, and not every 5xx is worth asking again; there the tries are counted, because
each may book an event, and the clients share what both need (``chargeback/http.py``).
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from tollbook import __version__, clock
from tollbook.chargeback.http import BAD_JSON, End, new_client, read_bounded, shown
from tollbook.chargeback.statements.errors import FetchError
from tollbook.dialects.retry_after_text import retry_after_text_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_FIRST_PAUSE_S: Final = 1.0
_PAUSE_MAX_S: Final = 60.0
_OK: Final = range(200, 300)
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_CONNECT_TIMEOUT_S: Final = 10.0
_NOT_ALLOWED: Final = frozenset({401, 403})
_SHOWN_CHARS: Final = 200
_SECRET: Final = frozenset({"authorization", "x-api-key", "x-amz-security-token"})


class Question(NamedTuple):
    """One request. Its headers may hold a key and are never shown."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Question({self.method} {shown_url(self.url)})"

    @property
    def secrets(self) -> Iterator[str]:
        """What of its headers is shown nowhere, without the scheme before it (``Bearer``)."""
        for name, value in self.headers.items():
            if name.lower() in _SECRET:
                yield value.rpartition(" ")[2]


class Limits(NamedTuple):
    """How long and how much."""

    timeout_s: float
    total_s: float
    max_bytes: int


def shown_url(url: str) -> str:
    """Return an address for people: without its query, which may hold a page's token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


class ApiClient:
    """Asks one provider; a context manager.

    Args:
        name: of the source, for messages.
        limits: of each statement; :meth:`begin` starts the time.
        sleep: waits for seconds.
        jitter: a number from 0 to 1, by which pauses differ from one another.
    """

    def __init__(
        self, name: str, limits: Limits, *, sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.name = name
        self._limits = limits
        self._sleep, self._jitter = sleep, jitter
        self._client = new_client(httpx2.Timeout(limits.timeout_s, connect=_CONNECT_TIMEOUT_S))
        self._until_ns = 0
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def begin(self) -> None:
        """Start the time of one statement."""
        self._until_ns = clock.monotonic_ns() + int(self._limits.total_s * clock.NS_PER_S)

    def ask(self, make: Callable[[], Question]) -> bytes:
        """Return the body of an answer.

        Args:
            make: makes the request, anew each time it is sent: signatures bear the time.

        Raises:
            FetchError: refused, too large, or not answered in time.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            question = make()
            answer = self._send(question)
            if isinstance(answer, bytes):
                return answer
            wait_s = pause_s * (0.5 + self._jitter() / 2)
            if answer.retry_after_s is not None:
                wait_s = answer.retry_after_s
            left_s = (
                self._until_ns - clock.monotonic_ns()
            ) / clock.NS_PER_S  # allow: float-money -- seconds
            if wait_s >= left_s:
                raise FetchError(
                    self.name,
                    f"{answer.problem}; it would have to wait {wait_s:.0f} s and has {left_s:.0f} s"
                    " left; run it again, it goes on where it stopped",
                )
            self._sleep(wait_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)

    def json(self, make: Callable[[], Question]) -> tuple[bytes, dict[str, Any]]:
        """Return an answer as it came and as the object that it is; raises as :meth:`ask`."""
        body = self.ask(make)
        try:
            return body, msgspec.json.decode(body, type=dict[str, Any])
        except BAD_JSON as error:
            raise FetchError(self.name, f"answered something that is not JSON: {error}") from error

    def _send(self, question: Question) -> bytes | _Again:
        headers = {"user-agent": f"tollbook/{__version__}", "accept": "application/json"}
        try:
            request = self._client.build_request(
                question.method, question.url, headers=headers | dict(question.headers),
                content=question.body,
            )  # fmt: skip
            response = self._client.send(request, stream=True)
            try:
                body = self._read(response)
            finally:
                response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = f"{question.method} {shown_url(question.url)}: {type(error).__name__}"
            return _Again(problem, None)
        status = response.status_code
        if status in _OK:
            return body
        problem = f"{question.method} {shown_url(question.url)} answered {status}"
        if status in _AGAIN:
            return _Again(problem, _retry_after_s(response.headers))
        if status in _NOT_ALLOWED:
            problem += "; check that the key is an administrator's and of the right account"
        raise FetchError(self.name, f"{problem}: {_said(body, question.secrets)}")

    def _read(self, response: httpx2.Response) -> bytes:
        body, end = read_bounded(response, self._limits.max_bytes, self._until_ns)
        if end is End.TOO_LARGE:
            raise FetchError(
                self.name,
                f"an answer is larger than {self._limits.max_bytes} bytes; raise [statements] "
                "max_page_bytes, or fetch fewer days",
            )
        if end is End.TOO_LATE:
            raise FetchError(self.name, "took longer than [statements] total_timeout_s")
        return body


class _Again(NamedTuple):
    """Why a request is sent again, and when at the earliest."""

    problem: str
    retry_after_s: float | None


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """Return the longest pause that is asked for.

    Azure says it in headers of its own, whose names end alike.
    """
    now = clock.utc_now()
    found = [
        retry_after_text_s(value, now)
        for name, value in headers.items()
        if name.lower().endswith("retry-after")
    ]
    return max((wait_s for wait_s in found if wait_s is not None), default=None)


def _said(body: bytes, secrets: Iterable[str]) -> str:
    """Return what an error's body says, short."""
    try:
        answer = msgspec.json.decode(body)
    except BAD_JSON:
        return "no reason given"
    for path in (("error", "message"), ("message",), ("error",), ("Message",)):
        found: Any = answer
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return shown(found, secrets)[:_SHOWN_CHARS]
    return "no reason given"
