"""The OpenAI Files and Batch APIs (platform.openai.com/docs/api-reference/batch)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook import clock
from tollbook.simulator.provider.answers import Plain, RefusedError
from tollbook.simulator.provider.batch import (
    Batch,
    Line,
    answer_lines,
    encode,
    new_id,
    wish_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.simulator.provider.api import Incoming
    from tollbook.simulator.provider.batch import Ask, Outcome
    from tollbook.simulator.provider.checks import Json

_INVALID: Final = "invalid_request_error"
_ENDPOINTS: Final = frozenset({
    "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions",
    "/v1/moderations",
})  # fmt: skip
_NS_PER_S: Final = 1_000_000_000
_part_name = re.compile(rb'name="([^"]*)"').search
_decode_line = msgspec.json.Decoder(dict[str, object]).decode


class OpenAiBatches:
    """Files, and batches that read and write them."""

    def __init__(self, refuse: Callable[[RefusedError, str], Plain]) -> None:
        self._refuse = refuse
        self._files: dict[str, tuple[Json, bytes]] = {}
        self._batches: dict[str, Batch] = {}

    def answer(self, incoming: Incoming, ask: Ask) -> Plain | None:
        """Answer a request to these APIs; None for any other; raises RefusedError."""
        parts = incoming.path.strip("/").split("/")
        match incoming.method, parts:
            case "POST", ["v1", "files"]:
                return self._upload(incoming)
            case "GET", ["v1", "files", file_id]:
                return Plain(200, encode(self._file(file_id)[0]))
            case "GET", ["v1", "files", file_id, "content"]:
                return Plain(200, self._file(file_id)[1])
            case _ if parts[:2] == ["v1", "batches"]:
                return Plain(200, self._batches_answer(incoming, parts[2:], ask))
        return None

    def _batches_answer(self, incoming: Incoming, parts: Sequence[str], ask: Ask) -> bytes:
        match incoming.method, parts:
            case "POST", []:
                return self._create(incoming, ask)
            case "GET", []:
                listed = [self._shown(one) for one in reversed(self._batches.values())]
                return encode({"object": "list", "data": listed, "has_more": False})
            case "GET", [batch_id]:
                return encode(self._shown(self._batch(batch_id)))
        raise RefusedError(404, _INVALID, "Invalid URL")

    def _upload(self, incoming: Incoming) -> Plain:
        purpose, name, data = _form(incoming)
        if purpose is None or data is None:
            raise RefusedError(400, _INVALID, "'file' and 'purpose' are required", "file")
        return Plain(200, encode(self._keep(data, purpose, name)))

    def _keep(self, data: bytes, purpose: str, name: str) -> Json:
        file: Json = {
            "id": new_id("file-"), "object": "file", "bytes": len(data), "filename": name,
            "created_at": clock.unix_ns() // _NS_PER_S, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self._files[file["id"]] = (file, data)
        return file

    def _file(self, file_id: str) -> tuple[Json, bytes]:
        if file_id not in self._files:
            raise RefusedError(404, _INVALID, f"No such File object: {file_id}", "id")
        return self._files[file_id]

    def _batch(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise RefusedError(404, _INVALID, f"No batch found with id '{batch_id}'.")
        return self._batches[batch_id]

    def _create(self, incoming: Incoming, ask: Ask) -> bytes:
        body = incoming.body
        file_id, endpoint = body.get("input_file_id"), body.get("endpoint")
        if endpoint not in _ENDPOINTS:
            raise RefusedError(400, _INVALID, f"Invalid value: '{endpoint}'.", "endpoint")
        if not isinstance(file_id, str):
            message = "Missing required parameter: 'input_file_id'."
            raise RefusedError(400, _INVALID, message, "input_file_id")
        lines = [_line(raw) for raw in self._file(file_id)[1].splitlines() if raw.strip()]
        outcomes = answer_lines(
            incoming, lines, ask, provider="openai", refuse=self._refuse
        )  # fmt: skip
        batch = Batch(new_id("batch_"), outcomes, wish_of(incoming))
        batch.details = {
            "endpoint": endpoint, "input_file_id": file_id, "metadata": body.get("metadata"),
        }  # fmt: skip
        self._batches[batch.batch_id] = batch
        return encode(self._shown(batch, status="validating"))

    def _shown(self, batch: Batch, status: str | None = None) -> Json:
        ends = status is None and batch.is_ready
        final = batch.wish.status or ("expired" if batch.wish.expire else "completed")
        status = status or (final if ends else "in_progress")
        if ends and "output_file_id" not in batch.details:
            self._write_files(batch)
        created, ended = batch.created_ns // _NS_PER_S, batch.ready_ns // _NS_PER_S
        times: Json = {f"{one}_at": None for one in ("completed", "failed", "expired", "cancelled")}
        if ends:
            times[f"{final}_at"] = ended
        counts = {"total": len(batch.outcomes), "completed": 0, "failed": 0}
        if ends:
            counts["completed"] = batch.count()
            counts["failed"] = batch.count(failed=True) + batch.count(expired=True)
        return {
            "id": batch.batch_id, "object": "batch", "errors": None, "status": status,
            "completion_window": "24h", "output_file_id": None, "error_file_id": None,
            "created_at": created, "in_progress_at": created, "expires_at": created + 86_400,
            "finalizing_at": None, "cancelling_at": None, "request_counts": counts,
            **times, **batch.details,
        }  # fmt: skip

    def _write_files(self, batch: Batch) -> None:
        done = [_result(one) for one in batch.outcomes if one.body and one.status < 400]  # noqa: PLR2004 -- HTTP
        failed = [_result(one) for one in batch.outcomes if not one.body or one.status >= 400]  # noqa: PLR2004 -- HTTP
        done[1:1] = [b'{"custom_id": "cut off'] * batch.wish.poison
        for name, lines in (("output", done), ("error", failed)):
            file_id = None
            if lines and batch.wish.status != "failed":
                data = b"".join(line + b"\n" for line in lines)
                file_id = self._keep(data, "batch_output", f"{batch.batch_id}_{name}.jsonl")["id"]
            batch.details[f"{name}_file_id"] = file_id


def _line(raw: bytes) -> Line:
    try:
        line = _decode_line(raw)
    except msgspec.DecodeError as error:
        raise RefusedError(400, _INVALID, "The file has a line that is not JSON.") from error
    custom_id, path, body = line.get("custom_id"), line.get("url"), line.get("body")
    if not (isinstance(custom_id, str) and isinstance(path, str) and isinstance(body, dict)):
        raise RefusedError(400, _INVALID, "A line lacks custom_id, url or body.")
    return Line(custom_id, path, body)


def _result(one: Outcome) -> bytes:
    response = error = None
    if one.body:
        response = {
            "status_code": one.status, "request_id": one.request_id, "body": msgspec.Raw(one.body),
        }  # fmt: skip
    else:
        error = {"code": "batch_expired", "message": "This request was not executed in time."}
    return encode({
        "id": new_id("batch_req_"), "custom_id": one.line.custom_id, "response": response,
        "error": error,
    })  # fmt: skip


def _form(incoming: Incoming) -> tuple[str | None, str, bytes | None]:
    """Return purpose, file name and content of a multipart body (RFC 7578)."""
    _, found, boundary = incoming.headers.get("content-type", "").partition("boundary=")
    if not found:
        raise RefusedError(400, _INVALID, "expected multipart/form-data")
    fields: dict[bytes, bytes] = {}
    for part in incoming.raw_body.split(b"--" + boundary.strip('"').encode()):
        head, found_head, content = part.partition(b"\r\n\r\n")
        match = _part_name(head)
        if found_head and match:
            fields[match[1]] = content.removesuffix(b"\r\n")
    purpose = fields.get(b"purpose")
    return None if purpose is None else purpose.decode(), "input.jsonl", fields.get(b"file")
