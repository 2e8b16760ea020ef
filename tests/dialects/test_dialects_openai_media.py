"""Images, speech, transcripts and rerank: from request and answer to what is billed."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Status,
    UsageSource,
)
from tollbook.dialects.base import Measured, RequestFacts
from tollbook.dialects.multipart import read_form
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.wave import wave_ms
from tollbook.usage import Kinds

OPENAI = OpenAI()
SSE = {b"content-type": b"text/event-stream"}


def form(fields: dict[str, str], file: bytes | None = None, name: str = "file") -> bytes:
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if file is not None:
        head = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="a.wav"\r\n'
        parts.append(head.encode() + b"Content-Type: audio/wav\r\n\r\n" + file + b"\r\n")
    return b"".join(parts) + b"--B--\r\n"


def wave(seconds: float, rate: int = 16_000) -> bytes:
    data = bytes(int(seconds * rate * 2))
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate,
                       rate * 2, 2, 16)  # fmt: skip
    return head + b"data" + struct.pack("<I", len(data)) + data


def call(
    path: str,
    body: bytes | dict[str, Any],
    answer: bytes | dict[str, Any] | None,
    *,
    status: int = 200,
    head: dict[bytes, bytes] | None = None,
    response_bytes: int = 0,
) -> tuple[Measured, RequestFacts]:
    """Send a request through the dialect as the gateway and the ledger do."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = OPENAI.route("POST", path)
    facts = OPENAI.read_request(route, raw, inject_stream_usage=True, user_is="user")
    assert facts.body == raw
    meter = OPENAI.meter(route, facts, status, head or {})
    sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    if answer is not None:
        assert meter.feed(sent) + meter.flush() == sent
    seen = meter.result()
    opened = CallOpened(
        b"0" * 16, 1, Identity(), "openai", "openai", route.operation, route.metering, "POST", path,
        facts.model, facts.is_stream, input_chars=facts.input_chars, asked=facts.asked,
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 2, Status.INTERRUPTED if answer is None else Status.OK, usage=seen.usage,
        usage_complete=seen.usage_complete, model_actual=seen.model_actual,
        output_chars=seen.output_chars, response_bytes=response_bytes,
    )  # fmt: skip
    return OPENAI.measure(Call(opened, closed, Evidence("w", 0, 0, "1"))), facts


def test_dall_e_bills_each_image_by_size_and_quality() -> None:
    body = {"model": "dall-e-3", "prompt": "a cat", "size": "1024x1792", "quality": "hd"}
    measured, facts = call(
        "/v1/images/generations", body, {"created": 1, "data": [{"url": "https://x"}]}
    )
    assert facts.asked == {"images": 1, "size": "1024x1792", "quality": "hd"}
    assert measured == Measured(Kinds(images=1), UsageSource.REPORTED, (), "hd+1024x1792")


def test_the_images_that_came_are_billed_not_those_asked_for() -> None:
    body = {"prompt": "a cat", "n": 4}
    measured, facts = call("/v1/images/generations", body, {"data": [{"url": "u"}, {"url": "v"}]})
    assert facts.model == "dall-e-2"
    assert (measured.kinds, measured.tier) == (Kinds(images=2), "1024x1024")


def test_images_of_an_answer_that_never_came_are_an_estimate() -> None:
    measured, _ = call("/v1/images/generations", {"prompt": "a cat", "n": 4}, None)
    assert (measured.kinds, measured.source) == (Kinds(images=4), UsageSource.ESTIMATED)


def test_edits_and_variations_come_as_forms() -> None:
    body = form({"model": "gpt-image-1", "n": "2", "prompt": "a hat"}, b"\x89PNG", "image[]")
    usage = {
        "input_tokens": 221,
        "input_tokens_details": {"image_tokens": 194, "text_tokens": 27},
        "output_tokens": 1318,
        "output_tokens_details": {"image_tokens": 1056, "text_tokens": 262},
        "total_tokens": 1539,
    }
    measured, facts = call("/v1/images/edits", body, {"data": [{"b64_json": "x"}], "usage": usage})
    assert (facts.model, facts.asked) == ("gpt-image-1", {"images": 2})
    assert measured.kinds == Kinds(
        27, input_image_tokens=194, visible_output_tokens=262, output_image_tokens=1056
    )
    assert (measured.source, measured.problems) == (UsageSource.REPORTED, ())
    variation, facts = call("/v1/images/variations", form({"n": "3"}, b"x"), {"data": [{}, {}, {}]})
    assert (facts.model, variation.kinds) == ("dall-e-2", Kinds(images=3))


