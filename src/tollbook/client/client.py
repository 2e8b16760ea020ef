"""The clients: one that waits, and one for asyncio. Both have the same questions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2

from tollbook.client import questions
from tollbook.client.errors import ApiUnreachableError, UnexpectedAnswerError, error_of
from tollbook.client.questions import API, Question, Range
from tollbook.client.transport import (
    ANSWER_MAX_BYTES,
    RETRIED,
    RETRIES,
    TIMEOUT_S,
    body_of,
    options,
    read,
    wait_s,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tollbook.client.answers import (
        Budgets,
        Call,
        Explanation,
        Export,
        Incidents,
        Periods,
        PortalToken,
        Run,
        Runs,
        Spend,
    )

T = TypeVar("T")
_PAGE = 1_000
_LIFETIME_S = 900
_JSON = {"content-type": "application/json"}
_OK = 200


class Client:
    """Asks a running Tollbook. Safe to use from several threads.

    Args:
        url: where its console listens, such as ``http://127.0.0.1:8321``.
        token: an API token, or the one in ``console.token`` of the data directory.
        timeout_s: of one attempt.
        retries: of reads that did not arrive or were told to come later.
        transport: how requests are sent; for tests.

    Every question raises ApiError (its subclasses say which kind), ApiUnreachableError, or
    UnexpectedAnswerError.
    """

    def __init__(
        self, url: str, token: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._url, self._retries = url, retries
        self._http = httpx2.Client(**options(url, token, timeout_s), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def spend(
        self, *, by: Iterable[str] = (), measures: Iterable[str] = (), order: Iterable[str] = (),
        limit: int | None = None, **asked: Any,
    ) -> Spend:  # fmt: skip
        """Return sums of the ledger.

        Args:
            by: dimensions, such as ``tenant`` and ``day``.
            measures: what is summed; none: calls, tokens and cost.
            order: what to sort by; ``-`` before a name is descending.
            limit: most rows; the rest is one more.
            asked: fields of :class:`Range`: since, until, period, tz, where, billing_period.
        """
        return self._ask(questions.spend(Range(**asked), by, measures, order, limit))

    def calls(self, *, limit: int | None = None, **asked: Any) -> Iterator[Call]:
        """Yield calls, newest first, asking for pages as they are needed.

        Args:
            limit: most calls; None: all in the range.
            asked: fields of :class:`Range`.
        """
        before, left = None, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = self._ask(questions.calls(Range(**asked), size, before))
            yield from page.rows
            left = None if left is None else left - len(page.rows)
            before = page.next_before
            if before is None:
                return

    def explain(self, call_id: str) -> Explanation:
        """Return why a call cost what it did; also by the provider's or the request's id."""
        return self._ask(questions.explain(call_id))

    def runs(self, *, limit: int | None = None, **asked: Any) -> Runs:
        """Return runs of agents, the dearest first."""
        return self._ask(questions.runs(Range(**asked), limit))

    def run(self, run_id: str, *, limit: int | None = None) -> Run:
        """Return the tree of a run."""
        return self._ask(questions.run(run_id, limit))

    def budgets(self, name: str | None = None) -> Budgets:
        """Return where budgets stand."""
        return self._ask(questions.budgets(name))

    def incidents(self, state: str | None = None) -> Incidents:
        """Return incidents."""
        return self._ask(questions.incidents(state))

    def periods(self) -> Periods:
        """Return billing periods."""
        return self._ask(questions.periods())

    def export_focus(self, period: str) -> Export:
        """Make an export in the FOCUS format; its files are rows."""
        return self._ask(questions.export_focus(period))

    def download(self, export_id: str, name: str, target: Path | str) -> Path:
        """Write a file of an export to a path that does not exist yet, and return it.

        Raises:
            FileExistsError: there is a file already.
        """
        path = Path(target)
        pairs = questions.export_file(export_id, name)
        written = 0
        try:
            with self._http.stream("GET", f"{API}/exports/file", params=pairs) as response:
                if response.status_code != _OK:
                    raise error_of(response.status_code, response.read())
                with path.open("xb") as file:
                    for piece in response.iter_bytes():
                        written += len(piece)
                        file.write(piece)
        except httpx2.HTTPError as error:
            if written:
                path.unlink(missing_ok=True)
            raise ApiUnreachableError(self._url, _words(error)) from error
        return path

    def portal_token(
        self, tenant: str, *, lifetime_s: int = _LIFETIME_S, parts: Iterable[str] = ()
    ) -> PortalToken:
        """Make a token that opens one tenant's portal.

        Args:
            tenant: whose.
            lifetime_s: 30 to 86,400 seconds.
            parts: what it opens; none: all that the portal shows.
        """
        return self._ask(questions.portal_token(tenant, lifetime_s, parts))

    def _ask(self, question: Question[T]) -> T:
        attempts = 1 + (self._retries if question.method == "GET" else 0)
        for attempt in range(attempts):
            is_last = attempt == attempts - 1
            response = None
            try:
                response = self._http.request(
                    question.method, question.path, params=question.pairs,
                    content=body_of(question), headers=_JSON if question.body else None,
                )  # fmt: skip
            except httpx2.TransportError as error:
                if is_last or isinstance(error, httpx2.ReadTimeout):
                    raise ApiUnreachableError(self._url, _words(error)) from error
            if response is not None and (is_last or response.status_code not in RETRIED):
                return read(question, response.status_code, _bounded(question, response))
            sleep(wait_s(attempt, response))
        raise AssertionError("the last attempt returns or raises")


class AsyncClient:
    """As :class:`Client`, for asyncio."""

    def __init__(
        self, url: str, token: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._url, self._retries = url, retries
        self._http = httpx2.AsyncClient(**options(url, token, timeout_s), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._url!r})"

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def spend(
        self, *, by: Iterable[str] = (), measures: Iterable[str] = (), order: Iterable[str] = (),
        limit: int | None = None, **asked: Any,
    ) -> Spend:  # fmt: skip
        """Return sums of the ledger; see :meth:`Client.spend`."""
        return await self._ask(questions.spend(Range(**asked), by, measures, order, limit))

    async def calls(self, *, limit: int | None = None, **asked: Any) -> AsyncIterator[Call]:
        """Yield calls, newest first; see :meth:`Client.calls`."""
        before, left = None, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = await self._ask(questions.calls(Range(**asked), size, before))
            for row in page.rows:
                yield row
            left = None if left is None else left - len(page.rows)
            before = page.next_before
            if before is None:
                return

    async def explain(self, call_id: str) -> Explanation:
        """Return why a call cost what it did."""
        return await self._ask(questions.explain(call_id))

    async def runs(self, *, limit: int | None = None, **asked: Any) -> Runs:
        """Return runs of agents, the dearest first."""
        return await self._ask(questions.runs(Range(**asked), limit))

    async def run(self, run_id: str, *, limit: int | None = None) -> Run:
        """Return the tree of a run."""
        return await self._ask(questions.run(run_id, limit))

    async def budgets(self, name: str | None = None) -> Budgets:
        """Return where budgets stand."""
        return await self._ask(questions.budgets(name))

    async def incidents(self, state: str | None = None) -> Incidents:
        """Return incidents."""
        return await self._ask(questions.incidents(state))

    async def periods(self) -> Periods:
        """Return billing periods."""
        return await self._ask(questions.periods())

    async def portal_token(
        self, tenant: str, *, lifetime_s: int = _LIFETIME_S, parts: Iterable[str] = ()
    ) -> PortalToken:
        """Make a token that opens one tenant's portal; see :meth:`Client.portal_token`."""
        return await self._ask(questions.portal_token(tenant, lifetime_s, parts))

    async def _ask(self, question: Question[T]) -> T:
        attempts = 1 + (self._retries if question.method == "GET" else 0)
        for attempt in range(attempts):
            is_last = attempt == attempts - 1
            response = None
            try:
                response = await self._http.request(
                    question.method, question.path, params=question.pairs,
                    content=body_of(question), headers=_JSON if question.body else None,
                )  # fmt: skip
            except httpx2.TransportError as error:
                if is_last or isinstance(error, httpx2.ReadTimeout):
                    raise ApiUnreachableError(self._url, _words(error)) from error
            if response is not None and (is_last or response.status_code not in RETRIED):
                return read(question, response.status_code, _bounded(question, response))
            await asyncio.sleep(wait_s(attempt, response))
        raise AssertionError("the last attempt returns or raises")


def _bounded(question: Question[Any], response: httpx2.Response) -> bytes:
    if len(response.content) > ANSWER_MAX_BYTES:
        raise UnexpectedAnswerError(question.path, f"is larger than {ANSWER_MAX_BYTES} bytes")
    return response.content


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
