"""The truth log: what the simulated providers received, did and will bill.

One JSON line per fact, written with a single ``write`` to a file opened for append, so a line is
either there or not, whichever process dies. ``received`` is written when a request has arrived,
``ended`` before the last byte of its answer leaves; should that byte then not reach the
connection, a second ``ended`` replaces the first: the last one counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.errors import TollbookError
from tollbook.simulator.pricelist import Quantities

if TYPE_CHECKING:
    from collections.abc import Iterable

LINE_MAX_BYTES = 64 * 1024


class Received(Struct, frozen=True, tag_field="event", tag="received", omit_defaults=True):
    """A request has arrived, whole, at a provider."""

    attempt_id: str  # unique in the log: one per arrival
    provider: str
    method: str
    path: str
    arrived_at_ns: int
    request_id: str | None = None  # the traffic's own: x-sim-request-id, or the prompt's ticket
    attempt: int = 1  # the how-manyeth arrival with this request_id
    retry_count: int = 0  # x-stainless-retry-count, the client's own count
    model_requested: str | None = None
    is_stream: bool = False
    leaks: tuple[str, ...] = ()  # identity headers that should not have come here


class Ended(Struct, frozen=True, tag_field="event", tag="ended", omit_defaults=True):
    """A request is done with, and this is what is billed for it."""

    attempt_id: str
    ended_at_ns: int
    outcome: str  # ok, error, cut, hung_up, rejected
    http_status: int | None = None  # None: no response head was sent
    fault: str | None = None
    model: str | None = None  # the snapshot that answered
    provider_request_id: str | None = None
    response_id: str | None = None
    is_billed: bool = False
    quantities: dict[str, int] = {}  # by bill kind, non-zero ones; what is billed
    cost_usd: str = "0.000000000000"
    usage_delivered: bool = False  # the whole final usage object was written to the connection
    client_hung_up: bool = False
    events_sent: int = 0


class TruthCall(NamedTuple):
    """One arrival and its end; ``ended`` is None while it is in flight."""

    received: Received
    ended: Ended | None

    @property
    def is_billed(self) -> bool:
        """Whether the provider charges for it."""
        return self.ended is not None and self.ended.is_billed

    @property
    def quantities(self) -> Quantities:
        """What is billed, as disjoint kinds."""
        return Quantities(**(self.ended.quantities if self.ended else {}))

    @property
    def usage_delivered(self) -> bool:
        """Whether the caller could have read the final usage."""
        return self.ended is not None and self.ended.usage_delivered


class TruthLogError(TollbookError):
    """A line of a truth log that is not a record."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: not a truth record ({problem}); restore the file")


class TruthLog:
    """Appends to ``DIR/truth-<start>-<pid>.jsonl``; not for use by several threads."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._prefix = f"{clock.unix_ns():x}-{os.getpid()}"
        self.path = directory / f"truth-{self._prefix}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        self._encode = msgspec.json.Encoder().encode
        self._count = 0

    def new_attempt_id(self) -> str:
        """Return an id that no other record of any log has."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def write(self, record: Received | Ended) -> None:
        """Append one line with one system call."""
        line = self._encode(record) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):  # a full disk can take a part: the oracle must not go on lying
            raise OSError(f"{self.path}: short write of a truth record; free disk space")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


_decode = msgspec.json.Decoder(Received | Ended).decode


def _files(sources: Path | Iterable[Path]) -> list[Path]:
    paths = [sources] if isinstance(sources, Path) else list(sources)
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob("truth-*.jsonl")) if path.is_dir() else [path]
    return found


def read_truth(sources: Path | Iterable[Path]) -> list[TruthCall]:
    """Read truth logs (files, or directories of them) and return the calls in arrival order.

    A last line without its end, left by a killed simulator or a running one, is not a record.

    Raises:
        TruthLogError: any other line that is not a record.
    """
    received: dict[str, Received] = {}
    ended: dict[str, Ended] = {}
    for path in _files(sources):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = _decode(line)
                except msgspec.MsgspecError as error:
                    raise TruthLogError(path, number, str(error)) from error
                if isinstance(record, Received):
                    received[record.attempt_id] = record
                else:
                    ended[record.attempt_id] = record
    calls = [TruthCall(record, ended.get(key)) for key, record in received.items()]
    return sorted(calls, key=lambda call: call.received.arrived_at_ns)
