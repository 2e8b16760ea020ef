"""Gemini's Live API: turns of a WebSocket and what each used."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.gemini import Gemini
from tollbook.dialects.gemini_usage import read_gemini_usage
from tollbook.usage import Kinds

DIALECT = Gemini()
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
USAGE = {
    "promptTokenCount": 130,
    "responseTokenCount": 75,
    "totalTokenCount": 205,
    "promptTokensDetails": [
        {"modality": "AUDIO", "tokenCount": 100},
        {"modality": "TEXT", "tokenCount": 30},
    ],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 70}],
}
SPOKEN = {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "AAAA"}}]}}}
END = {"serverContent": {"turnComplete": True}}


def live(*messages: dict[str, Any]) -> Any:
    meter = DIALECT.socket_meter(DIALECT.route("GET", PATH))
    assert meter is not None
    setup = {"setup": {"model": "models/gemini-live-2.5-flash"}}
    meter.from_client(json.dumps(setup).encode())
    for message in messages:
        meter.from_provider(json.dumps(message).encode())
    return meter


def test_the_address_is_a_socket() -> None:
    route = DIALECT.route("GET", PATH)
    assert (route.operation, route.is_socket, route.metering) == ("realtime", True, "unmetered")
    vertex = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
    assert DIALECT.route("GET", vertex).is_socket
    assert DIALECT.socket_meter(DIALECT.route("GET", "/v1beta/models")) is None


def test_each_modality_of_a_turn_is_counted() -> None:
    """Case B16: audio out of a live turn is not dropped, nor billed as text."""
    began, ended = live(SPOKEN, SPOKEN, END | {"usageMetadata": USAGE}).turns()
    assert (began.metered, began.model, began.key) == (None, "gemini-live-2.5-flash", ended.key)
    assert (ended.status, ended.metered.usage_complete) == ("ok", True)
    assert read_gemini_usage(ended.metered.usage, ended.model).kinds == Kinds(
        30, input_audio_tokens=100, visible_output_tokens=5, output_audio_tokens=70
    )


def test_usage_may_come_after_the_end_of_its_turn() -> None:
    turns = live(SPOKEN, END, {"usageMetadata": USAGE}, SPOKEN, END).turns()
    assert [turn.metered is not None for turn in turns] == [False, True, False]
    late = live(SPOKEN, END, SPOKEN).turns()
    assert [turn.key for turn in late] == ["turn-1", "turn-1", "turn-2"]
    assert late[1].metered.usage == ()


def test_a_turn_that_was_cut_keeps_what_was_reported() -> None:
    meter = live(SPOKEN, {"usageMetadata": USAGE})
    meter.turns()
    (cut,) = meter.cut()
    assert (cut.status, cut.metered.usage_complete, len(cut.metered.usage)) == (
        "cancelled",
        False,
        1,
    )
    spoken_into = live(
        SPOKEN, {"serverContent": {"interrupted": True}}, END | {"usageMetadata": USAGE}
    )
    assert spoken_into.turns()[1].status == "cancelled"
    assert spoken_into.cut() == []


@given(st.lists(st.binary(max_size=60)))
def test_any_messages_are_read(messages: list[bytes]) -> None:
    meter = live()
    for message in messages:
        meter.from_client(message)
        meter.from_provider(message)
    meter.turns()
    assert meter.cut() == []
