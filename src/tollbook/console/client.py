"""How a command asks: the running ledger over its API, or the ledger file itself if none runs."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

import msgspec

from tollbook.console.auth import Address, read_announcement
from tollbook.errors import CheckFailedError, TollbookError
from tollbook.reports.errors import CallNotFoundError, RunNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.reports.params import Pairs

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 120.0
OPERATION_TIMEOUT_S: Final = 3600.0
_ANSWER_MAX_BYTES: Final = 256 * 1024 * 1024
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- compared, not bound


class LedgerSilentError(TollbookError):
    """A ledger process holds the file but does not answer."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"the ledger is running but does not answer {where} ({problem}); look at its log, or "
            "stop it and ask again"
        )


class ApiError(TollbookError):
    """The ledger refused the question, in its own words."""


class ApiCheckError(CheckFailedError):
    """The ledger looked and did not find what was asked for."""


class Source(Protocol):
    """Where a command's answers come from; answers are as the API's JSON."""

    def ask(self, name: str, pairs: Pairs) -> dict[str, Any]:
        """Answer ``spend``, ``rollup``, ``calls`` or ``tail``."""

    def explain(self, wanted: str) -> dict[str, Any]:
        """Explain one call."""

    def run(self, wanted: str, pairs: Pairs) -> dict[str, Any]:
        """Return the tree of a run."""

    def per(self, unit: str, pairs: Pairs) -> dict[str, Any]:
        """Return what one of a unit costs."""

    def status(self) -> dict[str, Any]:
        """Tell how far the ledger is and what it has found wrong."""

    def catch_up(self) -> None:
        """Have the spool read up to now."""


class NotRunningError(TollbookError):
    """The question needs a ledger process."""

    def __init__(self, option: str) -> None:
        super().__init__(f"{option}: no ledger is running here; start one with tollbook up")


class ApiSource:
    """A running ledger."""

    def __init__(self, address: Address, token: str) -> None:
        self._host = _ANY_ADDRESS.get(address.host, address.host)
        self._port = address.port
        self._token = token

    @property
    def where(self) -> str:
        """Host and port, for people."""
        return f"at {self._host}:{self._port}"

    def ask(self, name: str, pairs: Pairs) -> dict[str, Any]:
        """Answer ``spend``, ``rollup``, ``calls`` or ``tail``.

        Raises:
            ApiError: it refused; the message is the ledger's own (ApiCheckError: not found).
            LedgerSilentError: no answer in time.
        """
        return self.request("GET", f"/api/v1/{name}", pairs)

    def explain(self, wanted: str) -> dict[str, Any]:
        """Explain one call; raises as :meth:`ask`, and CallNotFoundError."""
        if "/" in wanted or not wanted:  # no id, and no path segment either
            raise CallNotFoundError(wanted)
        return self.request("GET", f"/api/v1/calls/{quote(wanted, safe='')}/explain", [])

    def run(self, wanted: str, pairs: Pairs) -> dict[str, Any]:
        """Return the tree of a run; raises as :meth:`ask`, and RunNotFoundError."""
        if not wanted.strip():
            raise RunNotFoundError(wanted)
        return self.request("GET", f"/api/v1/runs/{quote(wanted, safe='')}", pairs)

    def per(self, unit: str, pairs: Pairs) -> dict[str, Any]:
        """Return what one of a unit costs; raises as :meth:`ask`."""
        return self.request("GET", f"/api/v1/per/{quote(unit, safe='')}", pairs)

    def status(self) -> dict[str, Any]:
        """Tell how far the ledger is and what it has found wrong; raises as :meth:`ask`."""
        return self.ask("status", [])

    def catch_up(self) -> None:
        """Have the spool read up to now; raises as :meth:`ask`."""
        self.do("ingest", [("until", "now")])

    def do(self, name: str, pairs: Pairs) -> dict[str, Any]:
        """Have ``ingest``, ``verify`` or ``rerate`` done; raises as :meth:`ask`."""
        return self.request("POST", f"/api/v1/{name}", pairs, OPERATION_TIMEOUT_S)

    def finance(self, method: str, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """Have an operation of finance carried out; raises as :meth:`ask`."""
        if method == "GET":
            pairs = [
                (name, str(one))
                for name, value in given.items()
                for one in (value if isinstance(value, (list, tuple)) else [value])
            ]
            return self.request("GET", f"/api/v1{path}", pairs, OPERATION_TIMEOUT_S)
        body = msgspec.json.encode(given)
        return self.request("POST", f"/api/v1{path}", [], OPERATION_TIMEOUT_S, body)

    def request(
        self, method: str, path: str, pairs: Pairs, timeout_s: float = ANSWER_TIMEOUT_S,
        body: bytes | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Send one request and return the JSON of its answer; raises as :meth:`ask`."""
        target = f"{path}?{urlencode(pairs)}" if pairs else path
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
            connection.sock.settimeout(timeout_s)
            headers = {"authorization": f"Bearer {self._token}", "accept": "application/json"}
            if body is not None:
                headers["content-type"] = "application/json"
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            answer = response.read(_ANSWER_MAX_BYTES)
        except (OSError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
            raise LedgerSilentError(self.where, problem) from error
        finally:
            connection.close()
        return self._answer(response.status, answer)

    def is_answering(self) -> bool:
        """Whether something accepts connections there."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def _answer(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise LedgerSilentError(self.where, f"HTTP {status} that is not JSON") from error
        if status >= http.client.BAD_REQUEST:
            detail = str(answer.get("detail", f"HTTP {status}"))
            raise (ApiCheckError if answer.get("exit_code") == 1 else ApiError)(detail)
        return answer


def running_ledger(data_dir: Path) -> ApiSource | None:
    """Return the ledger that announced itself in the data directory and answers, else None.

    Raises:
        AnnouncementError: the token cannot be read.
    """
    announced = read_announcement(data_dir)
    if announced is None:
        return None
    source = ApiSource(*announced)
    return source if source.is_answering() else None


@contextmanager
def open_source(config: Config, data_dir: Path) -> Iterator[Source]:
    """Give a source: the running ledger, or the file itself.

    Raises:
        AnnouncementError: the token cannot be read.
        LedgerSilentError: a ledger runs but does not answer.
        LedgerFileError: the file is missing or cannot be used.
        BooksError: the books cannot be used.
    """
    running = running_ledger(data_dir)
    if running is not None:
        yield running
        return
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.console.local import open_local  # noqa: PLC0415 -- see above

    with open_local(config, data_dir) as source:
        yield source
