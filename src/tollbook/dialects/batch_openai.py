"""Batches of the OpenAI API, and of Azure, Groq and Mistral, which have the same shape.

Files of lines go in and come out (OpenAI, Batch API reference): ``POST /files`` with purpose
``batch``, ``POST /batches`` naming the file, ``GET /batches/{id}``, ``GET /files/{id}/content``.
Mistral calls a batch a job (``/batch/jobs``) and its files ``input_files``, ``output_file`` and
``error_file``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text
from tollbook.dialects.batch_base import BatchFacts, InlineResults, InputLine, ResultLine
from tollbook.dialects.batch_lines import LineSplitter, custom_id_in
from tollbook.dialects.batch_multipart import FilePart, boundary_of
from tollbook.dialects.batch_results import LineResults, custom_id_of
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.http_head import plain_path
from tollbook.dialects.openai_plain import usage_of_response
from tollbook.dialects.request_body import DECODE_ERRORS, BodyReader
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.batch_base import InputScanner, ResultScanner
    from tollbook.dialects.batch_lines import Piece

_NS_PER_S: Final = 1_000_000_000
_MAX_LISTED: Final = 1000
_MAX_INLINE: Final = 100_000
_ENDED: Final = frozenset({
    "failed", "completed", "expired", "cancelled",
    "success", "timeout_exceeded",
})  # fmt: skip
"""OpenAI's, then Mistral's (in lower case). An expired or cancelled batch has what was done."""
_ENDPOINTS: Final = {
    "chat.completion": "/v1/chat/completions",
    "response": "/v1/responses",
    "text_completion": "/v1/completions",
    "list": "/v1/embeddings",
}
"""What made an answer, by its ``object``."""


class _Line(Struct, gc=False):
    custom_id: Any = None
    body: Raw = Raw()


class _Body(Struct, gc=False):
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    tags: Raw = Raw()


class _Response(Struct, gc=False):
    status_code: Any = None
    request_id: Any = None
    body: Raw = Raw()


class _Result(Struct, gc=False):
    id: Any = None
    custom_id: Any = None
    response: Raw = Raw()
    error: Raw = Raw()


class _Batch(Struct, gc=False):
    id: Any = None
    object: Any = None
    status: Any = None
    endpoint: Any = None
    model: Any = None
    input_file_id: Any = None
    input_files: Any = None
    output_file_id: Any = None
    output_file: Any = None
    error_file_id: Any = None
    error_file: Any = None
    created_at: Any = None
    completed_at: Any = None
    expired_at: Any = None
    cancelled_at: Any = None
    failed_at: Any = None
    request_counts: Any = None
    total_requests: Any = None
    data: Raw = Raw()


class _Inline(Struct, gc=False):
    id: Any = None
    output_file: Any = None
    outputs: list[Raw] | None = None


class _File(Struct, gc=False):
    id: Any = None
    object: Any = None
    usage: Raw = Raw()


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_result = msgspec.json.Decoder(_Result).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_batches = msgspec.json.Decoder(list[_Batch]).decode
_decode_inline = msgspec.json.Decoder(_Inline).decode
_decode_file = msgspec.json.Decoder(_File).decode
_read_body = BodyReader(_Body, {"user": str, "safety_identifier": str}).read


class OpenAIBatches:
    """See :class:`tollbook.dialects.batch_base.BatchReader`."""

    default_collection = "/v1/batches"

    def collection(self, path: str) -> str | None:
        """Return ``.../batches`` or ``.../batch/jobs`` from any path below it."""
        path = plain_path(path)
        for name in ("/batches", "/batch/jobs"):
            if path.endswith(name):
                return path
            head, found, _ = path.rpartition(name + "/")
            if found:
                return head + name
        return None

    def subject(self, path: str) -> str | None:
        """Return the file of ``.../files/{id}/content``."""
        parts = plain_path(path).split("/")
        if len(parts) > 2 and parts[-1] == "content" and parts[-3] == "files":  # noqa: PLR2004 -- files, id, content
            return short_text(parts[-2])
        return None

    def input_scanner(self, headers: Mapping[bytes, bytes], user_is: str) -> InputScanner | None:
        """Return a reader of the file in an upload; a submission only names its file."""
        boundary = boundary_of(headers.get(b"content-type", b""))
        return None if boundary is None else UploadScanner(boundary, user_is)

    def result_scanner(self, *, is_known: bool) -> ResultScanner:
        """Return a reader of a file of results."""
        return LineResults(read_result, is_known=is_known)

    def read_file_id(self, body: bytes) -> str | None:
        """Return the ``id`` of a file object."""
        try:
            return short_text(_decode_file(body).id)
        except DECODE_ERRORS:
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

    def read_inline(self, body: bytes) -> InlineResults | None:
        """Return the ``outputs`` of a Mistral job that was asked for with ``inline=true``.

        Where the job has a file too, they are lines of that file, seen earlier.
        """
        try:
            read = _decode_inline(body)
        except DECODE_ERRORS:
            return None
        job_id, file_id = short_text(read.id), short_text(read.output_file)
        if job_id is None or not read.outputs:
            return None
        lines = []
        for at, raw in enumerate(read.outputs[:_MAX_INLINE], 1):
            line = read_result(bytes(raw))
            lines.append(line or ResultLine(f"(line {at})", problem="the line cannot be read"))
        return InlineResults(file_id or job_id, lines)

    def shown_body(self, body: bytes, collection: str) -> bytes:  # noqa: ARG002 -- it names no address
        """Return the answer as it is."""
        return body

    def state_path(self, collection: str, batch_id: str) -> str:
        """Return where a batch is asked for."""
        return f"{collection}/{batch_id}"

    def results_path(self, collection: str, source_id: str) -> str:
        """Return where a file is read: files stand beside batches."""
        base = collection.removesuffix("/batch/jobs").removesuffix("/batches")
        return f"{base}/files/{source_id}/content"

    def list_path(self, collection: str) -> str:
        """Return where the latest batches are listed."""
        return collection if collection.endswith("/batch/jobs") else f"{collection}?limit=100"


class UploadScanner:
    """Reads the lines of an uploaded file. See ``InputScanner``."""

    def __init__(self, boundary: bytes, user_is: str) -> None:
        self._part = FilePart(boundary)
        self._splitter = LineSplitter()
        self._user_is = user_is
        self._is_other = False  # no file of batch lines
        self.problem: str | None = None
        self.lines = 0

    def feed(self, data: bytes) -> Sequence[InputLine]:
        """Take bytes of the upload; return the lines that it completes."""
        if self._is_other:
            return ()
        found: list[InputLine] = []
        for part in self._part.feed(data):
            self._read(self._splitter.feed(part), found)
        if self._part.purpose not in {None, "batch"}:
            self._is_other, self.lines = True, 0
            return ()
        return found

    def finish(self) -> Sequence[InputLine]:
        """Return what the end of the file completes."""
        found: list[InputLine] = []
        if not self._is_other:
            self._read(self._splitter.finish(), found)
        return found

    def _read(self, pieces: Sequence[Piece], found: list[InputLine]) -> None:
        for piece in pieces:
            if self._is_other:
                return
            if not self.lines and not piece.data.removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
                self._is_other = True  # an image, a document: not JSON lines
                return
            self.lines += 1
            line = read_line(piece, self._user_is)
            if line is None:
                self.problem = "some lines could not be read; their owner is that of the batch"
            else:
                found.append(line)


def read_line(piece: Piece, user_is: str) -> InputLine | None:
    """Return the custom id of a line and the owner its body names; None if it has no id."""
    if not piece.is_whole:
        custom_id = custom_id_in(piece.data)
        return None if custom_id is None else InputLine(custom_id, ())
    try:
        line = _decode_line(piece.data.removeprefix(b"\xef\xbb\xbf"))
    except DECODE_ERRORS:
        return None
    custom_id = custom_id_of(line.custom_id)
    if custom_id is None:
        return None
    body = _read_body(bytes(line.body)) if line.body else None
    if body is None:
        return InputLine(custom_id, ())
    user = body.user or body.safety_identifier
    if not (user or body.metadata or body.litellm_metadata or body.tags):
        return InputLine(custom_id, ())
    where = "user" if body.user else "safety_identifier"
    owners = Owners(body.metadata, body.litellm_metadata, body.tags, user, where)
    return InputLine(custom_id, claims_from_body(owners, user_is))


def read_result(data: bytes) -> ResultLine | None:
    """Return what a line of results says; None for what is no such line.

    A line without an answer, or with one that is an error, is not billed (OpenAI, Batch guide:
    requests that expire or fail are not charged).
    """
    try:
        read = _decode_result(data)
    except DECODE_ERRORS:
        return None
    custom_id = custom_id_of(read.custom_id) or short_text(read.id)
    has_answer, has_error = is_given(read.response), is_given(read.error)
    if custom_id is None or not (has_answer or has_error):
        return None
    try:
        response = _decode_response(read.response) if has_answer else _Response()
    except DECODE_ERRORS:
        return ResultLine(custom_id, problem="the answer in the line cannot be read")
    status = response.status_code if type(response.status_code) is int else None
    body = bytes(response.body)
    metered = usage_of_response(body) if body else usage_of_response(b"{}")
    failed = has_error or metered.error_type or (status is not None and status >= 400)  # noqa: PLR2004 -- HTTP
    error_type = None
    if failed:
        error_type = (error_type_of(read.error) if has_error else metered.error_type) or "error"
    is_billable = not failed or bool(metered.usage)
    return ResultLine(
        custom_id,
        metered,
        endpoint=_endpoint_of(body),
        http_status=status,
        error_type=error_type,
        is_billable=is_billable,
        provider_request_id=short_text(response.request_id),
        problem="the line reports no usage" if is_billable and not metered.usage else None,
    )


def _endpoint_of(body: bytes) -> str | None:
    try:
        made_by = _decode_file(body).object if body else None
    except DECODE_ERRORS:
        return None
    return _ENDPOINTS.get(made_by) if isinstance(made_by, str) else None


def _facts(read: _Batch) -> BatchFacts | None:
    batch_id, status = short_text(read.id), short_text(read.status)
    if batch_id is None or status is None:
        return None
    inputs = read.input_files if isinstance(read.input_files, list) else [read.input_file_id]
    results = (read.output_file_id or read.output_file, read.error_file_id or read.error_file)
    ends = (read.completed_at, read.expired_at, read.cancelled_at, read.failed_at)
    lines = read.total_requests
    if isinstance(read.request_counts, dict):
        lines = read.request_counts.get("total")
    return BatchFacts(
        batch_id=batch_id,
        status=status,
        is_ended=status.lower() in _ENDED,
        endpoint=short_text(read.endpoint),
        input_ids=_texts(inputs),
        result_ids=_texts(results),
        created_at_ns=time_ns(read.created_at),
        ended_at_ns=next((at_ns for end in ends if (at_ns := time_ns(end))), None),
        lines=lines if type(lines) is int and lines > 0 else None,
        model=short_text(read.model),
    )


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    found = (short_text(value) for value in values[:16])
    return tuple([text for text in found if text is not None])


def time_ns(value: object) -> int | None:
    """Return a time in seconds since the epoch, or as RFC 3339 text, in nanoseconds."""
    if type(value) is int and 0 < value < 2**33:
        return value * _NS_PER_S
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is not None:
            return int(moment.timestamp()) * _NS_PER_S + moment.microsecond * 1000
    return None
