"""The fast driver: plain HTTP on uvloop, for runs of many thousand calls.

Same plan, same meaning as the official clients: keep-alive connections, their own retries on 429
and 5xx with ``x-stainless-retry-count``, hang-ups in the middle of a stream.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import uvloop

from tollbook import clock
from tollbook.simulator.bodies import prepare
from tollbook.simulator.outcomes import DriveResult, Progress, Recorder, Seen
from tollbook.simulator.raw_client import BrokenError, HungUpError, RawAnswer, RawConnection
from tollbook.simulator.sse_view import count_content, view_plain, view_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tollbook.simulator.traffic import PlannedRequest

_ERROR_FROM = 400
_RETRIED = frozenset({408, 409, 429})
_SERVER_ERROR_FROM = 500
_CONNECT_TRIES = 40
_CONNECT_PAUSE_S = 0.1
_encode = msgspec.json.Encoder().encode


def drive_raw(
    requests: Sequence[PlannedRequest],
    base_url: str,
    log_path: Path,
    *,
    api_key: str = "sk-sim-product",
    virtual_keys: Mapping[str, str] | None = None,
    concurrency: int = 64,
    text_tokens_max: int = 48,
    timeout_s: float = 120.0,
    names_attempts: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> DriveResult:
    """Send planned requests; return when all have ended.

    Args:
        requests: of a plan, sent in order as connections become free.
        base_url: of the gateway, or of the simulator itself: ``http://127.0.0.1:8080``.
        log_path: the product's own log (JSON lines), replaced.
        api_key: the product's provider key.
        virtual_keys: key by tenant, for requests planned with one.
        concurrency: connections at once.
        text_tokens_max: how much prompt text is really sent.
        timeout_s: of one attempt.
        names_attempts: send ``Idempotency-Key: <request id>/<attempt from 0>``, by which each
            attempt can be found again behind the gateway, answered or not.
        progress: called some 200 times.
    """
    driver = _RawDriver(
        base_url, api_key, virtual_keys or {}, text_tokens_max, timeout_s,
        Recorder(log_path, len(requests), progress), names_attempts=names_attempts,
    )  # fmt: skip
    result: DriveResult = uvloop.run(driver.run(requests, concurrency))
    return result


class _RawDriver:
    def __init__(
        self,
        base_url: str,
        api_key: str,
        virtual_keys: Mapping[str, str],
        text_tokens_max: int,
        timeout_s: float,
        recorder: Recorder,
        *,
        names_attempts: bool,
    ) -> None:
        self._names_attempts = names_attempts
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._prefix = parts.path.rstrip("/")
        self._api_key = api_key
        self._virtual_keys = virtual_keys
        self._text_tokens_max = text_tokens_max
        self._timeout_s = timeout_s
        self._recorder = recorder

    async def run(self, requests: Sequence[PlannedRequest], concurrency: int) -> DriveResult:
        """Share the requests among workers."""
        queue = iter(requests)
        async with asyncio.TaskGroup() as group:
            for number in range(min(concurrency, len(requests))):
                group.create_task(self._work(queue, random.Random(number)))
        return self._recorder.finish()

    async def _work(self, queue: Iterator[PlannedRequest], rng: random.Random) -> None:
        connection: RawConnection | None = None
        for planned in queue:
            started_at_ns = clock.unix_ns()
            attempt = 0
            while True:
                seen, connection, retry_after_s = await self._attempt(planned, attempt, connection)
                attempt += 1
                if retry_after_s is None or attempt > planned.max_retries:
                    break
                await asyncio.sleep(retry_after_s * (1 + rng.random() / 4))
            self._recorder.add(planned, started_at_ns, seen)
        if connection is not None:
            connection.close()

    async def _connect(self) -> RawConnection | None:
        """Connect, waiting for a server that is being restarted."""
        loop = asyncio.get_running_loop()
        for _ in range(_CONNECT_TRIES):
            try:
                _, made = await loop.create_connection(RawConnection, self._host, self._port)
            except OSError:
                await asyncio.sleep(_CONNECT_PAUSE_S)
            else:
                return made
        return None

    async def _attempt(
        self, planned: PlannedRequest, attempt: int, connection: RawConnection | None
    ) -> tuple[Seen, RawConnection | None, float | None]:
        """Send once. Returns what was seen, the connection, and when to try again if at all."""
        if connection is None or not connection.is_open:
            connection = await self._connect()
        if connection is None:
            return Seen(outcome="broken", problem="ConnectError", attempts=attempt + 1), None, None
        leave = None if planned.hang_up_after is None else _leaving(planned.hang_up_after)
        waiter = connection.send(self._request(planned, attempt), leave)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await waiter
        except (BrokenError, HungUpError, TimeoutError) as error:
            connection.close()
            outcome = "hung_up" if isinstance(error, HungUpError) else "broken"
            seen = Seen(
                outcome=outcome,
                http_status=connection.status or None,
                attempts=attempt + 1,
                call_id=connection.headers.get("x-tollbook-call-id"),
                problem=type(error).__name__,
            )
            can_retry = outcome == "broken" and not connection.status
            return seen, None, 0.05 if can_retry else None
        return _seen(planned, answer, attempt + 1), connection, _retry_after_s(answer)

    def _request(self, planned: PlannedRequest, attempt: int) -> bytes:
        made = prepare(planned, self._api_key, self._virtual_keys, self._text_tokens_max)
        body = _encode(made.body)
        credential = (
            f"authorization: Bearer {made.api_key}"
            if planned.provider == "openai"
            else f"x-api-key: {made.api_key}\r\nanthropic-version: 2023-06-01"
        )
        lines = [
            f"POST {self._prefix}{made.path} HTTP/1.1",
            f"host: {self._host}:{self._port}",
            "content-type: application/json",
            "accept: application/json",
            credential,
            f"x-stainless-retry-count: {attempt}",
            f"content-length: {len(body)}",
            *[f"{name}: {value}" for name, value in made.headers.items()],
            *([f"idempotency-key: {planned.id}/{attempt}"] if self._names_attempts else []),
            "\r\n",
        ]
        return "\r\n".join(lines).encode() + body


def _leaving(after: int) -> Callable[[bytes], bool]:
    """Return a watcher that says when enough content events have come."""
    count = 0

    def is_enough(chunk: bytes) -> bool:
        nonlocal count
        count += count_content(chunk)
        return count >= after

    return is_enough


def _retry_after_s(answer: RawAnswer) -> float | None:
    """Return when the official clients would try again, or None if they would not."""
    if answer.status not in _RETRIED and answer.status < _SERVER_ERROR_FROM:
        return None
    milliseconds = answer.headers.get("retry-after-ms", "")
    if milliseconds.isdigit():
        return int(milliseconds) / 1000
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdigit() else 0.5


def _seen(planned: PlannedRequest, answer: RawAnswer, attempts: int) -> Seen:
    call_id = answer.headers.get("x-tollbook-call-id")
    if answer.status >= _ERROR_FROM:
        return Seen(outcome="error", http_status=answer.status, attempts=attempts, call_id=call_id)
    view = view_stream(answer.body) if planned.is_stream else view_plain(answer.body)
    return Seen(
        outcome="ok" if view.is_complete else "broken",
        http_status=answer.status,
        attempts=attempts,
        call_id=call_id,
        response_id=view.response_id,
        events=view.events,
        input_tokens=view.input_tokens,
        output_tokens=view.output_tokens,
    )
