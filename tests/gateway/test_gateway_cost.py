"""What a caller is told of its call's cost: on request, in headers or in a comment, bounded."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import openai
import pytest
from openai._streaming import SSEDecoder
from tests.gateway.kit import (
    ANSWER,
    STREAM_BODY,
    USAGE,
    FakeKeys,
    Gateway,
    Provider,
    answer,
    chat,
    get,
    replying,
    run,
    running,
    until,
)

from tollbook.capture.gateway.cost_report import Cost, NoCosts, cost_comment, cost_lines
from tollbook.capture.gateway.wished_answer import MAX_HELD_BYTES
from tollbook.config import Config
from tollbook.identity.claims import KeyBinding
from tollbook.supervisor.gateway_prices import GatewayPrices

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.call import CallClosed, CallOpened

WISH = "x-tollbook-report: cost\r\n"
EVENT = b'data: {"id":"c","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
LAST = b'data: {"id":"c","model":"gpt-4o","choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"
TOLD = Cost("priced", 123_000_000, None, (("uncached_input_tokens", 5),), "reported", "card")


class FakeCosts:
    """Costs that a test decides on; notes which calls it was asked about."""

    def __init__(self, told: Cost | str = TOLD, *, is_ready: bool = True) -> None:
        self.told = told
        self.is_ready = is_ready
        self.waiting: list[Callable[[], None]] = []
        self.asked: list[tuple[CallOpened, CallClosed]] = []

    def when_ready(self, then: Callable[[], None]) -> None:
        self.waiting.append(then)

    def become_ready(self) -> None:
        self.is_ready = True
        for then in self.waiting:
            then()

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost | str:
        self.asked.append((opened, closed))
        return self.told


def streaming(*parts: bytes, length: bool = False) -> Provider:
    body = b"".join(parts)
    framing = f"content-length: {len(body)}" if length else "transfer-encoding: chunked"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n\r\n".encode()
    if not length:
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return Provider(replying(head + body))


def with_costs(gateway: Gateway, costs: Any) -> None:
    gateway.service.costs = costs


def test_a_plain_answer_tells_its_cost_in_its_head() -> None:
    async def main() -> None:
        async with running() as gateway:
            costs = FakeCosts()
            with_costs(gateway, costs)
            response = await gateway.ask(chat(headers=WISH))
            assert response.body == ANSWER
            told = {name: value for name, value in response.headers.items() if "tollbook" in name}
            assert told.pop("x-tollbook-call-id")
            assert told == {
                "x-tollbook-cost-usd": "0.000123000000",
                "x-tollbook-price-state": "priced",
                "x-tollbook-usage": "uncached_input_tokens=5",
                "x-tollbook-usage-source": "reported",
                "x-tollbook-price-card": "card",
            }
            ((opened, closed),) = costs.asked
            assert gateway.sink.opened == [opened]
            assert gateway.sink.closed == [closed]
            assert gateway.provider.requests[0].header("x-tollbook-report") is None
            assert opened.identity.problems == ()

    run(main())


def test_nothing_is_told_unasked_or_where_it_is_off() -> None:
    async def main() -> None:
        for mode, headers, tells in (
            ("on_request", "", False),
            ("on_request", "x-tollbook-report: usage\r\n", False),
            ("on_request", "X-Tollbook-Report: other, COST\r\n", True),
            ("always", "", True),
            ("never", WISH, False),
        ):
            async with running(settings={"report_cost": mode}) as gateway:
                with_costs(gateway, FakeCosts())
                for _ in range(2):  # the second time the head is known
                    response = await gateway.ask(chat(headers=headers))
                    assert ("x-tollbook-cost-usd" in response.headers) is tells, mode
                plain = await gateway.ask(get(headers=headers))
                assert "x-tollbook-cost-usd" not in plain.headers

    run(main())


@pytest.mark.parametrize(
    ("dialect", "path", "media_type"),
    [
        ("gemini", "/openai/v1beta/models/m:streamGenerateContent?alt=sse", "text/event-stream"),
        ("cohere", "/openai/v1/chat", "application/stream+json"),
        ("ollama", "/openai/api/chat", "application/x-ndjson"),
    ],
)
def test_a_stream_whose_client_would_stumble_has_no_comment(
    dialect: str, path: str, media_type: str
) -> None:
    body = b'data: {"candidates":[]}\n\n'
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    provider = Provider(replying(head.encode() + body))

    async def main() -> None:
        async with running(provider, provider_settings={"dialect": dialect}) as gateway:
            with_costs(gateway, FakeCosts())
            response = await gateway.ask(
                chat(b'{"model":"m","stream":true}', path=path, headers=WISH)
            )
            assert response.body == body
            assert "x-tollbook-call-id" in response.headers

    run(main())


@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("end", [b"", b"data: tail", b"data: tail\n"])
def test_a_stream_tells_its_cost_in_a_last_comment(length: bool, end: bytes) -> None:  # noqa: FBT001 -- a case
    async def main() -> None:
        async with running(streaming(EVENT, LAST, DONE + end, length=length)) as gateway:
            with_costs(gateway, FakeCosts())
            response = await gateway.ask(chat(STREAM_BODY, headers=WISH))
            body, mark, line = response.body.rpartition(b": tollbook ")
            assert mark
            shown = EVENT + LAST + DONE + end
            assert body == (shown if shown.endswith(b"\n") else shown + b"\n")
            told = json.loads(line)
            assert told.pop("call_id") == response.headers["x-tollbook-call-id"]
            assert told == {
                "cost_usd": "0.000123000000",
                "price_state": "priced",
                "usage": {"uncached_input_tokens": 5},
                "usage_source": "reported",
                "price_card": "card",
            }
            assert "x-tollbook-cost-usd" not in response.headers

    run(main())


def test_usage_that_was_asked_for_stays_hidden_beside_the_comment() -> None:
    body = STREAM_BODY.replace(b',"stream_options":{"include_usage":true}', b"")

    async def main() -> None:
        async with running(streaming(EVENT, LAST, DONE)) as gateway:
            with_costs(gateway, FakeCosts())
            response = await gateway.ask(chat(body, headers=WISH))
            assert b"prompt_tokens" not in response.body
            assert response.body.startswith(EVENT + DONE + b": tollbook ")

    run(main())


def test_a_reader_of_events_sees_no_further_event() -> None:
    stream = b"id: 7\n" + EVENT + cost_comment("call", TOLD)
    events = list(SSEDecoder().iter_bytes(iter([stream])))
    assert [event.data for event in events] == [EVENT[6:-2].decode()]
    assert openai.__version__


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Oops"])
def test_an_error_is_told_too(status: str) -> None:
    async def main() -> None:
        provider = Provider(replying(answer(b'{"error":{"message":"no"}}', status)))
        async with running(provider) as gateway:
            costs = FakeCosts(Cost("not_billed", 0))
            with_costs(gateway, costs)
            response = await gateway.ask(chat(headers=WISH))
            assert response.headers["x-tollbook-price-state"] == "not_billed"
            assert response.headers["x-tollbook-cost-usd"] == "0.000000000000"
            assert "x-tollbook-usage" not in response.headers
            assert costs.asked[0][1].is_billable is False

    run(main())


def test_an_unknown_cost_is_no_zero() -> None:
    lines = cost_lines(Cost("unpriced", None, None, (("requests", 1),), "reported"))
    assert b"cost-usd" not in lines
    assert b"x-tollbook-price-state: unpriced\r\n" in lines
    told = json.loads(cost_comment("id", Cost("unpriced"))[len(": tollbook ") :])
    assert told["cost_usd"] is None
    assert cost_lines("why") == b'x-tollbook-report: omitted; reason="why"\r\n'
    assert json.loads(cost_comment("id", "why")[11:]) == {"call_id": "id", "omitted": "why"}


def test_an_answer_too_large_to_wait_for_says_so() -> None:
    large = b'{"x":"' + b"y" * (2 * MAX_HELD_BYTES) + b'"}'

    async def main() -> None:
        async with running(Provider(replying(answer(large)))) as gateway:
            with_costs(gateway, FakeCosts())
            response = await gateway.ask(chat(headers=WISH))
            assert response.body == large
            assert response.headers["x-tollbook-report"].startswith("omitted; reason=")
            assert "x-tollbook-cost-usd" not in response.headers

    run(main())


def test_the_first_to_ask_waits_for_the_prices() -> None:
    async def main() -> None:
        async with running() as gateway:
            costs = FakeCosts(is_ready=False)
            with_costs(gateway, costs)
            asking = asyncio.ensure_future(gateway.ask(chat(headers=WISH)))
            await until(lambda: costs.waiting)
            assert gateway.provider.requests == []
            assert (await gateway.ask(chat())).status == 200  # nobody else waits
            gone = await gateway.client()
            gone.send(chat(headers=WISH))
            await until(lambda: len(costs.waiting) == 2)
            gone.close()
            await gateway.closed_calls(2)
            costs.become_ready()
            assert "x-tollbook-cost-usd" in (await asking).headers
            assert len(gateway.provider.requests) == 2

    run(main())


def test_a_head_request_and_http_10_are_served() -> None:
    async def main() -> None:
        async with running(streaming(EVENT, LAST, DONE)) as gateway:
            with_costs(gateway, FakeCosts())
            request = chat(STREAM_BODY, headers=WISH).replace(b"HTTP/1.1", b"HTTP/1.0")
            client = await gateway.client()
            client.send(request)
            raw = await client.rest()
            assert raw.partition(b"\r\n\r\n")[2].startswith(EVENT + LAST + DONE + b": tollbook ")

    run(main())


def test_prices_are_those_of_the_ledger() -> None:
    prices = GatewayPrices(msgspec.convert({}, Config), "test")
    assert prices.is_ready is False
    assert prices.list_price("openai", "gpt-4o") is None

    async def main() -> None:
        key = FakeKeys(tb_k=KeyBinding(api_key_id="k", tenant_id="acme"))
        async with running(keys=key) as gateway:
            with_costs(gateway, prices)
            response = await gateway.ask(
                chat(headers=WISH).replace(b"Bearer sk-own", b"Bearer tb_k")
            )
            # gpt-4o-mini: 5 input at 0.15 and 7 output at 0.60 a million
            assert response.headers["x-tollbook-cost-usd"] == "0.000004950000"
            assert response.headers["x-tollbook-usage"] == (
                "uncached_input_tokens=5;visible_output_tokens=7"
            )

    run(main())
    price = prices.list_price("openai", "gpt-4o")
    assert price is not None
    assert (price.input_pico, price.output_pico) == (2_500_000_000_000, 10_000_000_000_000)
    assert prices.list_price("openai", "nobody-knows") is None


def test_prices_that_cannot_be_used_are_said_and_stop_nothing() -> None:
    config = msgspec.convert(
        {"prices": [{"provider": "openai", "model": "x", "effective_from": "never"}]}, Config
    )
    prices = GatewayPrices(config, "test")

    async def main() -> None:
        async with running() as gateway:
            with_costs(gateway, prices)
            response = await gateway.ask(chat(headers=WISH))
            assert response.body == ANSWER
            assert "cannot be used" in response.headers["x-tollbook-report"]
            with_costs(gateway, NoCosts())
            response = await gateway.ask(chat(headers=WISH))
            assert "no prices" in response.headers["x-tollbook-report"]

    run(main())
