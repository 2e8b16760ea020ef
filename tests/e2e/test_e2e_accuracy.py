"""Known ways in which gateways misbill, each driven through the real gateway into the ledger.

The letters and numbers in the test names are those of a collection of reported metering defects of
other gateways; ``X`` are hostile or odd bytes that the collection lacks.
"""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.e2e.accuracy_kit import (
    STREAM_HEAD,
    Case,
    ScriptedProvider,
    chunked,
    json_answer,
    play_all,
    sse,
    streamed,
)
from tests.e2e.conftest import House

from tollbook.simulator.process import start_in_subprocess
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.accuracy_kit import Step

pytestmark = pytest.mark.slow

SETTINGS = """
[gateway]
port = {gateway}
shutdown_timeout_s = 20
drain_timeout_s = 3.0
[console]
port = {console}
[ledger]
poll_interval_s = 0.1
[providers.fake]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
api_key_env = "SIM_KEY"
list_prices = "openai"
[providers.cheap]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
[providers.abort]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
client_disconnect = "abort"
[providers.plain]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
inject_stream_usage = false
[providers.slow]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
idle_timeout_s = 1.0
[providers.grok]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
list_prices = "x-ai"
[providers.claude]
dialect = "anthropic"
base_url = "http://127.0.0.1:{port}"
list_prices = "anthropic"
[providers.claudeabort]
dialect = "anthropic"
base_url = "http://127.0.0.1:{port}"
list_prices = "anthropic"
client_disconnect = "abort"
"""
OWN_CARD = """
[[prices]]
provider = "{provider}"
model = "m-*"
effective_from = "2026-01-01"
input = 2
cache_read = 0.5
cache_write_5m = 3
cache_write_1h = 4
input_audio = 40
output = 10
output_audio = 80
"""
MORE_CARDS = """
[[prices]]
provider = "cheap"
model = "gpt-4o"
effective_from = "2026-01-01"
input = 1
output = 1
[[prices]]
provider = "fake"
model = "zero-*"
effective_from = "2026-01-01"
input = 0
output = 0
[[prices]]
provider = "fake"
model = "onlyin-*"
effective_from = "2026-01-01"
input = 5
[[prices]]
provider = "fake"
model = "nocache-*"
effective_from = "2026-01-01"
input = 2
output = 10
[[prices]]
provider = "fake"
model = "模型-*"
effective_from = "2026-01-01"
input = 2
output = 10
"""
CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "x" * 80}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True}
MESSAGE: dict[str, Any] = {**CHAT, "max_tokens": 100}
ANTHROPIC = "/v1/messages"
CASES: dict[str, Case] = {}
KEYED = ("F4",)
"""Cases that come with a virtual key, bound to the tenant of that name."""


