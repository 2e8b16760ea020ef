"""The Anthropic Message Batches API (docs.anthropic.com/en/api/creating-message-batches)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

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
    from collections.abc import Callable

    from tollbook.simulator.provider.api import Incoming
    from tollbook.simulator.provider.batch import Ask, Outcome
    from tollbook.simulator.provider.checks import Json

_INVALID: Final = "invalid_request_error"
_NS_PER_S: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NS_PER_S


class AnthropicBatches:
    """Message batches."""

    def __init__(self, refuse: Callable[[RefusedError, str], Plain]) -> None:
        self._refuse = refuse
        self._batches: dict[str, Batch] = {}

    def answer(self, incoming: Incoming, ask: Ask) -> Plain | None:
        """Answer a request to this API; None for any other; raises RefusedError."""
        parts = incoming.path.strip("/").split("/")
        if parts[:3] != ["v1", "messages", "batches"]:
            return None
        match incoming.method, parts[3:]:
            case "POST", []:
                return self._create(incoming, ask)
            case "GET", []:
                listed = [self._shown(one, incoming) for one in reversed(self._batches.values())]
                return Plain(200, encode({"data": listed, "has_more": False}))
            case "GET", [batch_id]:
                return Plain(200, encode(self._shown(self._batch(batch_id), incoming)))
            case "GET", [batch_id, "results"]:
                return self._results(self._batch(batch_id))
        return None

    def _batch(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise RefusedError(404, "not_found_error", "Not found")
        return self._batches[batch_id]

    def _create(self, incoming: Incoming, ask: Ask) -> Plain:
        requests = incoming.body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise RefusedError(400, _INVALID, "requests: Field required")
        lines = [_line(one) for one in requests]
        outcomes = answer_lines(
            incoming, lines, ask, provider="anthropic", refuse=self._refuse
        )  # fmt: skip
        batch = Batch(new_id("msgbatch_"), outcomes, wish_of(incoming))
        self._batches[batch.batch_id] = batch
        return Plain(200, encode(self._shown(batch, incoming, has_ended=False)))

    def _shown(self, batch: Batch, incoming: Incoming, *, has_ended: bool = True) -> Json:
        has_ended = has_ended and batch.is_ready
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if has_ended:
            counts["succeeded"], counts["errored"] = batch.count(), batch.count(failed=True)
            counts["expired"] = batch.count(expired=True)
        else:
            counts["processing"] = len(batch.outcomes)
        base = f"http://{incoming.headers.get('host', 'localhost')}"
        prefix = incoming.full_path.partition("/v1/")[0]
        return {
            "id": batch.batch_id, "type": "message_batch", "request_counts": counts,
            "processing_status": "ended" if has_ended else "in_progress",
            "created_at": _moment(batch.created_ns),
            "expires_at": _moment(batch.created_ns + _DAY_NS),
            "ended_at": _moment(batch.ready_ns) if has_ended else None,
            "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"{base}{prefix}/v1/messages/batches/{batch.batch_id}/results"
            if has_ended else None,
        }  # fmt: skip

    def _results(self, batch: Batch) -> Plain:
        if not batch.is_ready:
            raise RefusedError(404, "not_found_error", "The batch has no results yet")
        lines = [_result(one) for one in batch.outcomes]
        lines[1:1] = [b'{"custom_id": "cut off'] * batch.wish.poison
        return Plain(200, b"".join(line + b"\n" for line in lines))


def _line(request: object) -> Line:
    if isinstance(request, dict):
        custom_id, params = request.get("custom_id"), request.get("params")
        if isinstance(custom_id, str) and isinstance(params, dict):
            return Line(custom_id, "/v1/messages", params)
    raise RefusedError(400, _INVALID, "requests: custom_id and params are required")


def _result(one: Outcome) -> bytes:
    result: Json
    if not one.body:
        result = {"type": "expired"}
    elif one.status >= 400:  # noqa: PLR2004 -- HTTP
        result = {"type": "errored", "error": msgspec.Raw(one.body)}
    else:
        message = msgspec.json.decode(one.body)
        if isinstance(message.get("usage"), dict):
            message["usage"]["service_tier"] = "batch"
        result = {"type": "succeeded", "message": message}
    return encode({"custom_id": one.line.custom_id, "result": result})


def _moment(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // _NS_PER_S, tz=UTC).isoformat().replace("+00:00", "Z")
