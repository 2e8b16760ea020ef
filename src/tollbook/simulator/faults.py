"""Faults by plan: asked for by one request (``x-sim-fault``) or drawn from a seeded mix.

A drawn fault depends on the seed and the traffic's request id only, so a run repeats exactly.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from tollbook.simulator.params import BadParamsError, parse_params, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

FaultKind = Literal[
    "bad_request",  # 400
    "unauthorized",  # 401
    "not_found",  # 404
    "rate_limit",  # 429 with retry-after and rate-limit headers
    "server_error",  # 500
    "overloaded",  # 503 (OpenAI), 529 (Anthropic)
    "slow_first_byte",  # the head comes after delay_ms
    "slow_stream",  # delay_ms between any two events
    "cut_before_usage",  # the connection breaks after `after` events, before the final usage
    "cut_after_usage",  # it breaks after the final usage, before the stream's own end
    "truncated",  # a plain body is shorter than its content-length
    "error_event",  # a stream ends in an error event after `after` events
    "hang",  # no answer for delay_ms, then the connection is closed
    "usage_absent",  # no usage anywhere
    "usage_split",  # usage in several chunks, each with a part
    "huge_chunk",  # one event or body of size_bytes
    "empty_stream",  # a 200 stream with no event at all
    "gzip",  # compressed, if the client accepts that, each event flushed
    "fragmented",  # bytes cut at odd places, also inside UTF-8 characters and events
]
FAULT_KINDS: Final[tuple[str, ...]] = get_args(FaultKind)
ERROR_STATUS: Final = {
    "bad_request": 400,
    "unauthorized": 401,
    "not_found": 404,
    "rate_limit": 429,
    "server_error": 500,
    "overloaded": 503,
}
STREAM_ONLY: Final = frozenset(
    {
        "slow_stream",
        "cut_before_usage",
        "cut_after_usage",
        "error_event",
        "usage_split",
        "empty_stream",
    }
)
_DELAY_DEFAULT_MS: Final = {"slow_first_byte": 200, "slow_stream": 20, "hang": 3_600_000}
_DELAY_MAX_MS = 24 * 3_600_000
_HUGE_DEFAULT_BYTES = 1024 * 1024
_HUGE_MAX_BYTES = 64 * 1024 * 1024
_TIMES_MAX = 1_000_000


class Fault(NamedTuple):
    """What goes wrong with one request."""

    kind: FaultKind
    times: int = _TIMES_MAX  # only the first so many arrivals of a request id fail
    after: int = 1  # content events before a stream breaks
    delay_ms: int = 0
    retry_after_ms: int = 1000
    size_bytes: int = _HUGE_DEFAULT_BYTES
    reset: bool = True  # break with a TCP reset (False: an orderly close, too early)

    def to_header(self) -> str:
        """Return the value of ``x-sim-fault`` that asks for this fault."""
        parts = [self.kind] + [
            f"{name}={int(value)}"
            for name, value in zip(self._fields[1:], self[1:], strict=True)
            if value != self._field_defaults[name]
        ]
        return ";".join(parts)


def parse_fault(text: str) -> Fault:
    """Read an ``x-sim-fault`` value: ``cut_before_usage;after=3`` or a JSON object with ``kind``.

    Raises:
        BadParamsError: an unknown fault or parameter, or a value out of range.
    """
    params = parse_params(text, "kind")
    kind = params.pop("kind", "")
    if kind not in FAULT_KINDS:
        raise BadParamsError(f"unknown fault {kind!r}; one of {', '.join(FAULT_KINDS)}")
    unknown = params.keys() - set(Fault._fields)
    if unknown:
        raise BadParamsError(f"unknown parameter {min(unknown)!r} of fault {kind!r}")
    return Fault(
        kind=kind,  # type: ignore[arg-type]  # checked against the literal's own values above
        times=whole(params, "times", _TIMES_MAX, _TIMES_MAX),
        after=whole(params, "after", 1, 1_000_000),
        delay_ms=whole(params, "delay_ms", _DELAY_DEFAULT_MS.get(kind, 0), _DELAY_MAX_MS),
        retry_after_ms=whole(params, "retry_after_ms", 1000, _DELAY_MAX_MS),
        size_bytes=whole(params, "size_bytes", _HUGE_DEFAULT_BYTES, _HUGE_MAX_BYTES),
        reset=bool(whole(params, "reset", 1, 1)),
    )


def draw_fault(seed: int, request_id: str, per_million: Mapping[str, int]) -> Fault | None:
    """Return the fault that a seeded mix gives a request, or None.

    Args:
        seed: of the run.
        request_id: the traffic's own id.
        per_million: how many requests of a million get each fault (keys are fault specs).
    """
    at = zlib.crc32(f"{seed}:{request_id}".encode()) * 1_000_000 >> 32
    for spec, share in per_million.items():
        at -= share
        if at < 0:
            return parse_fault(spec)
    return None
