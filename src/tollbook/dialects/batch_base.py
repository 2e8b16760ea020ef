"""What a batch API says: who owns a line, how a batch stands, what a line of results cost; pure.

A batch is submitted in one request and answered hours later. The gateway and the fetching process
read both with a :class:`BatchReader`; there is one for each dialect that has batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from msgspec import Struct

from tollbook.dialects.base import Metered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.identity.claims import Claims

MAX_ID_CHARS: Final = 512
"""OpenAI allows custom ids of up to 512 characters, Anthropic of 64."""


class InputLine(NamedTuple):
    """What a line of the input says of its owner."""

    custom_id: str
    claims: tuple[Claims, ...]


class BatchFacts(Struct, frozen=True):
    """How a batch stands; see :class:`tollbook.call.BatchSeen`."""

    batch_id: str
    status: str = ""
    is_ended: bool = False
    endpoint: str | None = None
    input_ids: tuple[str, ...] = ()
    result_ids: tuple[str, ...] = ()
    created_at_ns: int | None = None
    ended_at_ns: int | None = None
    lines: int | None = None
    model: str | None = None


class ResultLine(Struct, frozen=True):
    """What a line of the results says."""

    custom_id: str
    metered: Metered = Metered()
    endpoint: str | None = None
    """As the answer's form tells it; the batch may know better."""
    http_status: int | None = None
    error_type: str | None = None
    is_billable: bool = True
    provider_request_id: str | None = None
    problem: str | None = None
    """Why nothing is known of what the line cost."""


class InlineResults(NamedTuple):
    """All results of a batch, where the answer about the batch has them."""

    source_id: str
    lines: list[ResultLine]


class InputScanner(Protocol):
    """Reads an input while it passes. Never raises on what a client sent."""

    problem: str | None
    lines: int

    def feed(self, data: bytes) -> Sequence[InputLine]:
        """Take the next bytes of the request's body; return the lines that it completes."""

    def finish(self) -> Sequence[InputLine]:
        """Return what the end of the body completes."""


class ResultScanner(Protocol):
    """Reads results while they pass. Never raises on what a provider sent."""

    lines: int

    @property
    def has_results(self) -> bool:
        """Whether what passed are results."""

    def feed(self, data: bytes) -> Sequence[ResultLine]:
        """Take the next bytes of the response's body (plain, not compressed)."""

    def finish(self) -> Sequence[ResultLine]:
        """Return what the end of the body completes."""


class BatchReader(Protocol):
    """The batches of one API."""

    default_collection: str
    """Where batches are, below the base URL."""

    def collection(self, path: str) -> str | None:
        """Return the path of all batches from the path of one; None for any other path."""

    def subject(self, path: str) -> str | None:
        """Return the source of results that a path names: a file or a batch."""

    def input_scanner(self, headers: Mapping[bytes, bytes], user_is: str) -> InputScanner | None:
        """Return a reader of an upload or a submission, None where there is nothing to read."""

    def result_scanner(self, *, is_known: bool) -> ResultScanner:
        """Return a reader of results; where they are not known to be results, it finds out."""

    def read_file_id(self, body: bytes) -> str | None:
        """Return the id that an upload was given."""

    def read_batches(self, body: bytes, path: str = "") -> list[BatchFacts]:
        """Return the batches that an answer describes: one, or a list of them."""

    def read_inline(self, body: bytes) -> InlineResults | None:
        """Return the results inside an answer about one batch, None where there are none."""

    def shown_body(self, body: bytes, collection: str) -> bytes:
        """Return an answer about batches as the client gets it, of the same length."""

    def state_path(self, collection: str, batch_id: str) -> str:
        """Return where a batch is asked for."""

    def results_path(self, collection: str, source_id: str) -> str:
        """Return where a source of results is read."""

    def list_path(self, collection: str) -> str:
        """Return where the latest batches are listed."""
