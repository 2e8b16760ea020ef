"""I and the prices of B that need a clock or a command: what a price was stays what it was."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.flood import SameAnswer, flood
from tests.e2e.conftest import make_house
from tests.ledger.conftest import World

from tollbook.money import Rate
from tollbook.prices.book import PriceBook
from tollbook.prices.card import make_card, rates_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow
__all__ = ["make_house"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWN = """
[providers.fake]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
[[prices]]
provider = "fake"
model = "m-*"
effective_from = "2026-01-01"
input = 2
output = 10
"""


@pytest.mark.parametrize(
    ("time", "usd"),
    [("00:29", "0.00055"), ("00:30", "0.0011"), ("16:29", "0.0011"), ("16:30", "0.00055")],
)
def test_B19_a_price_by_the_time_of_day_is_that_of_the_minute(
    tmp_path: Path, time: str, usd: str
) -> None:
    world = World(tmp_path)
    world.price_book = PriceBook([], "tollbook.toml", {"deepseek": "deepseek"})
    world.ingester = world.new_ingester()
    at = datetime.fromisoformat(f"2025-06-01T{time}:00+00:00")
    opened = world.opened(
        provider="deepseek", model_requested="deepseek-chat",
        started_at_ns=(at - EPOCH) // timedelta(microseconds=1) * 1000,
    )  # fmt: skip
    writer = world.writer()
    writer.append(opened)
    writer.append(world.closed(opened, 0, 1000, model_actual="deepseek-chat"))
    assert writer.flush()
    world.drain()

    assert world.rows("SELECT cost_usd FROM entries") == [(Decimal(usd),)]
    world.close()


def test_B22_a_price_of_a_dollar_a_token_is_refused_before_anything_starts(
    make_house: Callable[..., Any],
) -> None:
    house = make_house(starts=False, settings=OWN.format(port=1))
    settings = house.config_path.read_text()
    house.config_path.write_text(settings.replace("input = 2\n", "input = 2000000\n"))

    done = house.cli("prices check")

    assert done.returncode == 2
    assert "tollbook.toml: prices[0]" in done.stderr
    assert "over 1 USD for one token; expected US dollars per million tokens" in done.stderr


def test_I3_a_corrected_price_is_previewed_booked_once_and_the_original_kept(
    make_house: Callable[..., Any],
) -> None:
    with SameAnswer() as provider:
        house = make_house(settings=OWN.format(port=provider.port))
        assert asyncio.run(flood(house.gateway_port, 10, tenant="acme")) == 10
        house.stop()
    before = house.rows("SELECT * FROM entries ORDER BY entry_id")
    settings = house.config_path.read_text()
    house.config_path.write_text(settings.replace("input = 2\n", "input = 3\n"))

    def rerate(*options: str) -> dict[str, Any]:
        done = house.cli("prices rerate", "--since", "2020-01-01", "--format", "json", *options)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    preview = rerate()
    assert house.rows("SELECT * FROM entries ORDER BY entry_id") == before, (
        "a preview books nothing"
    )
    booked = rerate("--apply", "--reason", "new prices")
    after = house.rows("SELECT * FROM entries ORDER BY entry_id")
    again = rerate("--apply", "--reason", "new prices")

    # 50 input tokens at 3 instead of 2 dollars per million, ten times.
    assert Decimal(preview["totals"]["change_usd"]) == Decimal("0.0005")
    assert booked["totals"]["change_usd"] == preview["totals"]["change_usd"]
    assert after[: len(before)] == before
    assert house.rows("SELECT kind, count(*) FROM entries GROUP BY kind ORDER BY kind") == [
        ("charge", 20), ("reversal", 10),
    ]  # fmt: skip
    assert again["rows"] == []
    assert house.rows("SELECT * FROM entries ORDER BY entry_id") == after
    assert house.rows("SELECT sum(cost_usd), sum(calls) FROM entries") == [(Decimal("0.0115"), 10)]
    assert house.cli("verify").returncode == 0


def test_I4_a_price_version_is_its_content() -> None:
    def card(usd: str) -> str:
        rates = rates_of({"uncached_input_tokens": Rate.usd_per(Decimal(usd), 1_000_000)})
        return make_card(provider="p", model="m", source="contract", rates=rates).card_id

    assert card("2") == card("2.0")
    assert card("2") != card("2.01")