def case(name: str, steps: Sequence[Step], *, body: Any = None, **fields: Any) -> str:
    """Declare a case; its id is the tenant that it is booked to."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(CHAT if body is None else body)
    assert name not in CASES
    CASES[name] = Case(id=name, steps=steps, body=raw, **fields)
    return name


def completion(usage: Any = None, *, text: str = "hello", **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": "stop"}],
    }  # fmt: skip
    if usage is not None:
        answer["usage"] = usage
    return answer | fields


def chunk(text: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    made: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "choices": choices
    }  # fmt: skip
    return made | fields


STOP: dict[str, Any] = chunk() | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def usage(given: int, out: int, *, cached: int = 0, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out
    }  # fmt: skip
    if cached:
        made["prompt_tokens_details"] = {"cached_tokens": cached}
    return made | fields


def final(*counts: int, **fields: Any) -> dict[str, Any]:
    return chunk(usage=usage(*counts, **fields))


def message(usage: Any, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
        "content": [{"type": "text", "text": "hello"}], "usage": usage,
    }  # fmt: skip
    return made | fields


def message_stream(
    start: Any, delta: Any, *, text: str = "hello", **fields: Any
) -> list[dict[str, Any]]:
    return [
        {"type": "message_start", "message": message(start, content=[], **fields)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": delta},
        {"type": "message_stop"},
    ]  # fmt: skip


class Book:
    """What the ledger holds after all cases, and what both ends saw."""

    def __init__(self, house: House, provider: ScriptedProvider, seen: dict[str, bytes]) -> None:
        self.house = house
        self.sent_up = provider.requests
        self.seen = seen
        self.rows: dict[str, list[dict[str, Any]]] = {}
        for row in house.records("SELECT * FROM entries ORDER BY called_at"):
            self.rows.setdefault(row["tenant_id"], []).append(row)

    def one(self, name: str) -> dict[str, Any]:
        """Return the only entry of a case."""
        rows = self.rows.get(name, [])
        assert len(rows) == 1, f"{len(rows)} entries for {name}"
        return rows[0]

    def check(
        self,
        name: str,
        cost_usd: str | None,
        *,
        source: str = "reported",
        status: str = "ok",
        **kinds: int,
    ) -> dict[str, Any]:
        """Assert the only entry of a case: tokens by kind, dollars, where the usage comes from."""
        row = self.one(name)
        used = {kind: row[kind] for kind in KINDS if row[kind] and kind != "requests"}
        assert used == {f"{kind}": count for kind, count in kinds.items()}, name
        assert (row["usage_source"], row["status"]) == (source, status), name
        assert row["cost_usd"] == (None if cost_usd is None else Decimal(cost_usd)), name
        return row


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Play every case against one house, stop it, and open its ledger."""
    directory = tmp_path_factory.mktemp("accuracy")
    with (
        ScriptedProvider(list(CASES.values())) as provider,
        start_in_subprocess(directory / "truth") as simulator,
    ):
        house = House(directory, simulator, "", 1)
        house.config_path.write_text(
            SETTINGS.format(
                gateway=house.gateway_port, console=house.console_port, port=provider.port
            )
            + "".join(
                OWN_CARD.format(provider=name)
                for name in ("fake", "abort", "plain", "slow", "claude", "claudeabort")
            )
            + MORE_CARDS
        )
        keys = {name: house.key(name, tenant_id=name) for name in KEYED}
        house.start()
        try:
            seen = asyncio.run(play_all(list(CASES.values()), house.gateway_port, "sk-own", keys))
        finally:
            house.stop()
        yield Book(house, provider, seen)


# Streams and clients that leave


def body_of(seen: bytes) -> bytes:
    """Return the body of a chunked answer without its framing."""
    rest, body = seen.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            break
    return body


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


START = {"input_tokens": 30, "output_tokens": 1, "cache_read_input_tokens": 4000}
WORDS = message_stream(START, {"output_tokens": 400}, text="some words")
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


FAULT = {"error": {"type": "server_error", "code": "server_error", "message": "no"}}
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


# Token kinds and the arithmetic of prices

B1 = case("B1", [json_answer(completion(usage(2006, 300, cached=1920), model="gpt-4o-2024-08-06"))])


def test_B1_cached_tokens_are_part_of_the_prompt(book: Book) -> None:
    book.check(B1, "0.005615", uncached_input_tokens=86, cache_read_tokens=1920,
               visible_output_tokens=300)  # fmt: skip


B3 = [
    case("B3-plain", [json_answer(completion(
        usage(616, 10, prompt_tokens_details={"text_tokens": 616, "cached_tokens": 615})))]),
    case("B3-stream", streamed(sse(chunk("a"), STOP, final(
        616, 10, prompt_tokens_details={"text_tokens": 616, "cached_tokens": 615}))), body=STREAM),
]  # fmt: skip


@pytest.mark.parametrize("name", B3)
def test_B3_text_tokens_that_include_cached_ones_do_not_count_twice(book: Book, name: str) -> None:
    book.check(name, "0.0004095", uncached_input_tokens=1, cache_read_tokens=615,
               visible_output_tokens=10)  # fmt: skip


