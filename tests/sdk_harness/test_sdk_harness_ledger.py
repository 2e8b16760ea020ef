"""From client to ledger without a gateway: tenants' dollars are what the provider bills."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from tests.sdk_harness.harness_kit import CLAUDE, KEY, MESSAGES, MODEL

import tollbook
from tollbook.cli.tieout import LEDGER_KIND
from tollbook.sdk.harness import faults, wrap
from tollbook.sdk.sinks import SpoolSink
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk_harness.harness_kit import Seen

CALLS = 40


def test_the_ledger_has_what_the_provider_bills(make_house: Callable[..., Any], seen: Seen) -> None:
    house = make_house(starts=False)
    sink = SpoolSink(house.data_dir)
    base = house.simulator.base_url
    whose: dict[str, str] = {}

    async def one(gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, number: int) -> None:
        tenant = f"t{number % 5}"
        headers = {"x-sim-request-id": f"call-{number}"}
        if number % 8 == 1:
            headers["x-sim-fault"] = "overloaded;times=1;retry_after_ms=10"
        whose[f"call-{number}"] = tenant
        with tollbook.tenant(tenant, feature="search"):
            if number % 4 == 0:
                await gpt.chat.completions.create(
                    model=MODEL, messages=MESSAGES, extra_headers=headers
                )
            elif number % 4 == 1:
                stream = await gpt.chat.completions.create(
                    model=MODEL, messages=MESSAGES, extra_headers=headers, stream=True
                )
                async for _ in stream:
                    await asyncio.sleep(0)
            elif number % 4 == 2:
                async with claude.messages.stream(
                    model=CLAUDE, max_tokens=200, messages=MESSAGES, extra_headers=headers
                ) as events:
                    await events.get_final_message()
            else:
                await gpt.embeddings.create(
                    model="text-embedding-3-small", input="a text", extra_headers=headers
                )

    async def main() -> None:
        async with (
            wrap(openai.AsyncOpenAI(base_url=f"{base}/openai/v1", api_key=KEY), sink=sink) as gpt,
            wrap(
                anthropic.AsyncAnthropic(base_url=f"{base}/anthropic", api_key=KEY), sink=sink
            ) as claude,
        ):
            await asyncio.gather(*(one(gpt, claude, number) for number in range(CALLS)))

    with contextlib.closing(sink):
        asyncio.run(main())
        assert sink.flush(10)
    assert faults.counts == {}
    house.start()
    house.stop()

    rows = house.records("SELECT * FROM entries")
    truth = read_truth(house.simulator.log_dir)
    assert len(rows) == len(truth) > CALLS, "each attempt is one charge"
    assert {row["observer"] for row in rows} == {"sdk"}
    by_request = {row["provider_request_id"]: row for row in rows}
    spent: Counter[str] = Counter()
    for call in truth:
        assert call.ended is not None
        assert call.received.leaks == ()
        row = by_request[call.ended.provider_request_id]
        assert row["tenant_id"] == whose[call.received.request_id or ""]
        assert row["feature"] == "search"
        if call.is_billed:
            ours = {kind: row[column] for kind, column in LEDGER_KIND.items()}
            assert ours == call.quantities._asdict()
            assert row["cost_usd"] == Decimal(call.ended.cost_usd)
        else:
            assert (row["price_state"], row["cost_usd"] or 0) == ("not_billed", 0)
        spent[row["tenant_id"]] += call.is_billed
    assert set(spent) == {f"t{n}" for n in range(5)}
    assert all(spent.values())
