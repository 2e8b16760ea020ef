"""Answers that are shown again through the gateway: bytes unchanged, final usage noted (C5)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from tests.gateway.kit import Gateway, Provider, answer, get, replying, run, running

from tollbook.call import CallClosed, CallOpened, LateUsage, Metering, decode_frame, encode_frame

USAGE = b'{"input_tokens":5,"output_tokens":7}'
FINISHED = (
    b'{"id":"resp_1","object":"response","status":"completed","model":"m-1","output":[],'
    b'"service_tier":"default","usage":' + USAGE + b"}"
)
RUNNING = FINISHED.replace(b'"completed"', b'"in_progress"')


def shown(response: bytes, path: str = "/openai/v1/responses/resp_1", **options: Any) -> list[Any]:
    """Ask for an answer once; return the frames of it, in order."""

    async def main() -> list[Any]:
        async with running(Provider(replying(response))) as gateway:
            received = await gateway.ask(
                get(path, headers="x-tollbook-tenant: acme\r\n", **options)
            )
            assert received.body == response.partition(b"\r\n\r\n")[2]
            await gateway.closed_calls()
            return _frames(gateway)

    return run(main())


def _frames(gateway: Gateway) -> list[Any]:
    return [*gateway.sink.on_file, *gateway.sink.queued]


@pytest.mark.parametrize("encoding", ["", "content-encoding: gzip\r\n"])
def test_a_finished_answer_is_noted_before_its_call_is_closed(encoding: str) -> None:
    body = gzip.compress(FINISHED) if encoding else FINISHED
    opened, late, closed = shown(answer(body, headers=encoding))
    assert isinstance(opened, CallOpened)
    assert (opened.operation, opened.metering) == ("retrieval", Metering.FREE)
    assert isinstance(late, LateUsage)
    assert late.call_id == opened.call_id
    assert (late.provider, late.provider_response_id, late.usage) == ("openai", "resp_1", (USAGE,))
    assert (late.model_actual, late.service_tier) == ("m-1", "default")
    assert isinstance(closed, CallClosed)
    assert (closed.usage, closed.provider_response_id) == ((), None)


def test_the_events_of_an_answer_are_noted_at_their_end() -> None:
    event = json.dumps({"type": "response.completed", "response": json.loads(FINISHED)}).encode()
    response = answer(b"data: " + event + b"\n\n").replace(
        b"application/json", b"text/event-stream"
    )
    _, late, _ = shown(response, "/openai/v1/responses/resp_1?stream=true")
    assert late.provider_response_id == "resp_1"


@pytest.mark.parametrize(
    "response",
    [
        answer(RUNNING),
        answer(FINISHED, "404 Not Found"),
        answer(b"not json"),
        answer(FINISHED[:-9]),
        answer(b""),
    ],
)
def test_what_is_not_finished_or_no_answer_is_not_noted(response: bytes) -> None:
    assert [type(one) for one in shown(response)] == [CallOpened, CallClosed]


def test_what_a_cancelled_answer_has_used_is_noted() -> None:
    body = FINISHED.replace(b"completed", b"cancelled")
    _, late, _ = shown(answer(body), "/openai/v1/responses/resp_1/cancel", method="POST")
    assert late.usage == (USAGE,)


def test_the_frame_is_read_as_it_was_written() -> None:
    frame = LateUsage(b"0" * 16, 1, "openai", "resp_1", (USAGE,), "m-1", "flex")
    assert decode_frame(encode_frame(frame)) == frame
    assert encode_frame(frame)[1] == 9
