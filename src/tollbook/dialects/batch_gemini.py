"""Batches of the Gemini API: requests inline or in a file, results in the operation or in a file.

``POST models/{model}:batchGenerateContent``, ``GET batches/{id}``, ``GET
/download/v1beta/files/{id}:download`` (https://ai.google.dev/api/batch-api). A request is told by
the ``key`` of its metadata, without one by its place. Vertex AI writes results to Cloud Storage,
which no one fetches through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text
from tollbook.dialects.base import Metered
from tollbook.dialects.batch_base import BatchFacts, InlineResults, InputLine, ResultLine
from tollbook.dialects.batch_lines import ElementSplitter
from tollbook.dialects.batch_openai import time_ns
from tollbook.dialects.batch_results import LineResults, custom_id_of
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.gemini_plain import read_gemini_answer
from tollbook.dialects.http_head import plain_path
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.batch_base import InputScanner, ResultScanner

_ENDED: Final = frozenset({
    "BATCH_STATE_SUCCEEDED", "BATCH_STATE_FAILED", "BATCH_STATE_CANCELLED", "BATCH_STATE_EXPIRED",
})  # fmt: skip
_MAX_LISTED: Final = 1000
_MAX_INLINE: Final = 100_000
_version = re.compile(r"^(.*)/(v\d\w*)/").match
_download = re.compile(r"/(files/[\w-]{1,128}):download$").search
_encode = msgspec.json.Encoder().encode


class _Request(Struct, gc=False):
    metadata: Any = None


class _Stats(Struct, gc=False):
    requestCount: Any = None  # noqa: N815 -- the API's own name


class _Input(Struct, gc=False):
    fileName: Any = None  # noqa: N815 -- as above


class _Inlined(Struct, gc=False):
    inlinedResponses: list[Raw] | None = None  # noqa: N815 -- as above


class _Output(Struct, gc=False):
    responsesFile: Any = None  # noqa: N815 -- as above
    inlinedResponses: _Inlined | None = None  # noqa: N815 -- as above


class _Metadata(Struct, gc=False):
    model: Any = None
    state: Any = None
    createTime: Any = None  # noqa: N815 -- as above
    endTime: Any = None  # noqa: N815 -- as above
    batchStats: _Stats | None = None  # noqa: N815 -- as above
    inputConfig: _Input | None = None  # noqa: N815 -- as above
    output: _Output | None = None


class _Operation(Struct, gc=False):
    name: Any = None
    done: Any = None
    metadata: _Metadata | None = None
    response: _Output | None = None
    operations: Raw = Raw()


class _Result(Struct, gc=False):
    key: Any = None
    metadata: Any = None
    response: Raw = Raw()
    error: Raw = Raw()


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_operation = msgspec.json.Decoder(_Operation).decode
_decode_operations = msgspec.json.Decoder(list[_Operation]).decode
_decode_result = msgspec.json.Decoder(_Result).decode


class GeminiBatches:
    """See :class:`tollbook.dialects.batch_base.BatchReader`."""

    default_collection = "/v1beta/batches"

    def collection(self, path: str) -> str | None:
        """Return ``/v1beta/batches`` in the version that the path names."""
        match = _version(plain_path(path))
        return None if match is None else f"{match[1]}/{match[2]}/batches"

    def subject(self, path: str) -> str | None:
        """Return the file of ``/download/v1beta/files/{id}:download``."""
        match = _download(plain_path(path))
        return None if match is None else match[1]

    def input_scanner(self, headers: Mapping[bytes, bytes], user_is: str) -> InputScanner | None:  # noqa: ARG002 -- one media type, no user field
        """Return a reader of the requests inside a submission."""
        return InlineScanner(user_is)

    def result_scanner(self, *, is_known: bool) -> ResultScanner:
        """Return a reader of a file of results."""
        return LineResults(read_result, is_known=is_known)

    def read_file_id(self, body: bytes) -> str | None:  # noqa: ARG002 -- its uploads are not read
        """Return None: uploads come in several requests, which are not read."""
        return None

    def read_batches(self, body: bytes, path: str = "") -> list[BatchFacts]:  # noqa: ARG002 -- the answer names the batch
        """Return the batch, or the batches of a list."""
        read = _read_operation(body)
        if read is None:
            return []
        try:
            listed = _decode_operations(read.operations) if read.operations else [read]
        except DECODE_ERRORS:
            return []
        found = (_facts(one) for one in listed[:_MAX_LISTED])
        return [one for one in found if one is not None]

    def read_inline(self, body: bytes) -> InlineResults | None:
        """Return the results that stand in an operation that has ended."""
        read = _read_operation(body)
        facts = None if read is None else _facts(read)
        output = None if read is None else _output(read)
        if facts is None or not facts.is_ended or output is None:
            return None
        inlined = output.inlinedResponses.inlinedResponses if output.inlinedResponses else None
        if inlined is None:
            return None
        lines = [_inline_line(at, raw) for at, raw in enumerate(inlined[:_MAX_INLINE])]
        return InlineResults(facts.batch_id, lines)

    def shown_body(self, body: bytes, collection: str) -> bytes:  # noqa: ARG002 -- it names no address
        """Return the answer as it is."""
        return body

    def state_path(self, collection: str, batch_id: str) -> str:
        """Return where a batch is asked for; its id begins with ``batches/``."""
        return f"{collection.removesuffix('/batches')}/{batch_id}"

    def results_path(self, collection: str, source_id: str) -> str:
        """Return where a file is read."""
        base, _, version = collection.removesuffix("/batches").rpartition("/")
        return f"{base}/download/{version}/{source_id}:download?alt=media"

    def list_path(self, collection: str) -> str:
        """Return where the latest batches are listed."""
        return f"{collection}?pageSize=100"


class InlineScanner:
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
            metadata: Any = None
            if piece.is_whole:
                try:
                    metadata = _decode_request(piece.data).metadata
                except DECODE_ERRORS:
                    self.problem = "some requests could not be read"
            fields = dict(metadata) if isinstance(metadata, dict) else {}
            custom_id = custom_id_of(fields.pop("key", None)) or str(self.lines)
            owners = Owners(Raw(_encode(fields))) if fields else None
            claims = () if owners is None else claims_from_body(owners, self._user_is)
            found.append(InputLine(custom_id, claims))
            self.lines += 1
        return found

    def finish(self) -> Sequence[InputLine]:
        """Return nothing: a request that does not end is none."""
        return ()


def _read_operation(body: bytes) -> _Operation | None:
    try:
        return _decode_operation(body)
    except DECODE_ERRORS:
        return None


def _output(read: _Operation) -> _Output | None:
    return read.response or (read.metadata.output if read.metadata else None)


def _facts(read: _Operation) -> BatchFacts | None:
    name, metadata = short_text(read.name), read.metadata
    state = None if metadata is None else short_text(metadata.state)
    if name is None or not name.startswith("batches/") or metadata is None or state is None:
        return None
    is_ended = read.done is True or state in _ENDED
    output = _output(read)
    file = None if output is None else short_text(output.responsesFile)
    has_inline = output is not None and output.inlinedResponses is not None
    count = metadata.batchStats.requestCount if metadata.batchStats else None
    model = short_text(metadata.model)
    source = metadata.inputConfig.fileName if metadata.inputConfig else None
    input_id = short_text(source)
    return BatchFacts(
        batch_id=name,
        status=state,
        is_ended=is_ended,
        endpoint=None if model is None else f"/v1beta/{model}:generateContent",
        input_ids=() if input_id is None else (input_id,),
        result_ids=(file,) if file is not None else (name,) if has_inline and is_ended else (),
        created_at_ns=time_ns(metadata.createTime),
        ended_at_ns=time_ns(metadata.endTime),
        lines=_count(count),
        model=None if model is None else model.removeprefix("models/"),
    )


def _count(value: object) -> int | None:
    """Return a count; the API writes 64-bit integers as text (proto3 JSON)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004 -- a sane count
        value = int(value)
    return value if type(value) is int and value > 0 else None


