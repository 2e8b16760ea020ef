"""The product's own log of a run: for each planned request, what its client saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from tollbook.simulator.traffic import PlannedRequest


class Seen(Struct, frozen=True, kw_only=True):
    """What a client saw of one request, over all its attempts."""

    outcome: str  # ok, error (an HTTP error), broken (the connection or the stream), hung_up
    http_status: int | None = None
    attempts: int = 1
    call_id: str | None = None  # x-tollbook-call-id of the last attempt
    response_id: str | None = None
    events: int = 0  # of a stream
    input_tokens: int | None = None  # from the usage the client saw, None where it saw none
    output_tokens: int | None = None
    problem: str | None = None  # the class of the error, never its text


class ClientRecord(Struct, frozen=True, kw_only=True):
    """One line of the product's log."""

    request_id: str
    tenant_id: str | None
    user_id: str
    feature: str
    run_id: str | None
    step: str | None
    origin: str
    carrier: str
    provider: str
    api: str
    model: str
    is_stream: bool
    retry_of: str | None
    started_at_ns: int
    ended_at_ns: int
    seen: Seen


class Progress(NamedTuple):
    """How far a run is."""

    done: int
    total: int
    errors: int  # requests that did not end as ok or as a planned hang-up


class DriveResult(NamedTuple):
    """What came of a run."""

    total: int
    outcomes: dict[str, int]  # how many requests ended how
    duration_ns: int
    log_path: Path

    @property
    def calls_per_s(self) -> int:
        """Requests a second, rounded down."""
        return self.total * clock.NS_PER_S // max(1, self.duration_ns)


class Recorder:
    """Writes the product's log and reports progress; one event loop's, not several threads'."""

    def __init__(self, path: Path, total: int, progress: Callable[[Progress], None] | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._total = total
        self._progress = progress
        self._step = max(1, total // 200)
        self._encode = msgspec.json.Encoder().encode
        self._outcomes: dict[str, int] = {}
        self._done = self._errors = 0
        self._started_ns = clock.monotonic_ns()

    def add(self, planned: PlannedRequest, started_at_ns: int, seen: Seen) -> None:
        """Write one line."""
        owner = planned.owner
        record = ClientRecord(
            request_id=planned.id,
            tenant_id=owner.tenant_id,
            user_id=owner.user_id,
            feature=owner.feature,
            run_id=owner.run_id,
            step=owner.step,
            origin=owner.origin,
            carrier=planned.carrier,
            provider=planned.provider,
            api=planned.api,
            model=planned.model,
            is_stream=planned.is_stream,
            retry_of=planned.retry_of,
            started_at_ns=started_at_ns,
            ended_at_ns=clock.unix_ns(),
            seen=seen,
        )
        self._file.write(self._encode(record) + b"\n")
        self._outcomes[seen.outcome] = self._outcomes.get(seen.outcome, 0) + 1
        self._done += 1
        self._errors += seen.outcome not in ("ok", "hung_up")
        if self._progress and (self._done % self._step == 0 or self._done == self._total):
            self._progress(Progress(self._done, self._total, self._errors))

    def finish(self) -> DriveResult:
        """Close the log and return the result."""
        self._file.close()
        duration_ns = clock.monotonic_ns() - self._started_ns
        return DriveResult(self._done, self._outcomes, duration_ns, self._path)


def read_client_log(path: Path) -> list[ClientRecord]:
    """Read a product's log."""
    decode = msgspec.json.Decoder(ClientRecord).decode
    with path.open("rb") as file:
        return [decode(line) for line in file]
