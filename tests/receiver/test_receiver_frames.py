"""``/v1/frames``: what SDKs send is on file when it is answered, and no more than they may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.receiver.conftest import Disk, Running, call_frames, packed

from tollbook import clock
from tollbook.call import (
    BatchRead,
    CallClosed,
    CallOpened,
    FramesLost,
    Identity,
    Observer,
    SpanKind,
    SpanSeen,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Running]

replace = msgspec.structs.replace


def test_calls_and_spans_are_on_file_when_they_are_answered(start: Start) -> None:
    receiver = start()
    opened, closed = call_frames()
    span = SpanSeen(
        clock.unix_ns(), "a" * 32, "b" * 16, None, "run", SpanKind.AGENT, Observer.SDK,
        clock.unix_ns(), identity=Identity(tenant_id="acme"),
    )  # fmt: skip

    answer = receiver.frames([opened, closed, span])

    assert (answer.status, answer.json) == (200, {"accepted": 2, "rejected": 0, "message": ""})
    first, second, third = receiver.spooled
    assert isinstance(first, CallOpened)
    assert isinstance(third, SpanSeen)
    assert first.observer is third.observer is Observer.SDK
    assert first.identity.tenant_id == "acme"
    assert first.identity.sources == {"tenant_id": "sdk", "environment": "default"}
    assert second == closed
    assert third.identity is not None
    assert third.identity.environment is None


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (lambda one, two: [one], "without its end"),
        (lambda one, two: [two], "without its beginning"),
        (lambda one, two: [FramesLost(1, 2, 3)], "FramesLost frames are not taken"),
        (lambda one, two: [BatchRead(1, "openai", "x", 2)], "BatchRead frames are not taken"),
        (lambda one, two: [[1, 2, 3]], "no frame that this version knows"),
        (lambda one, two: ["text"], "no frame that this version knows"),
        (lambda one, two: [replace(one, path="x" * 3000), two], "path has more than 2048"),
        (lambda one, two: [replace(one, provider="a\nb"), two], "control character"),
        (lambda one, two: [replace(one, provider=""), two], "must be named"),
        (lambda one, two: [replace(one, started_at_ns=5), two], "before 2015"),
        (lambda one, two: [replace(one, started_at_ns=2**62), two], "ahead of"),
        (lambda one, two: [replace(one, request_bytes=-1), two], "request_bytes"),
        (lambda one, two: [replace(one, layers=(0, 5, 99, 5)), two], "layers"),
        (lambda one, two: [replace(one, layers=(0,)), two], "layers"),
        (lambda one, two: [one, replace(two, usage=(b"{" * 400_000,))], "too large"),
        (lambda one, two: [one, replace(two, usage=(b"{" * 200_000,) * 2)], "usage is larger"),
    ],
)  # fmt: skip
def test_what_a_frame_may_not_be_is_refused_and_the_rest_is_taken(
    start: Start, frames: Callable[[Any, Any], list[Any]], words: str
) -> None:
    receiver = start()
    good = call_frames()

    answer = receiver.frames([*frames(*call_frames()), *good])

    assert answer.status == 200
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 1)
    assert words in answer.json["message"]
    assert [type(one) for one in receiver.spooled] == [CallOpened, CallClosed]


def test_a_call_id_of_the_wrong_size_is_refused(start: Start) -> None:
    receiver = start()
    one, two = call_frames()
    short = [replace(frame, call_id=b"short") for frame in (one, two)]
    assert receiver.frames(short).json["message"].endswith("call_id has 5 bytes, expected 16")


def test_a_sender_passes_for_nobody_else(start: Start) -> None:
    """Neither for the gateway, nor for the holder of a key, nor with an owner that is no id."""
    receiver = start()
    identity = Identity(
        tenant_id="acme", user_id='{"json": 1}', feature="search", api_key_id="key_stolen",
        sources={"tenant_id": "virtual_key", "feature": "nonsense"},
    )  # fmt: skip

    receiver.frames(call_frames(identity=identity, observer=None))

    frame = receiver.spooled[0]
    assert isinstance(frame, CallOpened)
    assert frame.observer is Observer.SDK
    assert frame.identity.sources["tenant_id"] == "sdk"
    assert frame.identity.sources["feature"] == "sdk"
    assert frame.identity.user_id is None
    assert frame.identity.api_key_id is None
    assert "user_id looks like JSON" in frame.identity.problems[0]


def test_a_key_bound_to_a_tenant_goes_before_what_the_sender_says(start: Start) -> None:
    receiver = start()
    secret = receiver.key(tenant_id="acme", environment="staging")

    answer = receiver.frames(call_frames("globex"), authorization=f"Bearer {secret}")

    assert answer.status == 200
    frame = receiver.spooled[0]
    assert isinstance(frame, CallOpened)
    identity = frame.identity
    assert (identity.tenant_id, identity.environment) == ("acme", "staging")
    assert identity.api_key_id is not None
    (conflict,) = identity.conflicts
    assert (conflict.kept, conflict.refused, conflict.refused_source) == ("acme", "globex", "sdk")


def test_what_an_sdk_had_to_give_up_is_told_to_the_ledger(start: Start) -> None:
    receiver = start()
    assert receiver.frames(call_frames(), x_tollbook_calls_lost="7").status == 200
    assert receiver.frames([], x_tollbook_calls_lost="2").status == 200
    assert receiver.frames([], x_tollbook_calls_lost="many").status == 200
    lost = [one.frames for one in receiver.spooled if isinstance(one, FramesLost)]
    assert lost == [7, 2]


@pytest.mark.parametrize("body", [b"", b"zz", packed(1)[1:], b"\x81\xa1a\x01", b"\x91" * 5000])
def test_what_is_no_array_of_frames_is_malformed(start: Start, body: bytes) -> None:
    receiver = start()
    answer = receiver.post("/v1/frames", body, content_type="application/msgpack")
    rejected = answer.status == 200 and answer.json["rejected"]
    assert rejected or (answer.status == 400 and answer.json["code"] == 3)
    assert not receiver.spooled


def test_while_the_disk_is_full_nothing_is_taken_and_nothing_is_lost(
    start: Start, disk: Disk
) -> None:
    receiver = start()
    first, second, third = call_frames(), call_frames(), call_frames()
    assert receiver.frames(first).status == 200

    disk.is_full = True
    refused = [receiver.frames(second), receiver.frames(third)]

    assert [one.status for one in refused] == [503, 503]
    assert refused[0].headers["retry-after"] == "2"
    assert refused[0].json["code"] == 14
    assert receiver.get("/readyz").status == 503
    assert receiver.get("/healthz").status == 200
    assert "tollbook_receiver_spool_ok 0" in receiver.get("/metrics").body.decode()

    disk.is_full = False
    while receiver.frames(third).status != 200:
        pass
    assert receiver.frames(second).status == 200
    receiver.stop()
    closed = {one.call_id for one in receiver.spooled if isinstance(one, CallClosed)}
    assert closed == {frames[1].call_id for frames in (first, second, third)}  # type: ignore[union-attr]
    assert not any(isinstance(one, FramesLost) for one in receiver.spooled)
