"""Pieces of OTLP/JSON to spans: fast where they are as specified, with care where they are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.audit.inputs.otlp_variants import resource_spans
from tollbook.capture.otlp.decode_json import decode_json
from tollbook.capture.otlp.errors import BadOtlpError

if TYPE_CHECKING:
    from tollbook.audit.inputs.pieces import Piece
    from tollbook.capture.otlp.spans import Span

LEVELS: Final = 3
"""Lists within each other: of resources, of scopes, of spans."""


class Unreadable(Exception):  # noqa: N818 -- no error of a person: it is caught and told
    """A piece is no OTLP that can be read; the words say why, without the data."""


class Context(NamedTuple):
    """What stands around a piece."""

    level: int
    """1 an element of ``resourceSpans``, 2 of ``scopeSpans``, 3 of ``spans``."""
    signal: str = "spans"
    """``spans``, ``logs`` or ``metrics``."""
    resource: bytes = b"{}"
    scope: bytes = b"{}"

    def message(self, data: bytes) -> bytes:
        """Return elements, joined by commas, as a whole message."""
        outer, middle, inner = _NAMES[self.signal]
        if self.level > 2:  # noqa: PLR2004 -- see above
            data = b'{"scope":%b,"%b":[%b]}' % (self.scope, inner, data)
        if self.level > 1:
            data = b'{"resource":%b,"%b":[%b]}' % (self.resource, middle, data)
        return b'{"%b":[%b]}' % (outer, data)


_NAMES: Final = {
    "spans": (b"resourceSpans", b"scopeSpans", b"spans"),
    "logs": (b"resourceLogs", b"scopeLogs", b"logRecords"),
    "metrics": (b"resourceMetrics", b"scopeMetrics", b"metrics"),
}
_LEVELS: Final = {
    "resourceSpans": (1, "spans"),
    "resource_spans": (1, "spans"),
    "batches": (1, "spans"),
    "scopeSpans": (2, "spans"),
    "scope_spans": (2, "spans"),
    "instrumentationLibrarySpans": (2, "spans"),
    "spans": (3, "spans"),
    "resourceLogs": (1, "logs"),
    "resource_logs": (1, "logs"),
    "scopeLogs": (2, "logs"),
    "scope_logs": (2, "logs"),
    "logRecords": (3, "logs"),
    "log_records": (3, "logs"),
    "resourceMetrics": (1, "metrics"),
    "resource_metrics": (1, "metrics"),
    "scopeMetrics": (2, "metrics"),
    "metrics": (3, "metrics"),
}


def context_of(piece: Piece) -> Context | None:
    """Return where in OTLP a piece stands, None for a whole value and for what is elsewhere."""
    path = piece.path
    level, signal = _LEVELS.get(path[-1], (0, "")) if path else (0, "")
    if not level or (level > 1 and (len(path) < 2 or _LEVELS.get(path[-2], (0, ""))[0] == 0)):  # noqa: PLR2004 -- others have spans too
        return None
    resource = scope = b"{}"
    if level > 1:
        # The nearest: where brackets are missing, resources may stand within each other
        resource = next(
            (one["resource"] for one in reversed(piece.beside) if "resource" in one), b"{}"
        )
    if level == LEVELS:
        beside = piece.beside[-1]
        scope = beside.get("scope", beside.get("instrumentationLibrary", b"{}"))
    return Context(level, signal, resource, scope)


def spans_of(data: bytes, context: Context | None = None) -> list[Span]:
    """Return the spans of a piece.

    Args:
        data: JSON; several elements of one list may be joined by commas.
        context: where it stands; None is a whole message.

    Raises:
        Unreadable: something in it does not fit; the others may when they are read one by one.
    """
    message = data if context is None else context.message(data)
    try:
        spans = decode_json(message)
    except BadOtlpError as error:
        raise Unreadable(_words(error)) from None
    if _needs_care(spans, message):
        return _with_care(message)
    return spans


def span_with_care(data: bytes, context: Context) -> list[Span]:
    """Return a single span that was not readable as it is: with NaN, with text that is none.

    Raises:
        Unreadable: it remains so.
    """
    return _with_care(context.message(data))


def _needs_care(spans: list[Span], message: bytes) -> bool:
    if not spans:
        # Names that are not those of the specification are passed over by the decoder
        return b"pans" in message and b"race" in message
    first = spans[0]
    if len(first.trace_id) != 32 or len(first.span_id) != 16:  # noqa: PLR2004 -- hex digits
        return True
    return first.kind == 0 and b"SPAN_KIND_" in message


def _with_care(message: bytes) -> list[Span]:
    try:
        value = json.loads(
            message.decode(errors="replace"), strict=False, parse_constant=lambda _: None
        )
        told = resource_spans(value) if isinstance(value, dict) else None
        if told is None:
            return []
        return decode_json(msgspec.json.encode({"resourceSpans": _cleaned(told)}))
    except BadOtlpError as error:
        raise Unreadable(_words(error)) from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        words = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "it does not fit"
        raise Unreadable(words) from None


def _cleaned(value: Any) -> Any:
    """Replace halves of characters, which no encoding has."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(one) for name, one in value.items()}
    return value


def _words(error: BadOtlpError) -> str:
    return error.message.partition(": ")[2]
