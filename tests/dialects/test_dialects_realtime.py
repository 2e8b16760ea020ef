"""Realtime sessions and Responses over a WebSocket: what their messages say was used."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_realtime import MAX_OPEN, RealtimeMeter
from tollbook.dialects.realtime_usage import read_realtime_usage
from tollbook.dialects.responses_socket import ResponsesSocketMeter

encode = msgspec.json.encode
counts = st.integers(0, 5000)


def usage(**members: Any) -> bytes:
    return encode(members)


def event(kind: str, **members: Any) -> bytes:
    return encode({"type": kind, **members})


def test_a_documented_usage_is_told_apart_by_modality_and_cache() -> None:
    reading = read_realtime_usage(
        (
            usage(
                total_tokens=253, input_tokens=132, output_tokens=121,
                input_token_details={
                    "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0,
                    "cached_tokens": 70,
                    "cached_tokens_details": {
                        "text_tokens": 64, "audio_tokens": 6, "image_tokens": 0,
                    },
                },
                output_token_details={"text_tokens": 30, "audio_tokens": 91},
            ),
        )
    )  # fmt: skip
    assert reading.problems == ()
    kinds = reading.kinds
    assert kinds is not None
    assert kinds.uncached_input_tokens == 55
    assert kinds.cache_read_tokens == 64
    assert (kinds.input_audio_tokens, kinds.cache_read_audio_tokens) == (7, 6)
    assert (kinds.visible_output_tokens, kinds.output_audio_tokens) == (30, 91)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"type": "duration", "seconds": 3.25}, {"audio_ms": 3250}),
        (
            {"type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9,
             "input_token_details": {"text_tokens": 2, "audio_tokens": 11}},
            {"input_audio_tokens": 11, "uncached_input_tokens": 2, "visible_output_tokens": 9},
        ),
    ],
)  # fmt: skip
def test_transcriptions_are_billed_by_tokens_or_by_time(
    raw: dict[str, Any], expected: dict[str, int]
) -> None:
    kinds = read_realtime_usage((encode(raw),)).kinds
    assert kinds is not None
    assert {k: n for k, n in kinds._asdict().items() if n and k != "requests"} == expected


@given(
    given_=counts, out=counts, parts=st.lists(st.none() | counts, min_size=9, max_size=9),
    has_split=st.booleans(),
)  # fmt: skip
def test_kinds_are_disjoint_and_sum_to_what_is_billed(
    given_: int, out: int, parts: list[int | None], has_split: bool  # noqa: FBT001 -- drawn
) -> None:  # fmt: skip
    text, audio, image, cached, c_text, c_audio, c_image, out_audio, reasoning = parts
    split = {"text_tokens": c_text, "audio_tokens": c_audio, "image_tokens": c_image}
    details = {
        "text_tokens": text, "audio_tokens": audio, "image_tokens": image, "cached_tokens": cached,
        "cached_tokens_details": split if has_split else None,
    }  # fmt: skip
    kinds = read_realtime_usage(
        (
            usage(
                input_tokens=given_, output_tokens=out, input_token_details=details,
                output_token_details={"audio_tokens": out_audio, "reasoning_tokens": reasoning},
            ),
        )
    ).kinds  # fmt: skip
    assert kinds is not None
    assert min(kinds) >= 0
    assert kinds.input_tokens == given_
    assert kinds.output_tokens == out
    reads = kinds.cache_read_tokens + kinds.cache_read_audio_tokens + kinds.cache_read_image_tokens
    assert reads == min(cached or 0, given_)
    if image is None or (audio or 0) + image <= given_:
        heard = kinds.input_audio_tokens + kinds.cache_read_audio_tokens
        assert heard == min(audio or 0, given_)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=10))
def test_no_message_raises(messages: list[tuple[bool, bytes]]) -> None:
    for meter in (RealtimeMeter("m"), ResponsesSocketMeter(None)):
        for is_from_client, message in messages:
            (meter.from_client if is_from_client else meter.from_provider)(message)
        meter.turns()
        meter.cut()


_value: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "usage", "status", "status_details", "error", "model", "code"]),
            inner, max_size=4,
        )
    ),
    max_leaves=6,
)  # fmt: skip
_kinds = st.sampled_from(
    [
        "session.created", "session.updated", "response.created", "response.done", "error",
        "response.output_audio.delta", "response.output_text.delta", "response.completed",
        "conversation.item.input_audio_transcription.completed", "response.create",
    ]
)  # fmt: skip
_names = st.sampled_from(
    ["response", "session", "usage", "delta", "response_id", "item_id", "error"]
)


@given(st.lists(st.tuples(st.booleans(), _kinds, st.dictionaries(_names, _value, max_size=3))))
def test_every_response_that_begins_ends_once(
    events: list[tuple[bool, str, dict[str, Any]]],
) -> None:
    for meter in (RealtimeMeter("m"), ResponsesSocketMeter("m")):
        turns = []
        for is_from_client, kind, members in events:
            message = encode({"type": kind, **members})
            (meter.from_client if is_from_client else meter.from_provider)(message)
            turns += meter.turns()
        turns += meter.cut()
        is_open: set[str] = set()
        for turn in turns:
            if turn.metered is None:
                assert turn.key not in is_open
                is_open.add(turn.key)
            else:
                is_open.discard(turn.key)
        assert is_open == set()


def test_a_response_that_failed_bills_only_what_it_reports() -> None:
    meter = RealtimeMeter("gpt-realtime")
    error = {"type": "server_error", "code": "model_failure"}
    for usage_ in (None, {"input_tokens": 4, "output_tokens": 0}):
        meter.from_provider(event("response.created", response={"id": "r"}))
        failed = {"status": "failed", "status_details": {"error": error}, "usage": usage_}
        meter.from_provider(event("response.done", response={"id": "r", **failed}))
        _, ended = meter.turns()
        assert ended.metered is not None
        assert (ended.status, ended.metered.error_type) == (Status.ERROR, "model_failure")
        assert ended.is_billable is (usage_ is not None)


def test_too_many_responses_at_once_are_closed_as_they_are() -> None:
    meter = RealtimeMeter("m")
    for number in range(MAX_OPEN + 3):
        meter.from_provider(event("response.created", response={"id": f"r{number}"}))
    ended = [turn.key for turn in meter.turns() if turn.metered is not None]
    assert ended == ["r0", "r1", "r2"]
    assert len(meter.cut()) == MAX_OPEN


def test_a_cut_response_is_estimated_by_the_length_of_its_sound() -> None:
    meter = RealtimeMeter("gpt-realtime")
    telephone = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}, "model": "gpt-realtime"}
    for session, per_token in (({"model": "gpt-realtime"}, 2400), (telephone, 400)):
        meter.from_provider(event("session.updated", session=session))
        meter.from_provider(event("response.created", response={"id": "r"}))
        (begun,) = meter.turns()
        sound = base64.b64encode(bytes(per_token * 30)).decode()
        delta = event("response.output_audio.delta", response_id="r", delta=sound)
        meter.from_provider(delta)
        (cut,) = meter.cut()
        assert cut.metered is not None
        opened = CallOpened(
            b"i" * 16, 0, Identity(), "openai", "openai", begun.operation, Metering.METERED,
            "GET", "/v1/realtime", begun.model, input_chars=40,
        )  # fmt: skip
        closed = CallClosed(
            b"i" * 16, 1, cut.status, output_chars=cut.metered.output_chars,
            output_events=cut.metered.output_events,
        )  # fmt: skip
        measured = OpenAI().measure(Call(opened, closed, Evidence("w", 1, 0, "1")))
        assert measured.source is UsageSource.ESTIMATED
        assert measured.kinds is not None
        assert measured.kinds.output_audio_tokens == 30
        assert measured.kinds.visible_output_tokens == 0
        assert measured.kinds.uncached_input_tokens == 10


def test_an_error_ends_the_request_that_it_is_about() -> None:
    meter = ResponsesSocketMeter(None)
    meter.from_client(event("response.create", model="gpt-5", input="x"))
    meter.from_provider(event("error", error={"type": "invalid_request_error", "code": "bad"}))
    begun, ended = meter.turns()
    assert begun.model == "gpt-5"
    assert ended.metered is not None
    assert (ended.status, ended.is_billable) == (Status.ERROR, False)
    assert ended.metered.error_type == "bad"
    meter.from_client(event("response.create", model="gpt-5", input="x"))
    meter.from_client(event("response.create", model="gpt-5", input="second"))
    meter.from_provider(event("response.created", response={"id": "r1"}))
    meter.from_provider(event("error", error={"code": "response_already_in_flight"}))
    last = meter.turns()[-1]
    assert last.metered is not None
    assert last.metered.error_type == "response_already_in_flight"
    meter.from_provider(
        event("response.completed", response={"id": "r1", "usage": {"input_tokens": 3}})
    )
    (done,) = meter.turns()
    assert done.metered is not None
    assert done.metered.usage == (b'{"input_tokens":3}',)
    assert done.status is Status.OK


def test_routes() -> None:
    for path, is_socket in (
        ("/v1/realtime", True), ("/openai/realtime", True), ("/v1/responses", True),
        ("/v1/responses/resp_1", False), ("/v1/realtime/calls", False), ("/v1/files", False),
    ):  # fmt: skip
        assert OpenAI().route("GET", path).is_socket is is_socket
        assert OpenAI().route("POST", path).is_socket is False
        meter = OpenAI().socket_meter(OpenAI().route("GET", path))
        assert (meter is not None) is is_socket
