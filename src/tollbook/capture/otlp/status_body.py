"""The bodies of answers: partial success of OTLP, and google.rpc.Status, in either encoding.

The messages are small and fixed, so they are written here rather than by generated code
(opentelemetry-proto ``ExportTracePartialSuccess``: ``rejected`` is field 1 and ``error_message``
field 2 of field 1 of the response, for all three signals; googleapis ``google/rpc/status.proto``,
``google/rpc/error_details.proto``, ``google/protobuf/any.proto`` and ``duration.proto``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.capture.otlp.outcome import RETRY_AFTER_S, Kind, Signal

if TYPE_CHECKING:
    from tollbook.capture.otlp.outcome import Outcome

_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"
_REJECTED_KEYS: Final = {
    Signal.TRACES: "rejectedSpans",
    Signal.LOGS: "rejectedLogRecords",
    Signal.METRICS: "rejectedDataPoints",
}


def answer_protobuf(outcome: Outcome) -> bytes:
    """Return the message of an outcome: the response, or a google.rpc.Status."""
    if outcome.kind is not Kind.OK:
        return rpc_status(outcome)
    if not (outcome.rejected or outcome.message):
        return b""
    return _message(1, _number(1, outcome.rejected) + _text(2, outcome.message))


def rpc_status(outcome: Outcome) -> bytes:
    """Return a google.rpc.Status, with RetryInfo where it is worth another try."""
    status = _number(1, outcome.kind.code) + _text(2, outcome.message)
    if outcome.kind is Kind.UNAVAILABLE:
        retry_info = _message(1, _number(1, RETRY_AFTER_S))  # retry_delay.seconds
        status += _message(3, _text(1, _RETRY_INFO) + _message(2, retry_info))
    return status


def answer_json(signal: Signal, outcome: Outcome) -> bytes:
    """Return the same as JSON (OTLP's mapping: 64-bit integers are decimal text)."""
    if outcome.kind is not Kind.OK:
        status: dict[str, object] = {"code": outcome.kind.code, "message": outcome.message}
        if outcome.kind is Kind.UNAVAILABLE:
            status["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{RETRY_AFTER_S}s"}]
        return msgspec.json.encode(status)
    if signal is Signal.FRAMES:
        return msgspec.json.encode(
            {
                "accepted": outcome.accepted,
                "rejected": outcome.rejected,
                "message": outcome.message,
            }
        )
    if not (outcome.rejected or outcome.message):
        return b"{}"
    partial = {_REJECTED_KEYS[signal]: str(outcome.rejected), "errorMessage": outcome.message}
    return msgspec.json.encode({"partialSuccess": partial})


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode()) if text else b""
