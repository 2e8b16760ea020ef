"""Messages of OTLP in Protobuf to spans, to log records, to a count of points of metrics.

Numbers of fields: opentelemetry-proto v1, ``trace.proto``, ``logs.proto``, ``metrics.proto``,
``common.proto``. All three requests have one list (field 1) of resources with lists of scopes, so
which of them a message is shows in its leaves only: those of traces begin with an id of 16 bytes,
those of logs with a time, those of metrics with a name.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tollbook.audit.inputs.otlp_other import is_call, is_usage, span_of_log
from tollbook.audit.inputs.wire import FIXED64, LENGTH, WireError, double, fields, signed
from tollbook.capture.otlp.limits import NS_MAX
from tollbook.capture.otlp.spans import Event, Link, LogRecord, Span

_ERROR: Final = 2  # StatusCode of OTLP
_DEPTH_MAX: Final = 32


class Told(NamedTuple):
    """What a message holds."""

    spans: list[Span]
    calls: list[Span]
    """Of events in logs: their traces are not known."""
    usage_points: int
    lost: int
    """Leaves that could not be read."""


def told_by(resources: list[bytes]) -> Told:
    """Return what elements of the list of a request tell.

    Raises:
        WireError: one of them is no message.
    """
    told = _Telling()
    for data in resources:
        told.resource(data)
    return Told(told.spans, told.calls, told.points, told.lost)


def resources_of(message: bytes) -> list[bytes]:
    """Return the elements of the list of a request.

    Raises:
        WireError: it is no message.
    """
    return [
        value for number, _, value in fields(message) if number == 1 and isinstance(value, bytes)
    ]


class _Telling:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.calls: list[Span] = []
        self.points = self.lost = 0

    def resource(self, data: bytes) -> None:
        resource: dict[str, Any] = {}
        scopes: list[bytes] = []
        for number, _, value in fields(data):
            if isinstance(value, int):
                continue
            if number == 1:
                resource = _attributes(value, 1)
            elif number == 2:  # noqa: PLR2004 -- scope_spans
                scopes.append(value)
        for scope in scopes:
            self._scope(scope, resource)

    def _scope(self, data: bytes, resource: dict[str, Any]) -> None:
        name = version = ""
        leaves: list[bytes] = []
        for number, _, value in fields(data):
            if isinstance(value, int):
                continue
            if number == 1:
                told = {at: one for at, _, one in fields(value) if isinstance(one, bytes)}
                name, version = _text(told.get(1)), _text(told.get(2))
            elif number == 2:  # noqa: PLR2004 -- spans, log_records, metrics
                leaves.append(value)
        for leaf in leaves:
            try:
                self._leaf(leaf, resource, name, version)
            except WireError:
                self.lost += 1

    def _leaf(self, data: bytes, resource: dict[str, Any], name: str, version: str) -> None:
        number, kind, _ = next(fields(data), (0, 0, b""))
        if number == 1 and kind == LENGTH and _is_span(data):
            self.spans.append(_span(data, resource, name, version))
        elif kind == FIXED64:
            record = _log(data, resource, name, version)
            if is_call(record):
                self.calls.append(span_of_log(record))
        elif number == 1 and kind == LENGTH:
            self.points += _points(data)
        else:
            self.lost += 1


def _span(data: bytes, resource: dict[str, Any], scope: str, version: str) -> Span:
    values: dict[int, Any] = {}
    attributes: dict[str, Any] = {}
    links: list[Link] = []
    events: list[Event] = []
    for number, _, value in fields(data):
        if number == 9:  # noqa: PLR2004 -- attributes
            _put(attributes, value, 0)
        elif number == 11:  # noqa: PLR2004 -- events
            events.append(_event(value))
        elif number == 13:  # noqa: PLR2004 -- links
            told = {at: one for at, _, one in fields(_bytes(value))}
            links.append(Link(_bytes(told.get(1)).hex(), _bytes(told.get(2)).hex()))
        else:
            values[number] = value
    status = {at: one for at, _, one in fields(_bytes(values.get(15)))}
    return Span(
        trace_id=_bytes(values.get(1)).hex(),
        span_id=_bytes(values.get(2)).hex(),
        tracestate=_text(values.get(3)),
        parent_span_id=_bytes(values.get(4)).hex() or None,
        name=_text(values.get(5)),
        kind=_int(values.get(6)),
        started_at_ns=min(_int(values.get(7)), NS_MAX),
        ended_at_ns=min(_int(values.get(8)), NS_MAX),
        attributes=attributes,
        resource=resource,
        scope_name=scope,
        scope_version=version,
        is_error=status.get(3) == _ERROR,
        status_message=_text(status.get(2)),
        links=tuple(links),
        events=tuple(events),
        flags=_int(values.get(16)),
    )


def _event(value: bytes | int) -> Event:
    name, at_ns = "", 0
    attributes: dict[str, Any] = {}
    for number, _, one in fields(_bytes(value)):
        if number == 1:
            at_ns = min(_int(one), NS_MAX)
        elif number == 2:  # noqa: PLR2004 -- name
            name = _text(one)
        elif number == 3:  # noqa: PLR2004 -- attributes
            _put(attributes, one, 0)
    return Event(name, at_ns, attributes)


def _log(data: bytes, resource: dict[str, Any], scope: str, version: str) -> LogRecord:
    values: dict[int, Any] = {}
    attributes: dict[str, Any] = {}
    for number, _, value in fields(data):
        if number == 6:  # noqa: PLR2004 -- attributes
            _put(attributes, value, 0)
        else:
            values[number] = value
    return LogRecord(
        event_name=_text(values.get(12)),
        at_ns=min(_int(values.get(1)) or _int(values.get(11)), NS_MAX),
        trace_id=_bytes(values.get(9)).hex(),
        span_id=_bytes(values.get(10)).hex(),
        attributes=attributes,
        resource=resource,
        scope_name=scope,
        scope_version=version,
        flags=_int(values.get(8)),
    )


def _points(data: bytes) -> int:
    name, points = "", 0
    for number, kind, value in fields(data):
        if number == 1:
            name = _text(value)
        elif kind == LENGTH and number in {5, 7, 9, 10, 11}:  # gauge, sum, histograms, summary
            points += sum(1 for at, _, _ in fields(_bytes(value)) if at == 1)
    return points if is_usage(name) else 0


def _attributes(data: bytes, field: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, _, value in fields(data):
        if number == field:
            _put(found, value, 0)
    return found


def _put(into: dict[str, Any], pair: bytes | int, depth: int) -> None:
    name, value = "", None
    for number, _, one in fields(_bytes(pair)):
        if number == 1:
            name = _text(one)
        elif number == 2:  # noqa: PLR2004 -- value
            value = _value(_bytes(one), depth)
    into[name] = value


def _value(data: bytes, depth: int) -> Any:  # noqa: PLR0911 -- one for each kind of value
    if depth > _DEPTH_MAX:
        raise WireError("nested too deeply")
    for number, _, value in fields(data):
        if isinstance(value, bytes):
            if number == 1:
                return _text(value)
            if number == 5:  # noqa: PLR2004 -- array_value
                return [
                    _value(one, depth + 1)
                    for at, _, one in fields(value)
                    if at == 1 and isinstance(one, bytes)
                ]
            if number == 6:  # noqa: PLR2004 -- kvlist_value
                held: dict[str, Any] = {}
                for at, _, one in fields(value):
                    if at == 1:
                        _put(held, one, depth + 1)
                return held
            return value.hex()
        if number == 2:  # noqa: PLR2004 -- bool_value
            return bool(value)
        return signed(value) if number == 3 else double(value)  # noqa: PLR2004 -- int_value
    return None


def _is_span(data: bytes) -> bool:
    """Whether it begins with two ids, which a metric's name and description would not be."""
    told = fields(data)
    return all(
        at == number and isinstance(value, bytes) and len(value) == size
        for (at, _, value), (number, size) in zip(told, ((1, 16), (2, 8)), strict=False)
    )


def _bytes(value: bytes | int | None) -> bytes:
    if value is None:
        return b""
    if isinstance(value, int):
        raise WireError("a field is of another type")
    return value


def _text(value: bytes | int | None) -> str:
    return _bytes(value).decode(errors="replace")


def _int(value: bytes | int | None) -> int:
    if value is None:
        return 0
    if not isinstance(value, int):
        raise WireError("a field is of another type")
    return value
