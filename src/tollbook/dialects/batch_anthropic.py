"""Message Batches of the Anthropic API: requests inside the submission, results as JSON lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text
from tollbook.dialects.anthropic_plain import read_anthropic_answer
from tollbook.dialects.batch_base import BatchFacts, InlineResults, InputLine, ResultLine
from tollbook.dialects.batch_lines import ElementSplitter, custom_id_in
from tollbook.dialects.batch_openai import time_ns
from tollbook.dialects.batch_results import LineResults, custom_id_of
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.http_head import plain_path
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.batch_base import InputScanner, ResultScanner
    from tollbook.dialects.batch_lines import Piece

ENDPOINT: Final = "/v1/messages"
_COLLECTION: Final = "/messages/batches"
_MAX_LISTED: Final = 1000
_RESULTS_URL: Final = re.compile(
    rb'("results_url"\s*:\s*)"(https?://[^"\\]{0,512}/messages/batches/[^"\\/]{1,256}/results)"'
)


class _Params(Struct, gc=False):
    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    tags: Raw = Raw()


class _Request(Struct, gc=False):
    custom_id: Any = None
    params: _Params | None = None


class _Outcome(Struct, gc=False):
    type: Any = None
    message: Raw = Raw()
    error: Raw = Raw()


class _Error(Struct, gc=False):
    error: Raw = Raw()


class _Result(Struct, gc=False):
    custom_id: Any = None
    result: _Outcome | None = None


class _Batch(Struct, gc=False):
    id: Any = None
    processing_status: Any = None
    created_at: Any = None
    ended_at: Any = None
    request_counts: Any = None
    results_url: Any = None
    data: Raw = Raw()


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_result = msgspec.json.Decoder(_Result).decode
_decode_error = msgspec.json.Decoder(_Error).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_batches = msgspec.json.Decoder(list[_Batch]).decode


class AnthropicBatches:
    """See :class:`tollbook.dialects.batch_base.BatchReader`."""

    default_collection = "/v1/messages/batches"

    def collection(self, path: str) -> str | None:
        """Return ``.../messages/batches`` from any path below it."""
        head, found, _ = f"{plain_path(path)}/".partition(f"{_COLLECTION}/")
        return head + _COLLECTION if found else None

    def subject(self, path: str) -> str | None:
        """Return the batch of ``.../messages/batches/{id}/results``."""
        parts = plain_path(path).split("/")
        if len(parts) > 2 and parts[-1] == "results" and parts[-3] == "batches":  # noqa: PLR2004 -- batches, id, results
            return short_text(parts[-2])
        return None

    def input_scanner(self, headers: Mapping[bytes, bytes], user_is: str) -> InputScanner | None:  # noqa: ARG002 -- one media type
        """Return a reader of the requests in a submission."""
        return RequestScanner(user_is)

    def result_scanner(self, *, is_known: bool) -> ResultScanner:
        """Return a reader of results."""
        return LineResults(read_result, is_known=is_known)

    def read_file_id(self, body: bytes) -> str | None:  # noqa: ARG002 -- there are none
        """Return None: no files."""
        return None

    def read_batches(self, body: bytes, path: str = "") -> list[BatchFacts]:  # noqa: ARG002 -- the answer names the batch
        """Return the batch, or the batches of a list."""
        try:
            read = _decode_batch(body)
            listed = _decode_batches(read.data) if is_given(read.data) else [read]
        except DECODE_ERRORS:
            return []
        found = (_facts(one) for one in listed[:_MAX_LISTED])
        return [one for one in found if one is not None]

    def read_inline(self, body: bytes) -> InlineResults | None:  # noqa: ARG002 -- results are asked for
        """Return None: results are never in the batch."""
        return None

    def shown_body(self, body: bytes, collection: str) -> bytes:
        """Return the answer with each ``results_url`` as a path on the server that was asked.

        The official SDKs follow it: an absolute one would lead past the gateway, with a key that
        the provider does not know. They resolve a path against their base URL. White space fills
        it up to the length it had (RFC 8259 section 2 allows it after a value).
        """

        def as_path(match: re.Match[bytes]) -> bytes:
            tail = match[2].rpartition(b"/messages/batches/")[2]
            path = b'"%b/%b"' % (collection.encode(), tail)
            room = len(match[0]) - len(match[1])
            return match[1] + path.ljust(room) if len(path) <= room else match[0]

        return _RESULTS_URL.sub(as_path, body)

    def state_path(self, collection: str, batch_id: str) -> str:
        """Return where a batch is asked for."""
        return f"{collection}/{batch_id}"

    def results_path(self, collection: str, source_id: str) -> str:
        """Return where results are read; ``results_url`` is not followed to other hosts."""
        return f"{collection}/{source_id}/results"

    def list_path(self, collection: str) -> str:
        """Return where the latest batches are listed."""
        return f"{collection}?limit=100"


class RequestScanner:
    """Reads the requests of a submission. See ``InputScanner``."""

    def __init__(self, user_is: str) -> None:
        self._splitter = ElementSplitter(frozenset([b"requests"]))
        self._user_is = user_is
        self.problem: str | None = None
        self.lines = 0

    def feed(self, data: bytes) -> Sequence[InputLine]:
        """Take bytes of the submission; return the requests that it completes."""
        found = []
        for piece in self._splitter.feed(data):
            self.lines += 1
            line = read_request(piece, self._user_is)
            if line is None:
                self.problem = "some requests could not be read; their owner is that of the batch"
            else:
                found.append(line)
        return found

    def finish(self) -> Sequence[InputLine]:
        """Return nothing: a request that does not end is none."""
        return ()


def read_request(piece: Piece, user_is: str) -> InputLine | None:
    """Return the custom id of a request and the owner it names; None if it has no id."""
    if not piece.is_whole:
        custom_id = custom_id_in(piece.data)
        return None if custom_id is None else InputLine(custom_id, ())
    try:
        read = _decode_request(piece.data)
    except DECODE_ERRORS:
        return None
    custom_id = custom_id_of(read.custom_id)
    if custom_id is None:
        return None
    params = read.params
    if params is None or not (params.metadata or params.litellm_metadata or params.tags):
        return InputLine(custom_id, ())
    owners = Owners(
        params.metadata, params.litellm_metadata, params.tags, user_where="metadata.user_id"
    )
    return InputLine(custom_id, claims_from_body(owners, user_is))


def read_result(data: bytes) -> ResultLine | None:
    """Return what a line of results says; None for what is no such line.

    Errored, cancelled and expired requests are not billed (Anthropic, Batch processing).
    """
    try:
        read = _decode_result(data)
    except DECODE_ERRORS:
        return None
    custom_id, outcome = custom_id_of(read.custom_id), read.result
    if custom_id is None or outcome is None or not isinstance(outcome.type, str):
        return None
    if outcome.type == "succeeded":
        metered = read_anthropic_answer(bytes(outcome.message))
        problem = None if metered.usage else "the line reports no usage"
        return ResultLine(custom_id, metered, ENDPOINT, http_status=200, problem=problem)
    error_type = short_text(outcome.type)
    if outcome.type == "errored" and is_given(outcome.error):
        error_type = _error_type(outcome.error) or error_type
    is_known = outcome.type in {"errored", "canceled", "expired"}
    return ResultLine(
        custom_id,
        endpoint=ENDPOINT,
        error_type=error_type,
        is_billable=not is_known,
        problem=None if is_known else "the outcome of the line is of an unknown type",
    )


def _error_type(raw: Raw) -> str | None:
    """Return the type of ``{"type": "error", "error": {"type": ...}}`` or of the inner object."""
    try:
        inner = _decode_error(raw).error
    except DECODE_ERRORS:
        return None
    return error_type_of(inner if is_given(inner) else raw)


def _facts(read: _Batch) -> BatchFacts | None:
    batch_id, status = short_text(read.id), short_text(read.processing_status)
    if batch_id is None or status is None:
        return None
    counts = read.request_counts if isinstance(read.request_counts, dict) else {}
    lines = sum(count for count in counts.values() if type(count) is int and 0 < count < 2**31)
    is_ended = status == "ended"
    return BatchFacts(
        batch_id=batch_id,
        status=status,
        is_ended=is_ended,
        endpoint=ENDPOINT,
        result_ids=(batch_id,) if is_ended else (),
        created_at_ns=time_ns(read.created_at),
        ended_at_ns=time_ns(read.ended_at),
        lines=lines or None,
    )