CACHED = {
    "input_tokens": 20, "cache_read_input_tokens": 5000, "cache_creation_input_tokens": 0,
    "output_tokens": 100,
}  # fmt: skip
B4 = [
    case("B4-plain", [json_answer(message(CACHED))], path=ANTHROPIC, provider="claude",
         body=MESSAGE),
    case("B4-stream", streamed(sse(*message_stream({**CACHED, "output_tokens": 1}, CACHED),
                                   done=False)),
         path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
    case("B4-stream-short", streamed(sse(*message_stream(
        {**CACHED, "output_tokens": 1}, {"output_tokens": 100}), done=False)),
        path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", B4)
def test_B4_B5_stream_and_plain_cost_the_same_by_a_contract_card(book: Book, name: str) -> None:
    book.check(name, "0.00354", uncached_input_tokens=20, cache_read_tokens=5000,
               visible_output_tokens=100)  # fmt: skip


B6 = case(
    "B6", [json_answer(completion(usage(1_239_328, 12_909, cached=1_188_096), model="gpt-5"))]
)
B7 = case("B7", streamed(sse(*message_stream(
    {"input_tokens": 6, "cache_creation_input_tokens": 159_217, "output_tokens": 1,
     "cache_creation": {"ephemeral_5m_input_tokens": 159_217, "ephemeral_1h_input_tokens": 0}},
    {"input_tokens": 6, "cache_creation_input_tokens": 159_217, "output_tokens": 2745},
    model="claude-opus-4-5"), done=False)),
    path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True})  # fmt: skip


def test_B6_B7_reported_invoices_are_met_to_the_last_digit(book: Book) -> None:
    book.check(B6, "0.341642", uncached_input_tokens=51_232, cache_read_tokens=1_188_096,
               visible_output_tokens=12_909)  # fmt: skip
    book.check(B7, "1.06376125", uncached_input_tokens=6, cache_write_5m_tokens=159_217,
               visible_output_tokens=2745)  # fmt: skip


B8 = case("B8", [json_answer(completion(usage(1000, 10, cached=900), model="nocache-1"))])


def test_B8_a_cache_read_without_a_rate_is_not_free(book: Book) -> None:
    row = book.check(B8, "0.0021", uncached_input_tokens=100, cache_read_tokens=900,
                     visible_output_tokens=10)  # fmt: skip
    assert "cache_read_tokens follows uncached_input_tokens" in row["price_flags"]


B9 = case("B9", [json_answer(message({
    "input_tokens": 10, "output_tokens": 10, "cache_creation_input_tokens": 3000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}}))],
    path=ANTHROPIC, provider="claude", body=MESSAGE)  # fmt: skip


def test_B9_cache_writes_of_an_hour_have_their_own_rate_and_count_once(book: Book) -> None:
    book.check(B9, "0.01112", uncached_input_tokens=10, cache_write_5m_tokens=1000,
               cache_write_1h_tokens=2000, visible_output_tokens=10)  # fmt: skip


REASONING: dict[str, Any] = {"completion_tokens_details": {"reasoning_tokens": 50}}
B10 = [
    case("B10-inside", [json_answer(completion(usage(100, 1050, **REASONING)))]),
    case("B10-beside", [json_answer(completion(usage(100, 1000, **REASONING, total_tokens=1150)))]),
    case("B11", [json_answer({"id": "r", "model": "m-1", "output": [], "usage": {
        "input_tokens": 100, "output_tokens": 1050, "total_tokens": 1150,
        "output_tokens_details": {"reasoning_tokens": 50}}})], path="/v1/responses"),
]  # fmt: skip


@pytest.mark.parametrize("name", B10)
def test_B10_B11_reasoning_is_billed_once_and_beside_the_visible_output(
    book: Book, name: str
) -> None:
    book.check(name, "0.0107", uncached_input_tokens=100, visible_output_tokens=1000,
               reasoning_tokens=50)  # fmt: skip


BELOW = {"prompt_tokens": -5, "completion_tokens": 10, "total_tokens": 5}
B13 = case("B13", [json_answer(completion(BELOW, text="y" * 40))])
BELOW_OUT = {"prompt_tokens": 50, "completion_tokens": -10, "total_tokens": 40}
B13_OUT = case("B13-out", [json_answer(completion(BELOW_OUT, text="y" * 40))])


@pytest.mark.parametrize("name", [B13, B13_OUT])
def test_B13_a_negative_count_is_never_booked_as_reported(book: Book, name: str) -> None:
    row = book.one(name)
    assert row["cost_usd"] > 0
    assert "is not a count" in row["usage_problems"]
    assert row["usage_source"] == "estimated"
    assert row["uncached_input_tokens"] >= 20
    assert row["visible_output_tokens"] >= 10


def tier_case(name: str, given: int, model: str, provider: str = "fake", **fields: Any) -> str:
    return case(name, [json_answer(completion(usage(given, 10, cached=given // 2), model=model)
                                   | fields)], provider=provider)  # fmt: skip


TIERS = [
    (tier_case("B14-272000", 272_000, "gpt-5.4"), "0.374150"),
    (tier_case("B14-272001", 272_001, "gpt-5.4"), "0.748230"),
    (tier_case("B15-priority", 1000, "gpt-5", service_tier="priority"), "0.001575"),
    (tier_case("B15-flex", 1000, "gpt-5", service_tier="flex"), "0.00039375"),
    (tier_case("B15-default", 1000, "gpt-5", service_tier="default"), "0.0007875"),
]


@pytest.mark.parametrize(("name", "cost_usd"), TIERS)
def test_B14_B15_context_steps_and_served_tiers_price_the_whole_call(
    book: Book, name: str, cost_usd: str
) -> None:
    assert book.one(name)["cost_usd"] == Decimal(cost_usd)


def test_B14_the_step_of_another_provider_begins_at_the_threshold(book: Book) -> None:
    below, at = (book.one(name)["price_card_id"] for name in GROK)
    assert below == at
    rates = [book.one(name)["cache_read_tokens_cost_usd"] / book.one(name)["cache_read_tokens"]
             for name in GROK]  # fmt: skip
    assert rates[1] == 2 * rates[0]


GROK = [
    tier_case("B14-grok-199999", 199_999, "grok-4.20", provider="grok"),
    tier_case("B14-grok-200000", 200_000, "grok-4.20", provider="grok"),
]
CLAUDE_STEP = [
    case(f"B14-claude-{given}", [json_answer(message(
        {"input_tokens": given, "cache_read_input_tokens": 150_000, "output_tokens": 10},
        model="claude-sonnet-4-5"))], path=ANTHROPIC, provider="claude", body=MESSAGE)
    for given in (50_000, 50_001)
]  # fmt: skip


def test_B14_the_threshold_counts_cached_tokens(book: Book) -> None:
    below, above = (book.one(name) for name in CLAUDE_STEP)
    assert below["cost_usd"] == Decimal("0.19515")
    assert above["cost_usd"] == Decimal("0.390231")


B15_STREAM = case("B15-stream", streamed(sse(
    chunk("a"), STOP | {"service_tier": "priority"}, final(1000, 10), done=True)),
    body={**STREAM, "service_tier": "auto", "model": "gpt-5"})  # fmt: skip
FAST = {"input_tokens": 1000, "output_tokens": 100, "speed": "fast", "service_tier": "standard"}
B15_FAST = [
    case("B15-fast", [json_answer(message(FAST, model="claude-opus-4-8"))], path=ANTHROPIC,
         provider="claude", body=MESSAGE),
    case("B15-fast-stream", streamed(sse(*message_stream(
        FAST, {"output_tokens": 100}, model="claude-opus-4-8"), done=False)), path=ANTHROPIC,
        provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", B15_FAST)
def test_B15_fast_mode_of_messages_has_the_fast_price(book: Book, name: str) -> None:
    book.check(name, "0.015", uncached_input_tokens=1000, visible_output_tokens=100)


def test_B15_the_tier_that_served_is_kept_from_a_stream(book: Book) -> None:
    assert book.one(B15_STREAM)["service_tier"] == "priority"


B20 = case("B20", [json_answer(completion(usage(100, 10), model="zero-1"))])
B20_UNKNOWN = case("B20-unknown", [json_answer(completion(usage(100, 10), model="nobody-1"))])
B21 = case("B21", [json_answer(completion(usage(100, 10), model="onlyin-1"))])
B21_EMBED = case("B21-embed", [json_answer(
    {"object": "list", "data": [], "model": "onlyin-1", "usage":
     {"prompt_tokens": 100, "total_tokens": 100}})], path="/v1/embeddings")  # fmt: skip


def test_B20_a_price_of_zero_is_free_and_no_price_is_unknown(book: Book) -> None:
    row = book.check(B20, "0", uncached_input_tokens=100, visible_output_tokens=10)
    assert row["price_state"] == "free"
    row = book.check(B20_UNKNOWN, None, uncached_input_tokens=100, visible_output_tokens=10)
    assert row["price_state"] == "unpriced"


def test_B21_E1_a_card_with_only_an_input_price_never_invents_the_rest(book: Book) -> None:
    row = book.check(B21, None, uncached_input_tokens=100, visible_output_tokens=10)
    assert "no rate for visible_output_tokens" in row["price_flags"]
    row = book.check(B21_EMBED, "0.0005", uncached_input_tokens=100)
    assert row["operation"] == "embeddings"


# Retries, identity of models and of calls

C3 = [
    case("C3-1", [json_answer(FAULT, status="500 Internal Server Error")],
         headers=[("x-stainless-retry-count", "0")]),
    case("C3-2", [json_answer(completion(usage(50, 100)))],
         headers=[("x-stainless-retry-count", "1")]),
]  # fmt: skip


def test_C3_F5_every_attempt_is_an_entry_and_only_the_answered_one_costs(book: Book) -> None:
    failed = book.check(C3[0], "0", source="none", status="error")
    book.check(C3[1], "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    assert [book.one(name)["attempt"] for name in C3] == [1, 2]
    assert failed["price_state"] == "not_billed"
    assert (failed["provider"], failed["model_requested"], failed["error_type"]) == (
        "fake", "m-1", "server_error"
    )  # fmt: skip


STORED = {"id": "resp_1", "object": "response", "model": "m-1", "output": [], "usage": {
    "input_tokens": 50, "output_tokens": 100, "total_tokens": 150}}  # fmt: skip
C5 = case("C5", [json_answer(STORED)], path="/v1/responses")
C5_GET = [
    case(f"C5-get-{at}", [json_answer(STORED)], method="GET", path="/v1/responses/resp_1", body=b"")
    for at in range(3)
]


def test_C5_showing_a_stored_response_is_not_billed_again(book: Book) -> None:
    book.check(C5, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    for name in C5_GET:
        assert book.check(name, None, source="none")["price_state"] == "unmetered"


C6 = [
    case("C6-fake", [json_answer(completion(usage(1000, 100), model="gpt-4o"))]),
    case("C6-cheap", [json_answer(completion(usage(1000, 100), model="gpt-4o"))], provider="cheap"),
]


def test_C6_the_same_model_costs_what_its_own_provider_asks(book: Book) -> None:
    assert [book.one(name)["cost_usd"] for name in C6] == [Decimal("0.0035"), Decimal("0.0011")]


C9 = case("C9", [json_answer(completion(usage(50, 100), id="chatcmpl-seen-by-client"),
                             headers="x-request-id: req_seen\r\n")])  # fmt: skip


def test_C9_the_ids_that_a_client_sees_lead_to_the_call(book: Book) -> None:
    head = book.seen[C9].partition(b"\r\n\r\n")[0].decode()
    ours = next(line.partition(": ")[2] for line in head.split("\r\n") if "call-id" in line)
    assert ours == str(book.one(C9)["call_id"])
    for wanted in (ours, "chatcmpl-seen-by-client", "req_seen"):
        done = book.house.cli("explain", wanted, "--format", "json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["call_id"] == ours


OTHER_PATHS = [
    case("E1-rerank", [json_answer({"results": []})], path="/v1/rerank"),
    case("E1-images", [json_answer({"data": []})], path="/v1/images/generations"),
]


@pytest.mark.parametrize("name", OTHER_PATHS)
def test_E1_what_is_not_metered_is_still_an_entry_of_unknown_cost(book: Book, name: str) -> None:
    assert book.check(name, None, source="none")["price_state"] == "unmetered"


# Attribution

DONE = [json_answer(completion(usage(1, 1)))]
TAGGED = {"metadata": {"tags": ["plan:pro"]}}
F1 = [
    case("F1-body", DONE, body=CHAT | {"tags": ["plan:pro"]}),
    case("F1-metadata", DONE, body=CHAT | TAGGED),
    case("F1-litellm", DONE, body=CHAT | {"litellm_metadata": TAGGED["metadata"]}),
    case("F1-litellm-header", DONE, headers=[("x-litellm-tags", "plan:pro")]),
    case("F1-helicone", DONE, headers=[("Helicone-Property-plan", "pro")]),
    case("F1-portkey", DONE, headers=[("x-portkey-metadata", '{"plan":"pro"}')]),
    case("F1-own", DONE, headers=[("x-tollbook-tag-plan", "pro")]),
    case("F1-openai", DONE, body=CHAT | {"metadata": {"plan": "pro"}}),
]


@pytest.mark.parametrize("name", F1)
def test_F1_every_carrier_of_tags_gives_the_same_tags(book: Book, name: str) -> None:
    assert json.loads(book.one(name)["tags"]) == {"plan": "pro"}


F2 = [
    case("F2-chat", DONE, body=CHAT | {"user": "ann"}),
    case("F2-responses", DONE, body=CHAT | {"user": "ann"}, path="/v1/responses"),
    case("F2-safety", DONE, body=CHAT | {"safety_identifier": "ann"}, path="/v1/responses"),
    case("F2-embeddings", DONE, body=CHAT | {"user": "ann"}, path="/v1/embeddings"),
    case("F2-messages", DONE, body=MESSAGE | {"metadata": {"user_id": "ann"}}, path=ANTHROPIC,
         provider="claude"),
]  # fmt: skip


@pytest.mark.parametrize("name", F2)
def test_F2_the_end_user_is_found_on_every_endpoint(book: Book, name: str) -> None:
    assert book.one(name)["user_id"] == "ann"


BLOB = '{"device_id":"ab","account_uuid":"","session_id":"11-22"}'
F3 = case("F3", DONE, body=MESSAGE | {"metadata": {"user_id": BLOB}}, path=ANTHROPIC,
          provider="claude")  # fmt: skip


def test_F3_a_document_where_an_id_belongs_makes_no_new_user(book: Book) -> None:
    row = book.one(F3)
    assert row["user_id"] is None
    assert "looks like JSON" in row["identity_detail"]
    assert b"account_uuid" in book.sent_up[F3][0], "the provider still gets what it was sent"


F4 = case(
    "F4",
    DONE,
    body=CHAT | {"metadata": {"tenant_id": "someone-else"}},
    headers=[("baggage", "tenant.id=another"), ("x-tollbook-tenant", "a-third")],
)


def test_F4_the_tenant_of_the_key_wins_and_the_others_are_recorded(book: Book) -> None:
    row = book.one(F4)
    assert (row["tenant_id"], row["identity_source"]) == ("F4", "virtual_key")
    refused = {one["refused"] for one in json.loads(row["identity_detail"])["conflicts"]}
    assert refused == {"someone-else", "another", "a-third"}
    head = book.sent_up[F4][0].partition(b"\r\n\r\n")[0].lower()
    assert b"another" not in head
    assert b"a-third" not in head


# Bytes that no specification foresees

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
GEO = case(
    "X-inference-geo",
    [json_answer(message({"input_tokens": 10, "output_tokens": 10, "inference_geo": "us"}))],
    path=ANTHROPIC,
    provider="claude",
    body=MESSAGE,
)


def test_A8_A14_messages_that_end_early_or_just_in_time(book: Book) -> None:
    row = book.check(CUT_MESSAGE, "0.00209", source="estimated", status="error",
                     uncached_input_tokens=30, cache_read_tokens=4000,
                     visible_output_tokens=3)  # fmt: skip
    assert row["error_type"] == "overloaded_error"
    book.check(A14_MESSAGES, "0.00606", uncached_input_tokens=30, cache_read_tokens=4000,
               visible_output_tokens=400)  # fmt: skip


def test_X_a_surcharge_that_no_list_price_has_is_said(book: Book) -> None:
    assert "inference_geo" in book.one(GEO)["usage_problems"]


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


def test_nothing_was_lost_on_the_way(book: Book) -> None:
    assert {name: len(book.rows.get(name, [])) for name in CASES} == dict.fromkeys(CASES, 1)
    assert book.house.rows("SELECT kind, detail FROM incidents") == []


def test_H8_parts_of_a_cent_are_shown(book: Book) -> None:
    done = book.house.cli("calls", "--where", "tenant=A7-chatcmpl-same-1", "--format", "table")
    assert done.returncode == 0, done.stderr
    assert "0.00003" in done.stdout


def test_H5_I1_I2_more_runs_and_new_prices_change_no_booked_number(book: Book) -> None:
    def report() -> Any:
        done = subprocess.run(
            [
                sys.executable, "-m", "tollbook", "report", "spend", "--by", "tenant,model",
                "--since", "2020-01-01", "--limit", "1000", "--format", "json",
                "--config", str(book.house.config_path), "--data", str(book.house.data_dir),
            ],
            env=book.house.environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rows"]

    before = report()
    entries = book.house.rows("SELECT * FROM entries ORDER BY entry_id")
    assert {row["tenant"] for row in before} == set(CASES)
    settings = book.house.config_path.read_text()
    book.house.config_path.write_text(settings.replace("input = 2\n", "input = 3\n"))
    book.house.start()
    book.house.settle()
    book.house.stop()
    assert report() == before
    assert book.house.rows("SELECT * FROM entries ORDER BY entry_id") == entries
    assert book.house.cli("verify").returncode == 0
