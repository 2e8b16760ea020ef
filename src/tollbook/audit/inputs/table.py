"""Logs of any other shape: rows or objects, one for each call.

With a mapping (the TOML of ``tollbook import file``, :mod:`tollbook.capture.imports.mapping`) each
column means what it says there. Without one, names that teams commonly use are recognised
(:mod:`tollbook.audit.inputs.table_guess`), and the report says what was taken for what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, spans_of, structure_of, told, without_content
from tollbook.audit.inputs.table_guess import Guess
from tollbook.audit.inputs.table_row import HasNoCallError, guessed_span
from tollbook.audit.kept.content import is_content
from tollbook.audit.read import Trouble
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.mapping import read_mapping
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch
    from tollbook.capture.imports.record import Record as Call

NAME: Final = "table"
_TELLING: Final = frozenset({"model", "input", "output", "total", "model_requested"})
_MEANINGS_MIN: Final = 3
_TAGS: Final = {
    "api_key_id": "api_key_id",
    "session_id": "session.id",
    "attempt": "attempt",
    "retry_of": "tollbook.retry_of",
    "fallback_from": "fallback_from",
    "batch_id": "batch_id",
}
"""Tags of a mapping that mean more than something to group by."""


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record has a model or counts of tokens, and two more known names."""
    del head
    if not isinstance(first, dict):
        return False
    guess = Guess()
    guess.learn(first)
    known = guess.meanings
    return len(known) >= _MEANINGS_MIN and not known.isdisjoint(_TELLING)


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of rows.

    Raises:
        MappingError: the mapping that was given cannot be used.
    """
    return _guessed(records, about) if about.mapping is None else _mapped(records, about)


def _mapped(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    assert about.mapping is not None
    rows = read_mapping(about.mapping)
    about.read.notes.append(f"columns as {about.mapping.name} says")

    def take(row: Fields) -> list[Span]:
        return [_span(rows.record_of(row, None), rows.source)]

    for part in spans_of(records, about, take, has_traces=False):
        if isinstance(part, Trouble):
            yield part
        else:
            yield part._replace(has_traces="span_id" in rows.fields)


def _guessed(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    guess = Guess()
    number = 0

    def take(row: Fields) -> list[Span]:
        nonlocal number
        number += 1
        without_content(row, about, *[name for name in row.values if is_content(name)])
        values = {name: structure_of(value) for name, value in row.values.items()}
        guess.learn(values)
        try:
            return [guessed_span(guess, values, f"row-{number}")]
        except HasNoCallError:
            reason = "is no call: it has neither a model nor counts of tokens"
            raise RowError("the row", reason) from None

    for part in spans_of(records, about, take, has_traces=False):
        about.read.notes = guess.words()
        if isinstance(part, Trouble):
            yield part
        else:
            yield part._replace(has_traces="span_id" in guess.taken)


def _span(call: Call, source: str) -> Span:
    fields, tags = call.owner.fields, call.owner.tags
    attributes: dict[str, Any] = {f"metadata.{name}": value for name, value in tags.items()}
    for name, known in _TAGS.items():
        if name in tags:
            attributes[known] = attributes.pop(f"metadata.{name}")
    return Span(
        trace_id=call.trace_id or call.row_id,
        span_id=call.span_id or call.row_id,
        parent_span_id=call.parent_span_id,
        name=call.operation,
        kind=3,
        started_at_ns=call.started_at_ns,
        ended_at_ns=call.ended_at_ns or call.started_at_ns,
        attributes=attributes | fields | call.usage | told(
            gen_ai__operation__name=call.operation,
            gen_ai__provider__name=call.provider,
            gen_ai__request__model=call.model_requested,
            gen_ai__response__model=call.model_actual,
            gen_ai__response__id=call.provider_response_id,
            gen_ai__request__stream=call.is_stream or None,
            openai__response__service_tier=call.service_tier,
            error__type=call.error_type,
            http__response__status_code=call.http_status,
        ),
        resource={"service.name": source},
        scope_name=f"table.{source}",
        is_error=call.is_error,
    )  # fmt: skip
