from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from tollbook.call import (
    IDENTITY_FIELDS,
    CallClosed,
    CallOpened,
    Conflict,
    Frame,
    FramesLost,
    Identity,
    Metering,
    Status,
    decode_frame,
    encode_frame,
)

TEXT = st.text(max_size=12)
SMALL = st.integers(min_value=0, max_value=2**63 - 1)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
IDENTITIES = st.builds(
    Identity,
    **{name: st.none() | TEXT for name in (*IDENTITY_FIELDS, "api_key_id")},
    tags=TEXTS,
    sources=TEXTS,
    conflicts=st.lists(st.builds(Conflict, TEXT, TEXT, TEXT, TEXT, TEXT), max_size=2).map(tuple),
)
OPENED = st.builds(
    CallOpened,
    call_id=st.binary(min_size=16, max_size=16), started_at_ns=SMALL, identity=IDENTITIES,
    provider=TEXT, dialect=TEXT, operation=TEXT, metering=st.sampled_from(Metering), method=TEXT,
    path=TEXT, model_requested=st.none() | TEXT, is_stream=st.booleans(), attempt=SMALL,
    idempotency_key=st.none() | TEXT, trace_id=st.none() | TEXT, parent_span_id=st.none() | TEXT,
    request_bytes=SMALL, input_chars=SMALL, max_output_tokens=st.none() | SMALL,
)  # fmt: skip
CLOSED = st.builds(
    CallClosed,
    call_id=st.binary(min_size=16, max_size=16), closed_at_ns=SMALL,
    status=st.sampled_from(Status), http_status=st.none() | SMALL, error_type=st.none() | TEXT,
    time_to_first_token_ns=st.none() | SMALL, duration_ns=SMALL,
    provider_request_id=st.none() | TEXT, provider_response_id=st.none() | TEXT,
    model_actual=st.none() | TEXT, service_tier=st.none() | TEXT,
    usage=st.lists(st.binary(max_size=20), max_size=3).map(tuple), usage_complete=st.booleans(),
    output_chars=SMALL, output_events=SMALL, response_bytes=SMALL, is_billable=st.booleans(),
)  # fmt: skip
FRAMES = OPENED | CLOSED | st.builds(FramesLost, SMALL, SMALL, SMALL)


def whole(frame: Frame) -> list[Any]:
    items: list[Any] = msgspec.msgpack.decode(encode_frame(frame))
    return items


def required(kind: type[Frame]) -> int:
    """Return the length of the shortest valid frame: the tag and the fields without default."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return 1 + sum(field.required for field in info.fields)


@settings(deadline=None)
@given(FRAMES)
def test_a_frame_comes_back_as_it_went(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@settings(deadline=None)
@given(FRAMES, st.lists(st.none() | SMALL | TEXT | TEXTS, min_size=1, max_size=4))
def test_fields_that_a_newer_version_appended_are_passed_over(
    frame: Frame, appended: list[Any]
) -> None:
    newer = msgspec.msgpack.encode([*whole(frame), *appended])
    assert decode_frame(newer) == frame


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_shorter_frame_of_an_older_version_gets_the_defaults(
    frame: Frame, data: st.DataObject
) -> None:
    items = whole(frame)
    kept = data.draw(st.integers(min_value=required(type(frame)), max_value=len(items)))
    older = decode_frame(msgspec.msgpack.encode(items[:kept]))
    info = inspect.type_info(type(frame))
    assert isinstance(info, inspect.StructType)
    for at, field in enumerate(info.fields, 1):
        expected = getattr(frame, field.name) if at < kept else field.default
        assert getattr(older, field.name) == expected


@settings(deadline=None)
@given(FRAMES)
def test_a_frame_without_a_required_field_is_refused(frame: Frame) -> None:
    short = whole(frame)[: required(type(frame)) - 1]
    with pytest.raises(msgspec.ValidationError):
        decode_frame(msgspec.msgpack.encode(short))


@settings(deadline=None)
@given(OPENED, st.data())
def test_an_identity_grows_as_a_frame_does(opened: CallOpened, data: st.DataObject) -> None:
    items = whole(opened)
    kept = data.draw(st.integers(min_value=0, max_value=len(items[3])))
    items[3] = items[3][:kept]
    older = decode_frame(msgspec.msgpack.encode(items))
    assert isinstance(older, CallOpened)
    for at, name in enumerate(Identity.__struct_fields__):
        expected = getattr(opened.identity if at < kept else Identity(), name)
        assert getattr(older.identity, name) == expected


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused_in_one_way(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except msgspec.DecodeError:  # ValidationError is one
        return
    assert isinstance(frame, get_args(Frame))


def test_tags_on_disk_do_not_move() -> None:
    assert encode_frame(FramesLost(1, 2, 3)) == bytes([0x94, 3, 1, 2, 3])
    assert whole(CallClosed(b"x" * 16, 1, Status.OK))[0] == 2
    opened = CallOpened(
        b"x" * 16, 1, Identity(), "openai", "openai", "chat", Metering.METERED, "POST", "/v1"
    )
    assert whole(opened)[0] == 1


def test_field_order_on_disk_does_not_move() -> None:
    """Append only: a changed line here breaks every spool already written."""
    assert CallOpened.__struct_fields__[:9] == (
        "call_id", "started_at_ns", "identity", "provider", "dialect", "operation", "metering",
        "method", "path",
    )  # fmt: skip
    assert CallClosed.__struct_fields__[:17] == (
        "call_id", "closed_at_ns", "status", "http_status", "error_type",
        "time_to_first_token_ns", "duration_ns", "provider_request_id", "provider_response_id",
        "model_actual", "service_tier", "usage", "usage_complete", "output_chars",
        "output_events", "response_bytes", "is_billable",
    )  # fmt: skip
    assert Identity.__struct_fields__[:12] == (*IDENTITY_FIELDS, "api_key_id")
