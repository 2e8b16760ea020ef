"""Bytes of strangers: every body has an outcome, none is a defect, the spool gets frames only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.receiver.conftest import call_frames, packed
from tests.receiver.test_receiver_http import metrics_request
from tests.receiver.test_receiver_spans import request_with

from tollbook import clock
from tollbook.call import CallClosed, CallOpened, SpanSeen, decode_frame, encode_frame
from tollbook.capture.otlp import receiver as receiver_module
from tollbook.capture.otlp.outcome import Kind, Outcome, Signal
from tollbook.capture.otlp.readers import readers
from tollbook.capture.otlp.receiver import Receiver
from tollbook.config import Config
from tollbook.spool import SpoolHealth
from tollbook.spool.frame import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Frame

SPANS = request_with([(b"\1" * 16, b"\2" * 8), (b"\3" * 16, b"\4" * 8)]).SerializeToString()
SPANS_JSON = (
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",'
    b'"spanId":"eee19b7ec3c1b174","startTimeUnixNano":"1700000000000000000","attributes":[{"key":'
    b'"gen_ai.usage.input_tokens","value":{"intValue":"12"}}]}]}]}]}'
)
SEEDS = {
    (Signal.TRACES, "protobuf"): SPANS,
    (Signal.TRACES, "json"): SPANS_JSON,
    (Signal.LOGS, "protobuf"): SPANS,
    (Signal.LOGS, "json"): SPANS_JSON.replace(b"pans", b"ogs"),
    (Signal.METRICS, "protobuf"): metrics_request(),
    (Signal.METRICS, "json"): b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{}]}]}]}',
    (Signal.FRAMES, "msgpack"): packed(*call_frames()),
}
CODINGS = ("", "gzip", "deflate")


class Kept:
    """A spool in memory."""

    health = SpoolHealth(ok=True, error=None, ring_bytes=0, frames_lost=0, bytes_written=0)

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def put(self, frames: Sequence[Frame]) -> bool:
        self.frames += frames
        return True


def take(signal: Signal, encoding: str, coding: str, body: bytes) -> tuple[Outcome, list[Frame]]:
    spool = Kept()
    one = Receiver(
        spool, readers(Config()), max_decoded_bytes=1 << 20, default_environment="production"
    )
    return one.take(signal, encoding, coding, body, None), spool.frames


def must_not_log(text: str, *_: object) -> None:
    raise AssertionError(text)


def check(outcome: Outcome, frames: list[Frame]) -> None:
    assert outcome.kind in {Kind.OK, Kind.MALFORMED, Kind.TOO_LARGE}
    assert outcome.kind is Kind.OK or not frames
    for frame in frames:
        raw = encode_frame(frame)
        assert len(raw) <= MAX_FRAME_BYTES
        assert decode_frame(raw) == frame
        assert isinstance(frame, (CallOpened, CallClosed, SpanSeen))


@pytest.fixture(scope="module", autouse=True)
def _no_defect() -> Any:
    """A body whose outcome is a defect in the log fails its test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver_module.logger, "exception", must_not_log)
        yield


@given(
    what=st.sampled_from(sorted(SEEDS, key=str)),
    coding=st.sampled_from(CODINGS),
    body=st.binary(max_size=400),
)
def test_any_bytes(what: tuple[Signal, str], coding: str, body: bytes) -> None:
    check(*take(*what, coding, body))


@given(
    what=st.sampled_from(sorted(SEEDS, key=str)),
    at=st.integers(0, 2**16),
    put=st.binary(max_size=8),
    cut=st.integers(0, 8),
)
def test_requests_that_were_damaged(
    what: tuple[Signal, str], at: int, put: bytes, cut: int
) -> None:
    seed = SEEDS[what]
    where = at % len(seed)
    check(*take(*what, "", seed[:where] + put + seed[where + cut :]))


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70).filter(lambda n: -(2**63) <= n < 2**64),
    st.floats(), st.text(max_size=40), st.binary(max_size=40),
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    frame=st.sampled_from([0, 1]), field=st.integers(0, 40), value=_values,
    also=st.integers(0, 40), other=_values,
)  # fmt: skip
def test_frames_whose_fields_are_anything(
    frame: int, field: int, value: Any, also: int, other: Any
) -> None:
    fields = [list(msgspec.to_builtins(one, builtin_types=(bytes,))) for one in call_frames()]
    for place, content in ((field, value), (also, other)):
        fields[frame][place % len(fields[frame])] = content
    check(*take(Signal.FRAMES, "msgpack", "", msgspec.msgpack.encode(fields)))


def test_nesting_without_end_is_no_defect() -> None:
    deep = {"protobuf": b"\x0a" * 5000, "json": b'{"resourceSpans":' + b"[" * 100_000}
    for encoding, body in deep.items():
        check(*take(Signal.TRACES, encoding, "", body))
    check(*take(Signal.FRAMES, "msgpack", "", b"\x91" * 100_000))


def test_a_clock_that_is_a_year_ahead_is_refused() -> None:
    year = str(clock.unix_ns() + 365 * 86_400 * 10**9).encode()
    outcome, frames = take(
        Signal.TRACES, "json", "", SPANS_JSON.replace(b"1700000000000000000", year)
    )
    assert (outcome.rejected, frames) == (1, [])
    assert "ahead of the receiver's clock" in outcome.message