def test_image_output_without_details_is_image_and_cached_images_have_their_own_kind() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {
            "image_tokens": 60,
            "text_tokens": 40,
            "cached_tokens": 50,
            "cached_tokens_details": {"image_tokens": 30, "text_tokens": 20},
        },
        "output_tokens": 272,
        "total_tokens": 372,
    }
    measured, _ = call("/v1/images/generations", {"model": "gpt-image-1"}, {"usage": usage})
    assert measured.kinds == Kinds(
        20, 20, input_image_tokens=30, cache_read_image_tokens=30, output_image_tokens=272
    )


def test_a_gpt_image_without_usage_is_estimated_by_size_and_quality() -> None:
    body = {"model": "gpt-image-1", "prompt": "cat!", "size": "1024x1536", "quality": "low"}
    measured, _ = call("/v1/images/generations", body, {"data": [{}, {}]})
    assert measured.source is UsageSource.ESTIMATED
    assert measured.kinds == Kinds(2, output_image_tokens=816)


def test_a_stream_of_images_tells_its_usage_at_the_end() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 4160,
        "total_tokens": 4170,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    }
    events = [
        {"type": "image_generation.partial_image", "b64_json": "x" * 50_000},
        {"type": "image_generation.completed", "b64_json": "y" * 50_000, "usage": usage},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    asked = {"model": "gpt-image-1", "stream": True}
    measured, _ = call("/v1/images/generations", asked, body, head=SSE)
    assert measured.kinds == Kinds(10, output_image_tokens=4160)
    assert measured.source is UsageSource.REPORTED
    cut, _ = call("/v1/images/generations", asked, body[:40_000], head=SSE)
    assert cut.source is UsageSource.ESTIMATED


def test_characters_of_speech_are_those_of_the_text() -> None:
    text = 'naïve "😀" text'
    measured, facts = call(
        "/v1/audio/speech", {"model": "tts-1", "input": text, "voice": "alloy"}, b"\xff\xfb\x90mp3"
    )
    assert facts.asked == {"characters": len(text)}
    assert measured == Measured(Kinds(characters=len(text)), UsageSource.REPORTED)


def test_speech_by_tokens_says_them_in_events_and_is_estimated_otherwise() -> None:
    body = {"model": "gpt-4o-mini-tts", "input": "Hello there.", "stream_format": "sse"}
    events = (
        b'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n'
        b'data: {"type":"speech.audio.done","usage":'
        b'{"input_tokens":14,"output_tokens":101,"total_tokens":115}}\n\n'
    )
    measured, _ = call("/v1/audio/speech", body, events, head=SSE)
    assert measured == Measured(Kinds(14, output_audio_tokens=101), UsageSource.REPORTED)
    body = {"model": "gpt-4o-mini-tts", "input": "x" * 900}
    guessed, _ = call("/v1/audio/speech", body, b"\xff\xfb")
    assert guessed.source is UsageSource.ESTIMATED
    assert guessed.kinds == Kinds(226, output_audio_tokens=1250)
    body |= {"response_format": "pcm"}
    timed, _ = call("/v1/audio/speech", body, b"\0\0", response_bytes=24_000 * 2 * 6)
    assert timed.kinds == Kinds(226, output_audio_tokens=125)


@pytest.mark.parametrize(
    ("usage", "kinds"),
    [
        (
            {
                "type": "tokens",
                "total_tokens": 181,
                "input_tokens": 37,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 37},
                "output_tokens": 144,
            },
            Kinds(0, input_audio_tokens=37, visible_output_tokens=144),
        ),
        ({"type": "duration", "seconds": 4}, Kinds(audio_ms=4000)),
        ({"type": "duration", "seconds": 0.25}, Kinds(audio_ms=250)),
        (
            {
                "prompt_audio_seconds": 3,
                "prompt_tokens": 5,
                "total_tokens": 400,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375},
            },
            Kinds(audio_ms=3000),
        ),
    ],
)
def test_transcripts_report_tokens_or_a_length(usage: dict[str, Any], kinds: Kinds) -> None:
    body = form({"model": "gpt-4o-transcribe"}, wave(1))
    measured, facts = call("/v1/audio/transcriptions", body, {"text": "hi", "usage": usage})
    assert facts.asked == {"audio_bytes": 32_044, "audio_ms": 1000}
    assert (measured.kinds, measured.source) == (kinds, UsageSource.REPORTED)


