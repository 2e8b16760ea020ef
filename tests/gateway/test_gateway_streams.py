"""Answers in events are told by the media types of their dialect, not by one constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.gateway.kit import STREAM_BODY, Provider, chat, replying, run, running

from tollbook.capture.gateway.answer import Answer
from tollbook.dialects.openai import OpenAI

if TYPE_CHECKING:
    from tollbook.capture.gateway.service import Service

EVENTS = ("text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson")
TYPES = tuple(one.encode() for one in EVENTS)


def answer_of(content_type: str, types: tuple[bytes, ...]) -> Answer:
    return Answer(
        200, [(b"content-type", content_type.encode())], call_id=b"id", is_head=False,
        is_http_10=False, keep_alive=True, hides_usage=False, stream_types=types,
    )  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_an_answer_comes_in_events_if_its_dialect_says_so(name: str) -> None:
    assert answer_of(name, TYPES).is_event_stream
    assert answer_of(f"{name.title()}; charset=utf-8", TYPES).is_event_stream
    assert not answer_of(name, (b"text/other",)).is_event_stream
    assert not answer_of("application/json", TYPES).is_event_stream


@pytest.mark.parametrize("name", EVENTS)
def test_streams_of_any_type_are_counted_and_unbounded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAI, "stream_types", TYPES)
    seen: list[tuple[int, bool]] = []
    services: list[Service] = []
    body = b'{"line":1}\n' * 1000
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {name}\r\ncontent-length: {len(body)}\r\n\r\n"

    fed = Answer.feed

    def feed(self: Answer, data: bytes) -> None:
        fed(self, data)
        seen.append((services[0].metrics.open_streams, self.meter is not None))

    monkeypatch.setattr(Answer, "feed", feed)

    async def main() -> None:
        async with running(
            Provider(replying(head.encode() + body)), settings={"max_metered_response_bytes": 100}
        ) as gateway:
            services.append(gateway.service)
            response = await gateway.ask(chat(STREAM_BODY))
            assert response.body == body
            assert gateway.service.metrics.open_streams == 0

    run(main())
    assert set(seen) == {(1, True)}


def test_a_stream_of_unknown_length_that_ends_early_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'

    async def main() -> None:
        async def half(_: Provider, __: object, ___: object, writer: object) -> None:
            writer.write(head + event)  # type: ignore[attr-defined]
            writer.close()  # type: ignore[attr-defined]

        async with running(Provider(half)) as gateway:
            client = await gateway.client()
            client.send(chat(STREAM_BODY))
            assert not (await client.rest()).endswith(b"0\r\n\r\n")
            (closed,) = await gateway.closed_calls()
            assert closed.error_type == "upstream_broken"

    run(main())
