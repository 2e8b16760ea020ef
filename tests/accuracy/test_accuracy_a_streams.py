"""A: streams and clients that leave."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.bodies import (
    ANTHROPIC,
    FAULT,
    MESSAGE,
    STOP,
    STREAM,
    WORDS,
    body_of,
    chunk,
    completion,
    final,
    message,
    message_stream,
    usage,
)
from tests.accuracy.kit import CASES, STREAM_HEAD, case, chunked, json_answer, sse, streamed

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

LONG = [chunk("word " * 4) for _ in range(5)]
A1 = case(
    "A1",
    [STREAM_HEAD, *(chunked(one) for one in sse(*LONG, done=False)), 0.3,
     *(chunked(one) for one in sse(*LONG, STOP, final(50, 100))), b"0\r\n\r\n"],
    body=STREAM, leaves_at=b"word",
)  # fmt: skip


def test_A1_client_leaves_and_the_provider_is_read_to_its_real_usage(book: Book) -> None:
    book.check(A1, "0.0011", status="cancelled",
               uncached_input_tokens=50, visible_output_tokens=100)  # fmt: skip


A1_ABORT = case(
    "A1-abort", CASES[A1].steps, body=STREAM, leaves_at=b"word", provider="abort"
)  # fmt: skip


def test_A1_client_leaves_and_what_was_received_is_estimated(book: Book) -> None:
    row = book.one(A1_ABORT)
    assert (row["status"], row["usage_source"]) == ("cancelled", "estimated")
    assert row["uncached_input_tokens"] >= 20
    assert 5 <= row["visible_output_tokens"] <= 30
    assert row["cost_usd"] > 0


A2 = case(
    "A2",
    [STREAM_HEAD, *(chunked(one) for one in sse(*WORDS[:3], done=False)), 0.3,
     *(chunked(one) for one in sse(*[WORDS[2]] * 40, *WORDS[3:], done=False)), b"0\r\n\r\n"],
    body={**MESSAGE, "stream": True}, path=ANTHROPIC, provider="claude", leaves_at=b"some words",
)  # fmt: skip


def test_A2_stop_button_on_messages_books_the_final_count_of_the_provider(book: Book) -> None:
    book.check(A2, "0.00606", status="cancelled", uncached_input_tokens=30,
               cache_read_tokens=4000, visible_output_tokens=400)  # fmt: skip


ZERO = [
    case("A3-plain", [json_answer(completion(usage(0, 0)))]),
    case("A3-stream", streamed(sse(chunk("hi"), STOP, final(0, 0))), body=STREAM),
    case("A3-responses",
         [json_answer({"id": "r", "model": "m-1", "output": [],
                       "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}})],
         path="/v1/responses"),
    case("A3-messages", [json_answer(message({"input_tokens": 0, "output_tokens": 0}))],
         path=ANTHROPIC, provider="claude", body=MESSAGE),
]  # fmt: skip


@pytest.mark.parametrize("name", ZERO)
def test_A3_explicit_zero_usage_costs_zero(book: Book, name: str) -> None:
    book.check(name, "0")


MISSING = [
    case("A3-absent", [json_answer(completion(text="y" * 40))]),
    case("A3-null", [json_answer(completion(text="y" * 40) | {"usage": None})]),
    case("A3-empty", [json_answer(completion({}, text="y" * 40))]),
    case("A3-nulls", [json_answer(completion({"prompt_tokens": None}, text="y" * 40))]),
    case("A3-absent-stream", streamed(sse(chunk("y" * 40), STOP)), body=STREAM, provider="plain"),
]


@pytest.mark.parametrize("name", MISSING)
def test_A3_absent_usage_is_estimated_never_zero(book: Book, name: str) -> None:
    row = book.one(name)
    assert row["usage_source"] == "estimated"
    assert row["uncached_input_tokens"] >= 20
    assert row["cost_usd"] > 0
    assert row["visible_output_tokens"] >= 10, name


A4_CLIENT = case(
    "A4-client", [*CASES[A2].steps[:4], 1.0], provider="claudeabort", path=ANTHROPIC,
    body={**MESSAGE, "model": "some-alias", "stream": True}, leaves_at=b"some words",
)  # fmt: skip
A4_DURATION = case(
    "A4-duration", [*CASES[A2].steps[:4], 5.0], provider="claude", path=ANTHROPIC,
    body={**MESSAGE, "model": "some-alias", "stream": True}, leaves_at=b"some words",
)  # fmt: skip


@pytest.mark.parametrize("name", [A4_CLIENT, A4_DURATION])
def test_A4_a_stream_cut_short_keeps_cache_counts_and_the_served_model(
    book: Book, name: str
) -> None:
    book.check(name, "0.00209", source="estimated", status="cancelled", uncached_input_tokens=30,
               cache_read_tokens=4000, visible_output_tokens=3)  # fmt: skip


A5 = case("A5", [0.6, json_answer(completion(usage(50, 100)))], leaves_at=0.2)


def test_A5_client_leaves_before_a_plain_answer_and_all_of_it_is_booked(book: Book) -> None:
    book.check(A5, "0.0011", status="cancelled",
               uncached_input_tokens=50, visible_output_tokens=100)  # fmt: skip


SAME_ID = [
    case(f"A7-{name}-{at}", streamed(sse(chunk("a", id=name), STOP, final(10, at, id=name))),
         body=STREAM)
    for name in ("", "chatcmpl-same")
    for at in (1, 2)
]  # fmt: skip


@pytest.mark.parametrize("name", SAME_ID)
def test_A7_equal_or_empty_upstream_ids_are_still_two_calls(book: Book, name: str) -> None:
    out = int(name[-1])
    book.check(name, f"0.0000{20 + 10 * out}", uncached_input_tokens=10,
               visible_output_tokens=out)  # fmt: skip
    assert len({str(book.one(each)["call_id"]) for each in SAME_ID}) == len(SAME_ID)


A8_ERROR = case("A8-error", streamed(sse(chunk("a"), STOP, final(50, 100), FAULT, done=False)),
                body=STREAM)  # fmt: skip
A8_TIMEOUT = case(
    "A8-timeout",
    [STREAM_HEAD, *(chunked(one) for one in sse(chunk("a"), STOP, final(50, 100), done=False)),
     2.5],
    body=STREAM, provider="slow",
)  # fmt: skip
A8_RESET = case("A8-reset", CASES[A8_TIMEOUT].steps[:-1], body=STREAM, closes=True)


@pytest.mark.parametrize("name", [A8_ERROR, A8_TIMEOUT, A8_RESET])
def test_A8_a_fault_after_the_usage_keeps_the_usage(book: Book, name: str) -> None:
    book.check(name, "0.0011", status="error",
               uncached_input_tokens=50, visible_output_tokens=100)  # fmt: skip


A10 = case("A10", streamed(sse(chunk("x" * 52), STOP | {"usage": usage(107, 20)})), body=STREAM)


def test_A10_usage_of_the_provider_wins_over_any_estimate(book: Book) -> None:
    book.check(A10, "0.000414", uncached_input_tokens=107, visible_output_tokens=20)


A11 = [
    case("A11-plain", [json_answer(completion(usage(9520, 10, cached=9519)))]),
    case("A11-stream", streamed(sse(chunk("a"), STOP, final(9520, 10, cached=9519))), body=STREAM),
]


@pytest.mark.parametrize("name", A11)
def test_A11_cached_tokens_of_a_stream_take_the_cache_rate(book: Book, name: str) -> None:
    book.check(name, "0.0048615", uncached_input_tokens=1, cache_read_tokens=9519,
               visible_output_tokens=10)  # fmt: skip


ASKED = {**STREAM, "stream_options": {"include_usage": True}}
TEXT = sse(chunk("a"), STOP, done=False)
A13 = case("A13", streamed([*TEXT, *sse(final(50, 100))]), body=STREAM)
A13_ASKED = case("A13-asked", CASES[A13].steps, body=ASKED)
A13_REFUSED = case("A13-refused", CASES[A13].steps, body={**STREAM, "stream_options":
                   {"include_usage": False}})  # fmt: skip
A13_PLAIN = case("A13-plain", CASES[A13].steps, body=STREAM, provider="plain")
A13_RESPONSES = case("A13-responses", streamed(sse()), body=STREAM, path="/v1/responses")


def test_A13_usage_is_asked_for_and_hidden_from_a_client_that_did_not(book: Book) -> None:
    def asked(name: str) -> Any:
        (request,) = book.sent_up[name]
        return json.loads(request.partition(b"\r\n\r\n")[2]).get("stream_options")

    for name in (A13, A13_ASKED, A13_REFUSED, A13_PLAIN):
        book.check(name, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    assert [asked(name) for name in (A13, A13_REFUSED, A13_ASKED)] == [{"include_usage": True}] * 3
    assert (asked(A13_PLAIN), asked(A13_RESPONSES)) == (None, None)
    hidden = b"".join([*TEXT, b"data: [DONE]\n\n"])
    assert body_of(book.seen[A13]) == body_of(book.seen[A13_REFUSED]) == hidden
    assert b"prompt_tokens" in body_of(book.seen[A13_ASKED])


A14 = case(
    "A14", [STREAM_HEAD, *(chunked(one) for one in sse(chunk("a"), STOP, final(50, 100))), 1.0],
    body=STREAM, leaves_at=b"data: [DONE]\n\n",
)  # fmt: skip


def test_A14_leaving_exactly_at_done_is_a_whole_call(book: Book) -> None:
    book.check(A14, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)


CUT_MESSAGE = case(
    "A8-messages",
    streamed(
        sse(
            *WORDS[:3],
            {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
            done=False,
        )
    ),
    path=ANTHROPIC,
    provider="claude",
    body={**MESSAGE, "stream": True},
)
A14_MESSAGES = case(
    "A14-messages",
    [STREAM_HEAD, *(chunked(one) for one in sse(*WORDS, done=False)), 1.0],
    path=ANTHROPIC,
    provider="claude",
    body={**MESSAGE, "stream": True},
    leaves_at=b'{"type":"message_stop"}\n\n',
)


def test_A8_A14_messages_that_end_early_or_just_in_time(book: Book) -> None:
    row = book.check(CUT_MESSAGE, "0.00209", source="estimated", status="error",
                     uncached_input_tokens=30, cache_read_tokens=4000,
                     visible_output_tokens=3)  # fmt: skip
    assert row["error_type"] == "overloaded_error"
    book.check(A14_MESSAGES, "0.00606", uncached_input_tokens=30, cache_read_tokens=4000,
               visible_output_tokens=400)  # fmt: skip


A6_BODY = sse(*[chunk("w" * 60_000)] * 80, STOP, final(50, 100))
A6 = [case(f"A6-{at}", streamed(A6_BODY), body=STREAM, leaves_at=b"wwww") for at in range(30)]
A6_HEALTH = [case(f"A6-other-{at}", [json_answer(completion(usage(50, 100)))]) for at in range(10)]


def test_A6_dropped_long_streams_are_booked_and_nobody_waits_for_them(book: Book) -> None:
    for name in A6:
        row = book.one(name)
        assert row["usage_source"] == "reported", name
        assert row["cost_usd"] == Decimal("0.0011")
    for name in A6_HEALTH:
        book.check(name, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)


A9_USED = {"input_tokens": 50, "output_tokens": 100}
A9_RESPONSE = {"id": "r", "model": "m-1", "output": [], "usage": {**A9_USED, "total_tokens": 150}}
A9 = [
    case("A9-chat", [json_answer(completion(usage(50, 100)))]),
    case("A9-chat-stream", streamed(sse(chunk("a"), STOP, final(50, 100))), body=STREAM),
    case("A9-responses", [json_answer(A9_RESPONSE)], path="/v1/responses"),
    case("A9-responses-stream", streamed(sse(
        {"type": "response.completed", "response": A9_RESPONSE}, done=False)), body=STREAM,
        path="/v1/responses"),
    case("A9-messages", [json_answer(message(A9_USED))], path=ANTHROPIC, provider="claude",
         body=MESSAGE),
    case("A9-messages-stream", streamed(sse(*message_stream(
        {"input_tokens": 50, "output_tokens": 1}, {"output_tokens": 100}), done=False)),
        path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", A9)
def test_A9_the_same_usage_costs_the_same_by_every_endpoint(book: Book, name: str) -> None:
    book.check(name, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