def test_a_verbose_transcript_tells_its_length_and_a_plain_one_does_not() -> None:
    body = form({"model": "whisper-1", "response_format": "verbose_json"}, wave(2))
    for duration in (3.5, "3.5"):
        measured, _ = call("/v1/audio/translations", body, {"text": "hi", "duration": duration})
        assert (measured.kinds, measured.source) == (Kinds(audio_ms=3500), UsageSource.REPORTED)
    plain, facts = call("/v1/audio/transcriptions", body, b"Just the words.\n")
    assert facts.asked is not None
    assert facts.asked["format"] == "verbose_json"
    assert (plain.kinds, plain.source) == (Kinds(audio_ms=2000), UsageSource.ESTIMATED)
    packed = form({"model": "whisper-1", "response_format": "srt"}, b"ID3" + bytes(31_997))
    by_size, _ = call("/v1/audio/transcriptions", packed, b"1\n00:00:00,000 --> ...\n")
    assert (by_size.kinds, by_size.source) == (Kinds(audio_ms=2000), UsageSource.ESTIMATED)


def test_a_streamed_transcript_has_its_usage_in_the_last_event() -> None:
    body = form({"model": "gpt-4o-mini-transcribe", "stream": "true"}, wave(1))
    events = (
        b'data: {"type":"transcript.text.delta","delta":"Hel"}\n\n'
        b'data: {"type":"transcript.text.done","text":"Hello","usage":{"type":"tokens",'
        b'"input_tokens":37,"input_token_details":{"text_tokens":5,"audio_tokens":32},'
        b'"output_tokens":12,"total_tokens":49}}\n\n'
    )
    measured, facts = call("/v1/audio/transcriptions", body, events, head=SSE)
    assert facts.is_stream
    assert measured.kinds == Kinds(5, input_audio_tokens=32, visible_output_tokens=12)
    cut, _ = call("/v1/audio/transcriptions", body, events[:60], head=SSE)
    assert (cut.source, cut.kinds) == (
        UsageSource.ESTIMATED,
        Kinds(input_audio_tokens=10, visible_output_tokens=1),
    )


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ({"usage": {"total_tokens": 57}}, Kinds(57)),  # Voyage, Jina, vLLM
        ({"usage": {"prompt_tokens": 9, "total_tokens": 9}}, Kinds(9)),
        ({"meta": {"billed_units": {"search_units": 2}}}, Kinds(search_units=2)),  # Cohere's
    ],
)
def test_rerank_bills_tokens_or_search_units(answer: dict[str, Any], kinds: Kinds) -> None:
    body = {"model": "rerank-2", "query": "who?", "documents": ["a" * 40, "b" * 40]}
    measured, facts = call("/v1/rerank", body, answer)
    assert facts.input_chars > 80
    assert (measured.kinds, measured.source) == (kinds, UsageSource.REPORTED)


def test_an_error_is_no_image_and_keeps_its_code() -> None:
    route = OPENAI.route("POST", "/v1/images/generations")
    meter = OPENAI.meter(route, RequestFacts(b""), 400, {})
    meter.feed(b'{"error":{"code":"moderation_blocked","type":"user_error","message":"no"}}')
    assert meter.result().error_type == "moderation_blocked"
    assert not meter.has_content


@given(st.binary(max_size=400), st.sampled_from(["generations", "edits", "variations"]))
def test_no_body_raises(body: bytes, last: str) -> None:
    route = OPENAI.route("POST", f"/v1/images/{last}")
    facts = OPENAI.read_request(route, body, inject_stream_usage=True, user_is="user")
    assert facts.body == body


@given(
    st.dictionaries(
        st.text("abcdef_", min_size=1, max_size=8),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n-"), max_size=40),
        max_size=5,
    ),
    st.binary(max_size=200).filter(lambda data: b"--B" not in data),
)
def test_every_form_is_read_as_it_was_made(fields: dict[str, str], data: bytes) -> None:
    body = form(fields, data)
    read = read_form(body)
    assert read is not None
    assert read.fields == fields
    (file,) = read.files
    assert body[file.start : file.end] == data


@given(st.binary(max_size=120))
def test_forms_and_waves_of_nonsense_are_refused_quietly(data: bytes) -> None:
    read_form(b"--B\r\n" + data)
    assert wave_ms(data, 0, len(data)) is None or data[:4] == b"RIFF"
    wave_ms(b"RIFF0000WAVE" + data, 0, len(data) + 12)
