"""One row of an unknown log as the span of a call, by what its columns were taken for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, told
from tollbook.audit.inputs.usage_words import cost, tokens
from tollbook.audit.kept.content import is_content
from tollbook.audit.kept.owner_names import rank_of
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.providers import (
    operation_at,
    operation_named,
    provider_named_in,
    without_provider,
)
from tollbook.capture.otlp.spans import Span
from tollbook.identity.values import as_id

if TYPE_CHECKING:
    from tollbook.audit.inputs.table_guess import Guess

_COUNTS: Final = ("input", "output", "total", "cache_read", "cache_write", "reasoning")
_OWNERS: Final = ("tenant_id", "user_id", "team_id", "feature", "environment")
_OTHERS_MAX: Final = 64
_SAID: Final = frozenset(
    {"answer", "answers", "body", "completions", "content", "inputs", "instructions", "message",
     "outputs", "prompts", "query", "reply", "request_body", "response", "response_body", "said",
     "system", "system_prompt", "text", "user_message"}
)  # fmt: skip
"""Names of columns with what was said, beside those that no instrumentation uses otherwise."""
_FAILED: Final = frozenset({"error", "failed", "failure", "cancelled", "timeout", "errored"})
_NS_PER_MS: Final = 10**6
_has_points: Final = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+").fullmatch
"""1.000 is a thousand in much of Europe, and one elsewhere."""
_ERROR_MIN: Final = 400
_STATUSES: Final = range(100, 600)


class HasNoCallError(Exception):
    """A row with neither a model nor counts."""


class _Cells:
    """The cells of a row, by what they mean."""

    def __init__(self, guess: Guess, values: dict[str, Any]) -> None:
        self._guess, self._values = guess, values
        self.names: dict[str, str] = {}

    def of(self, meaning: str) -> Fields:
        """Return the cell as the only field of a record, named as in the log."""
        name, value = self._guess.find(self._values, meaning)
        self.names[meaning] = name
        return Fields({name: value})

    def text(self, meaning: str) -> str | None:
        cell = self.of(meaning)
        return cell.text(self.names[meaning])

    def id(self, meaning: str) -> str:
        cell = self.of(meaning)
        return cell.id(self.names[meaning])

    def count(self, meaning: str) -> int | None:
        cell = self.of(meaning)
        name = self.names[meaning]
        text = cell.get(name)
        if isinstance(text, str) and _has_points(text.strip()):
            raise RowError(name, "may be thousands or a fraction; write 1000 for a thousand")
        return cell.count(name)

    def time_ns(self, meaning: str) -> int | None:
        cell = self.of(meaning)
        return cell.time_ns(self.names[meaning])


def guessed_span(guess: Guess, values: dict[str, Any], row_id: str) -> Span:
    """Return the span of a row.

    Args:
        guess: what the columns were taken for.
        values: of the row.
        row_id: of a row that names none.

    Raises:
        RowError: a cell is not what its column was taken for.
        HasNoCallError: it is no call.
    """
    cells = _Cells(guess, values)
    usage = tokens(**{name: cells.count(name) for name in _COUNTS})
    model, asked = cells.text("model"), cells.text("model_requested")
    span_id = cells.id("span_id")
    is_call = bool(usage) or model is not None or asked is not None
    if not is_call and not span_id:
        raise HasNoCallError
    started_ns = cells.time_ns("started_at") or 0
    call_id = cells.id("id") or row_id
    status = _status(cells)
    is_error = status >= _ERROR_MIN or (cells.text("status") or "").lower() in _FAILED
    error_type = cells.of("error_type").word(cells.names["error_type"])
    attributes = (
        _others(values)
        | _owner(guess, values)
        | told(
            http__response__status_code=status or None,
            error__type=error_type,
            session__id=cells.id("session_id"),
        )
    )
    if is_call:
        attributes |= usage | _call(cells, model, asked)
    return Span(
        trace_id=cells.id("trace_id") or call_id,
        span_id=span_id or call_id,
        parent_span_id=cells.id("parent_span_id") or None,
        name=str(attributes.get("gen_ai.operation.name", "row")),
        kind=3 if is_call else 1,
        started_at_ns=started_ns,
        ended_at_ns=_ended_ns(cells, started_ns),
        attributes=attributes,
        resource=told(service__name=cells.text("service")),
        scope_name="table",
        is_error=is_error or bool(error_type),
    )


def _call(cells: _Cells, model: str | None, asked: str | None) -> dict[str, Any]:
    name, operation = cells.text("provider"), cells.text("operation")
    provider, _ = provider_named_in(name, None, model or asked, None)
    is_path = operation is not None and "/" in operation
    stream = cells.of("is_stream")
    return cost(cells.of("cost").usd(cells.names["cost"])) | told(
        gen_ai__operation__name=operation_at(operation) if is_path else operation_named(operation),
        gen_ai__provider__name=provider,
        gen_ai__request__model=without_provider(asked or model, provider, name),
        gen_ai__response__model=without_provider(model, provider, name),
        gen_ai__response__id=cells.id("response_id"),
        gen_ai__request__stream=True if stream.flag(cells.names["is_stream"]) else None,
        tollbook__provider_request__id=cells.id("provider_request_id"),
        openai__response__service_tier=cells.text("service_tier"),
        attempt=cells.count("attempt"),
        retry_count=cells.count("retries"),
        tollbook__retry_of=cells.id("retry_of"),
        fallback_from=cells.text("fallback_from"),
        batch_id=cells.id("batch_id"),
        api_key_id=cells.of("api_key_id").word(cells.names["api_key_id"]),
    )  # fmt: skip


def _others(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return the cells that may be ids, under the log's own names.

    The person who asks may have named one of them as the tenant. What has a space in it, or stands
    under a name of what was said, is left out.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if len(found) >= _OTHERS_MAX:
            break
        if is_content(name) or name.lower() in _SAID:
            continue
        if isinstance(value, dict) and not above:
            found |= _others(value, f"{name}.")
        elif _may_be_id(value) and rank_of(above + name) is None:
            found[above + name] = value
    return found


def _may_be_id(value: object) -> bool:
    if isinstance(value, str):
        return " " not in value and as_id(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _owner(guess: Guess, values: dict[str, Any]) -> dict[str, Any]:
    """Return whom a row names, under the log's own names where they are understood elsewhere."""
    attributes: dict[str, Any] = {}
    for field in _OWNERS:
        name, value = guess.find(values, field)
        if name and isinstance(value, (str, int)) and not isinstance(value, bool):
            ranked = rank_of(name)
            is_known = ranked is not None and ranked[1] == field
            attributes[name if is_known else field] = value
    return attributes


def _status(cells: _Cells) -> int:
    status = cells.of("http_status")
    text = status.word(cells.names["http_status"])
    number = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0  # noqa: PLR2004 -- HTTP
    return number if number in _STATUSES else 0


def _ended_ns(cells: _Cells, started_ns: int) -> int:
    ended_ns = cells.time_ns("ended_at")
    if ended_ns is not None:
        return ended_ns
    took = cells.of("duration_ms")
    return started_ns + (took.took_ns(_NS_PER_MS, cells.names["duration_ms"]) or 0)
