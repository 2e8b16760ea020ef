"""X: bytes that no specification foresees."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.accuracy.bodies import (
    ANTHROPIC,
    CACHED,
    CHAT,
    FAULT,
    MESSAGE,
    STOP,
    STREAM,
    chunk,
    completion,
    final,
    message_stream,
    usage,
)
from tests.accuracy.kit import STREAM_HEAD, case, chunked, json_answer, sse, streamed

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book
    from tests.accuracy.kit import Step

pytestmark = pytest.mark.slow

BOM = b"\xef\xbb\xbf"
WHOLE = sse(chunk("a"), STOP, final(50, 100))
CRLF = sse(chunk("a"), STOP, final(50, 100), line_end=b"\r\n")
CR = sse(chunk("a"), STOP, final(50, 100), line_end=b"\r")
PLAIN = completion(usage(50, 100))
PLAIN_BYTES = msgspec.json.encode(PLAIN)
USUAL = msgspec.json.encode(usage(50, 100)).decode()


def byte_by_byte(events: list[bytes]) -> list[Step]:
    return [STREAM_HEAD, *(chunked(bytes([one])) for event in events for one in event),
            b"0\r\n\r\n"]  # fmt: skip


def segments(events: list[bytes], size: int) -> list[Step]:
    data, steps = b"".join(events), list[Any]([STREAM_HEAD])
    for at in range(0, len(data), size):
        steps += [chunked(data[at : at + size]), 0.01]
    return [*steps, b"0\r\n\r\n"]


def bare(body: bytes, *, mime: str = "application/json", version: str = "1.1") -> list[Step]:
    return [f"HTTP/{version} 200 OK\r\ncontent-type: {mime}\r\n\r\n".encode() + body]


def replaced(text: str) -> list[Step]:
    """Return a plain answer with other text for its usage."""
    return [json_answer(PLAIN_BYTES.replace(USUAL.encode(), text.encode()))]


KIMI = chunk() | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop",
                               "usage": usage(50, 100)}]}  # fmt: skip
HEADED = json_answer(gzip.compress(PLAIN_BYTES), headers="content-encoding: gzip\r\n")
GZIP_HEAD = STREAM_HEAD[:-2] + b"content-encoding: gzip\r\n\r\n"
EVENT = "text/event-stream"
MEASURED: list[tuple[str, list[Step], dict[str, Any]]] = [
    ("bytes", byte_by_byte(WHOLE), {"body": STREAM}),
    ("segments", segments(WHOLE, 37), {"body": STREAM}),
    ("crlf", streamed(CRLF), {"body": STREAM}),
    ("crlf-bytes", byte_by_byte(CRLF), {"body": STREAM}),
    ("cr", streamed(CR), {"body": STREAM}),
    ("cr-bytes", byte_by_byte(CR), {"body": STREAM}),
    ("one-segment", [STREAM_HEAD + chunked(b"".join(WHOLE)) + b"0\r\n\r\n"], {"body": STREAM}),
    ("usage-with-choices", streamed(sse(chunk("a"), STOP | {"usage": usage(50, 100)})),
     {"body": STREAM}),
    ("usage-in-choice", streamed(sse(chunk("a"), KIMI)), {"body": STREAM}),
    ("usage-in-x-groq", streamed(sse(chunk("a"), STOP | {"x_groq": {"usage": usage(50, 100)}})),
     {"body": STREAM}),
    ("usage-grows", streamed(sse(*(chunk("a", usage=usage(50, at)) for at in range(100)), STOP,
                                 final(50, 100))), {"body": STREAM}),
    ("usage-in-parts", streamed(sse(chunk("a", usage={"prompt_tokens": 50}), STOP,
                                    chunk(usage={"completion_tokens": 100}))), {"body": STREAM}),
    ("comments", streamed([b": ping\n\n", b": OPENROUTER PROCESSING\n\n", *WHOLE[:1],
                           b": ping\n" + WHOLE[1], *WHOLE[2:]]), {"body": STREAM}),
    ("bom-stream", streamed([BOM + sse(final(50, 100))[0]]), {"body": STREAM}),
    ("bom-plain", [json_answer(BOM + PLAIN_BYTES)], {}),
    ("space-before", [json_answer(b"\n\n   \n" + PLAIN_BYTES)], {}),
    ("multi-line-data", streamed([b"data: " + PLAIN_BYTES.replace(b',"', b',\ndata: "')
                                  + b"\n\n"]), {"body": STREAM}),
    ("id-and-retry", streamed([b"id: 1\nretry: 5\n" + one for one in WHOLE]), {"body": STREAM}),
    ("long-event", streamed(sse(chunk("y" * 3_000_000), STOP, final(50, 100))), {"body": STREAM}),
    ("null-fields", streamed(sse(
        chunk() | {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None}}],
                   "usage": None, "service_tier": None, "error": None},
        chunk() | {"choices": None, "usage": usage(50, 100, prompt_tokens_details=None)})),
     {"body": STREAM}),
    ("odd-types", streamed(sse(chunk("a") | {"id": 7, "service_tier": 3, "created": "x"}, STOP,
                               final(50, 100) | {"id": 7, "object": None})), {"body": STREAM}),
    ("floats", replaced('{"prompt_tokens":50.0,"completion_tokens":1e2,"total_tokens":150.0}'), {}),
    ("duplicate-keys", replaced('{"prompt_tokens":1,"completion_tokens":100,"prompt_tokens":50}'),
     {}),
    ("duplicate-usage", replaced('{"prompt_tokens":9,"completion_tokens":9},"usage":' + USUAL), {}),
    ("bad-detail", replaced('{"prompt_tokens":50,"completion_tokens":100,"total_tokens":150,'
                            '"prompt_tokens_details":"none","completion_tokens_details":[]}'), {}),
    ("asked-stream-got-json", [json_answer(PLAIN)], {"body": STREAM}),
    ("asked-json-got-stream", streamed(WHOLE), {}),
    ("stream-called-json", [STREAM_HEAD.replace(EVENT.encode(), b"application/json"),
                            *streamed(WHOLE)[1:]], {"body": STREAM}),
    ("stream-called-nothing", [STREAM_HEAD.replace(EVENT.encode(), b"application/octet-stream"),
                               *streamed(WHOLE)[1:]], {"body": STREAM, "provider": "plain"}),
    ("stream-called-TEXT", [STREAM_HEAD.replace(EVENT.encode(), b"Text/Event-Stream; x=y"),
                            *streamed(WHOLE)[1:]], {"body": STREAM}),
    ("json-called-stream", [json_answer(PLAIN, mime=EVENT)], {"body": STREAM}),
    ("pretty-json-called-stream", [json_answer(json.dumps(PLAIN, indent=2).encode(), mime=EVENT)],
     {"body": STREAM}),
    ("http-1.0", bare(PLAIN_BYTES, version="1.0"), {"closes": True}),
    ("http-1.0-stream", bare(b"".join(WHOLE), mime=EVENT, version="1.0"),
     {"closes": True, "body": STREAM}),
    ("until-close", bare(PLAIN_BYTES), {"closes": True}),
    ("gzip", [HEADED], {}),
    ("gzip-stream", [GZIP_HEAD, chunked(gzip.compress(b"".join(WHOLE))), b"0\r\n\r\n"],
     {"body": STREAM}),
    ("gzip-members", [json_answer(gzip.compress(PLAIN_BYTES[:50]) + gzip.compress(PLAIN_BYTES[50:]),
                                  headers="content-encoding: gzip\r\n")], {}),
    ("trailers", [STREAM_HEAD, chunked(b"".join(WHOLE)), b"0\r\nx-sum: 1\r\n\r\n"],
     {"body": STREAM}),
    ("no-done", streamed(WHOLE[:-1]), {"body": STREAM}),
    ("unfinished-last-event", streamed([*WHOLE[:2], WHOLE[2][:-2]]), {"body": STREAM}),
    ("percent-path", [json_answer(PLAIN)], {"path": "/v1/chat/completion%73"}),
    ("slash-path", [json_answer(PLAIN)], {"path": "/v1/chat/completions/"}),
    ("many-usages", streamed(sse(*(chunk("a", usage=usage(50, 1, pad="p" * 60_000))
                                   for _ in range(30)), STOP, final(50, 100))), {"body": STREAM}),
    ("long-model", streamed(sse(chunk("a", model="m-" + "x" * 1_500_000), STOP,
                                final(50, 100))), {"body": STREAM}),
    ("long-id", streamed(sse(chunk("a", id="c" * 1_500_000), STOP, final(50, 100))),
     {"body": STREAM}),
    ("error-null", [json_answer(PLAIN | {"error": None})], {}),
    (
        "two-names",
        replaced(
            '{"prompt_tokens":0,"completion_tokens":0,"total_tokens":150,'
            '"input_tokens":50,"output_tokens":100}'
        ),
        {},
    ),
    (
        "two-names-reversed",
        replaced(
            '{"prompt_tokens":50,"completion_tokens":100,"total_tokens":150,'
            '"input_tokens":0,"output_tokens":0,"input_tokens_details":null}'
        ),
        {},
    ),
    (
        "lone-surrogate",
        [json_answer(PLAIN_BYTES.replace(b"hello", b"\\ud83d"))],
        {},
    ),
    (
        "lone-surrogate-stream",
        streamed([WHOLE[0].replace(b'"a"', b'"\\ud83d"'), *WHOLE[1:]]),
        {"body": STREAM},
    ),
    (
        "lone-surrogate-completed",
        streamed(
            [
                (b'data: {"type":"response.completed","response":{"id":"r","model":"m-1","output":'
                b'[{"text":"\\ud83d"}],"usage":{"input_tokens":50,"output_tokens":100,'
                b'"total_tokens":150}}}\n\n')
            ]
        ),
        {"body": STREAM, "path": "/v1/responses"},
    ),
    (
        "lone-surrogate-asked",
        streamed(WHOLE),
        {"body": msgspec.json.encode(STREAM).replace(b"xxx", b"\\ud83d\\uD83D\\uDE00x", 1)},
    ),
    (
        "bad-utf-8",
        [json_answer(PLAIN_BYTES.replace(b"hello", b"\xff\xfe"))],
        {},
    ),
    ("vllm-stream-of-two", streamed(sse(
        chunk() | {"choices": [{"index": at, "delta": {"content": "a"}} for at in range(2)]},
        STOP, final(50, 100))), {"body": STREAM}),
    ("cache-beside-input", [json_answer(completion({
        "prompt_tokens": 50, "completion_tokens": 100, "total_tokens": 150,
        "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}))], {}),
]  # fmt: skip
ODD = [case(f"X-{name}", steps, **fields) for name, steps, fields in MEASURED]


@pytest.mark.parametrize("name", ODD)
def test_X_odd_bytes_do_not_change_what_was_used(book: Book, name: str) -> None:
    book.check(name, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    assert len(book.one(name)["model_actual"] or "") <= 256


BESIDE = case("X-cache-beside", [json_answer(completion({
    "prompt_tokens": 50, "completion_tokens": 100, "total_tokens": 1150,
    "cache_read_input_tokens": 1000}))])  # fmt: skip
BESIDE_SMALL = case("X-cache-beside-small", [json_answer(completion({
    "prompt_tokens": 2000, "completion_tokens": 100, "total_tokens": 3100,
    "cache_read_input_tokens": 1000}))])  # fmt: skip


def test_X_a_total_that_counts_the_cache_beside_the_input_is_no_hidden_reasoning(
    book: Book,
) -> None:
    book.check(BESIDE, "0.0016", uncached_input_tokens=50, cache_read_tokens=1000,
               visible_output_tokens=100)  # fmt: skip
    book.check(BESIDE_SMALL, "0.0055", uncached_input_tokens=2000, cache_read_tokens=1000,
               visible_output_tokens=100)  # fmt: skip


HUGE = [
    case("X-huge", replaced('{"prompt_tokens":9223372036854775808,"completion_tokens":100}')),
    case("X-huger", replaced('{"prompt_tokens":50,"completion_tokens":' + "9" * 400 + "}")),
    case("X-infinite", replaced('{"prompt_tokens":1e999,"completion_tokens":100}')),
    case("X-fraction", replaced('{"prompt_tokens":50,"completion_tokens":99.5}')),
    case("X-text", replaced('{"prompt_tokens":"50","completion_tokens":"many"}')),
    case("X-true", replaced('{"prompt_tokens":true,"completion_tokens":100}')),
]


@pytest.mark.parametrize("name", HUGE)
def test_X_a_count_that_is_none_is_estimated_and_said(book: Book, name: str) -> None:
    row = book.one(name)
    assert row["usage_source"] == "estimated"
    assert row["usage_problems"]
    assert row["cost_usd"] > 0
    assert row["usage_raw"]
    assert row["uncached_input_tokens"] >= 20


UNICODE = case("X-unicode", [json_answer(completion(usage(50, 100), model="模型-7b✓"))],
               body=CHAT | {"model": "模型-7b✓"})  # fmt: skip
ALIAS = case("X-alias", [json_answer(completion(usage(1000, 100), model="gpt-4o-2024-08-06"))],
             body=CHAT | {"model": "my-alias"})  # fmt: skip
CONTROL = case("X-control", [json_answer(completion(usage(50, 100), model="m-1\x1b[2J\n"))])


def test_X_model_names_of_any_script_and_aliases_are_priced_as_served(book: Book) -> None:
    row = book.check(UNICODE, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    assert row["model_requested"] == row["model_actual"] == "模型-7b✓"
    row = book.check(ALIAS, "0.0035", uncached_input_tokens=1000, visible_output_tokens=100)
    assert (row["model_requested"], row["model_actual"]) == ("my-alias", "gpt-4o-2024-08-06")


def test_X_a_model_name_with_control_characters_is_not_one(book: Book) -> None:
    assert book.one(CONTROL)["model_actual"] is None


UNBILLED = [
    case("X-200-error", [json_answer(FAULT)]),
    case("X-200-error-stream", streamed(sse(FAULT, done=False)), body=STREAM),
    case("X-200-overloaded", streamed(sse(
        {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, done=False)),
        path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", UNBILLED)
def test_X_an_error_with_status_200_before_any_output_is_not_billed(book: Book, name: str) -> None:
    row = book.check(name, "0", source="none", status="error")
    assert row["price_state"] == "not_billed"


REDIRECT = case(
    "X-redirect",
    [b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"],
)


def test_X_a_redirect_is_not_billed(book: Book) -> None:
    row = book.check(REDIRECT, "0", source="none")
    assert row["price_state"] == "not_billed"


EMPTY = case("X-200-empty", [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
CUT_JSON = case("X-cut-json", bare(PLAIN_BYTES[:-60]), closes=True)


def test_X_an_answer_without_a_body_or_cut_off_is_estimated(book: Book) -> None:
    for name in (EMPTY, CUT_JSON):
        row = book.one(name)
        assert row["usage_source"] == "estimated"
        assert row["uncached_input_tokens"] >= 20


LOOSE = case("X-loose-message", streamed(sse(*message_stream(
    {**CACHED, "output_tokens": 1}, {"output_tokens": 100}, id=7, role=None), done=False)),
    path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True})  # fmt: skip


def test_X_a_message_start_with_an_odd_id_keeps_its_usage(book: Book) -> None:
    book.check(LOOSE, "0.00354", uncached_input_tokens=20, cache_read_tokens=5000,
               visible_output_tokens=100)  # fmt: skip
