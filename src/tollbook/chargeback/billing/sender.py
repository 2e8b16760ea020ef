"""Send deliveries: a few requests at a time, with back-off, and every outcome in the log.

A chunk is noted as on its way before it is sent, and its outcomes after. A process that dies in
between leaves deliveries that are perhaps there; they are sent again under the same ids, which the
system drops as copies while it remembers them.

Tries and pauses are not those of ``statements/fetch/http.py``: what fails may have booked an event
already, so that each try is counted and its outcome kept, and a 409 is an earlier try of the same
id that still runs. Requests are paced evenly already, so pauses need no chance in them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx2

from tollbook import clock
from tollbook.chargeback.billing.log import Event, Known, State, note
from tollbook.chargeback.billing.wire import WIRES
from tollbook.chargeback.http import new_client, read_bounded, shown
from tollbook.dialects.retry_after_text import retry_after_text_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tollbook.books.store import Books
    from tollbook.chargeback.billing.log import Delivery
    from tollbook.chargeback.billing.system import InForce

TRIES_MAX: Final = 6
"""Of one request in one push; later pushes try again."""
WAIT_MAX_S: Final = 120.0
"""Longest wait between two tries; a system that asks for more is left alone until the next push."""
FIRST_WAIT_S: Final = 0.5
REQUEST_TIMEOUT_S: Final = 30.0
ANSWER_MAX_BYTES: Final = 1 << 20
ANSWER_TIMEOUT_S: Final = 120.0
"""Of all of an answer, and its start; its status tells what came of it, if the rest never comes."""
_CHUNK: Final = 20
_RETRIED: Final = frozenset([HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT])
_LOCKED_OUT: Final = frozenset([HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])


class Sent(NamedTuple):
    """What came of a push."""

    states: Counter[str]
    problem: str | None
    """Why it ended before everything was tried; None: nothing is left to try."""


class _Answer(NamedTuple):
    """What a request came to: a status and a body, or words for what went wrong."""

    status: int | None
    body: bytes = b""
    retry_after_s: float | None = None
    is_maybe_there: bool = False
    words: str | None = None


class Sender:
    """Sends to one billing system.

    Args:
        books: where the log is.
        one: the system.
        key: its key, in no log.
        sleep: waits some seconds; tests do not.
        author: who sends.
    """

    def __init__(
        self, books: Books, one: InForce, key: str, *,
        sleep: Callable[[float], None] = time.sleep, author: str | None = None,
    ) -> None:  # fmt: skip
        self._books, self._one, self._key, self._author = books, one, key, author
        self._sleep = sleep
        self._wire = WIRES[one.system.type]
        self._pace = _Pace(one.system.requests_per_s, sleep)
        self._stopped: str | None = None
        self._states: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, some: Sequence[Known], progress: Callable[[int, int | None], None]) -> Sent:
        """Send deliveries and note what came of each.

        Raises:
            BooksError: the books cannot be written.
        """
        size = max(_CHUNK, self._wire.batch_max)
        waiting = [one.delivery for one in some]
        chunks = [waiting[at : at + size] for at in range(0, len(waiting), size)]
        limits = httpx2.Limits(max_connections=self._one.system.concurrency)
        done = 0
        with (
            new_client(
                REQUEST_TIMEOUT_S, base_url=self._one.system.url, limits=limits,
                headers={"authorization": f"Bearer {self._key}"},
            ) as client,
            ThreadPoolExecutor(self._one.system.concurrency) as pool,
        ):  # fmt: skip
            for count in pool.map(lambda chunk: self._chunk(client, chunk), chunks):
                done += count
                progress(done, len(waiting))
        return Sent(self._states, self._stopped)

    def _chunk(self, client: httpx2.Client, chunk: list[Delivery]) -> int:
        if self._stopped is not None:
            return 0
        sending = [Event(delivery_key=one.delivery_key, state=State.SENDING) for one in chunk]
        note(self._books, sending, self._author)
        events: list[Event] = []
        try:
            batch = self._wire.batch_max
            for at in range(0, len(chunk), batch):
                events += self._batch(client, chunk[at : at + batch])
        finally:
            note(self._books, events, self._author)
            with self._lock:
                self._states.update(one.state.value for one in events)
        return len(chunk)

    def _batch(self, client: httpx2.Client, some: list[Delivery]) -> Iterator[Event]:
        """Yield what becomes of the deliveries of one request, made smaller where it must be."""
        if self._stopped is not None:
            yield from self._all(some, State.FAILED, None, "not tried: the push had ended")
            return
        answer = self._tried(client, some)
        status = answer.status
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
            *_RETRIED, HTTPStatus.TOO_MANY_REQUESTS,
        }:  # fmt: skip
            words = answer.words or f"HTTP {status}: {self._plain(answer.body)}"
            self._stop(words)
            state = State.UNCLEAR if answer.is_maybe_there else State.FAILED
            yield from self._all(some, state, status, words)
        elif status in _LOCKED_OUT:
            words = f"HTTP {status}: {self._one.system.key_name} is not accepted"
            self._stop(words)
            state = State.UNCLEAR if answer.is_maybe_there else State.FAILED
            yield from self._all(some, state, status, words)
        elif HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            yield from self._all(some, State.CONFIRMED, status, None)
        else:
            yield from self._refused(client, some, answer)

    def _refused(
        self, client: httpx2.Client, some: list[Delivery], answer: _Answer
    ) -> Iterator[Event]:
        found = self._wire.refused(answer.body, some)
        if found is None and len(some) > 1:
            middle = len(some) // 2
            yield from self._batch(client, some[:middle])
            yield from self._batch(client, some[middle:])
            return
        if found is None:
            yield from self._all(some, State.REFUSED, answer.status, self._plain(answer.body))
            return
        for one in found:
            detail = None if one.detail is None else self._plain(one.detail.encode())
            yield Event(delivery_key=one.delivery_key, state=one.state,
                        http_status=answer.status, detail=detail)  # fmt: skip
        told = {one.delivery_key for one in found}
        rest = [one for one in some if one.delivery_key not in told]
        if rest:
            yield from self._batch(client, rest)

    def _tried(self, client: httpx2.Client, some: list[Delivery]) -> _Answer:
        """Send a request until there is an answer that more tries would not change."""
        answer, was_maybe_there = _Answer(None), False
        for at in range(TRIES_MAX):
            answer = self._once(client, some)
            was_maybe_there |= answer.is_maybe_there
            wait_s = _wait_s(answer, at)
            if wait_s is None or at + 1 == TRIES_MAX or wait_s > WAIT_MAX_S:
                break
            if self._stopped is not None:
                break
            self._sleep(wait_s)
        return answer._replace(is_maybe_there=was_maybe_there)

    def _once(self, client: httpx2.Client, some: list[Delivery]) -> _Answer:
        made = self._wire.request(self._one, some)
        self._pace.wait()
        until_ns = clock.monotonic_ns() + int(ANSWER_TIMEOUT_S * clock.NS_PER_S)
        try:
            with client.stream(
                "POST", made.path, headers=made.headers, content=made.body
            ) as response:
                body, _ = read_bounded(response, ANSWER_MAX_BYTES, until_ns)
        except httpx2.ConnectError:
            return _Answer(None, words=f"{self._one.system.url}: cannot be reached")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            words = f"{self._one.system.url}: {type(error).__name__}, perhaps it was taken"
            return _Answer(None, is_maybe_there=True, words=words)
        is_maybe_there = (
            response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            or response.status_code in _RETRIED
        )
        asked = response.headers.get("retry-after")
        retry_after_s = None if asked is None else retry_after_text_s(asked, clock.utc_now())
        return _Answer(response.status_code, body, retry_after_s, is_maybe_there)

    def _stop(self, words: str) -> None:
        with self._lock:
            if self._stopped is None:
                self._stopped = words

    def _plain(self, text: bytes) -> str:
        return shown(text.decode("utf-8", "replace"), [self._key])

    def _all(
        self, some: Sequence[Delivery], state: State, status: int | None, detail: str | None
    ) -> Iterator[Event]:
        for one in some:
            yield Event(
                delivery_key=one.delivery_key, state=state, http_status=status, detail=detail
            )


class _Pace:
    """Lets so many requests through in a second, evenly."""

    def __init__(self, per_s: int, sleep: Callable[[float], None]) -> None:
        self._step_ns = clock.NS_PER_S // per_s
        self._sleep = sleep
        self._next_ns = 0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now_ns = clock.monotonic_ns()
            turn_ns = max(now_ns, self._next_ns)
            self._next_ns = turn_ns + self._step_ns
        if turn_ns > now_ns:
            self._sleep((turn_ns - now_ns) / clock.NS_PER_S)


def _wait_s(answer: _Answer, tried: int) -> float | None:
    """Return how long to wait before the next try; None: another try would change nothing."""
    status = answer.status
    is_busy = status is None or status in _RETRIED or status == HTTPStatus.TOO_MANY_REQUESTS
    if not is_busy and status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if answer.retry_after_s is not None:
        return answer.retry_after_s
    return float(min(WAIT_MAX_S, FIRST_WAIT_S * 2**tried))