def _inline_line(at: int, raw: Raw) -> ResultLine:
    read = read_result(bytes(raw), str(at))
    return read or ResultLine(str(at), problem="the response cannot be read")


def read_result(data: bytes, default_id: str | None = None) -> ResultLine | None:
    """Return what a response says; None for what is none.

    A response that is an error is not billed.
    """
    try:
        read = _decode_result(data)
    except DECODE_ERRORS:
        return None
    key = read.metadata.get("key") if isinstance(read.metadata, dict) else read.key
    custom_id = custom_id_of(key) or default_id
    has_answer, has_error = is_given(read.response), is_given(read.error)
    if custom_id is None or not (has_answer or has_error):
        return None
    metered = read_gemini_answer(bytes(read.response)) if has_answer else Metered()
    error_type = None
    if has_error or metered.error_type:
        error_type = metered.error_type or error_type_of(read.error) or "error"
    is_billable = error_type is None or bool(metered.usage)
    model = metered.model_actual
    return ResultLine(
        custom_id,
        metered,
        endpoint=None if model is None else f"/v1beta/models/{model}:generateContent",
        http_status=200 if error_type is None else None,
        error_type=error_type,
        is_billable=is_billable,
        problem="the response reports no usage" if is_billable and not metered.usage else None,
    )
