"""Two hundred clients of one tenant against a hard cap, while workers and the ledger are killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import pytest
from tests.e2e.conftest import make_house

from tollbook import clock
from tollbook.budgets.rules import published_rules
from tollbook.budgets.seed import TABLE_FILE
from tollbook.budgets.table import BudgetTable
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["make_house"]

SEED = 20261121
CLIENTS = 200
WORKERS = 4
MAX_TOKENS = 200
LARGEST_USD = Decimal("0.002")
"""What a call reserves: its whole output limit at 10 dollars a million."""
SETTINGS = """
[[prices]]
provider = "openai"
model = "gpt-4o-mini"
effective_from = "2026-01-01"
input = 0
output = 10
[[budgets]]
name = "cap"
limit_usd = {cap}
each = ["tenant"]
window = "month"
wait_s = 60
"""


class Outcome(NamedTuple):
    """What the clients have seen."""

    answers: Counter[int]
    left: list[Decimal]
    """As each refusal says."""


async def storm(
    url: str, key: str, rng: random.Random, on_answer: Callable[[int], None]
) -> Outcome:
    """Have every client ask until it is refused."""
    outcome = Outcome(Counter(), [])

    async def client(session: httpx2.AsyncClient, number: int) -> None:
        for turn in range(10_000):
            output = rng.randint(MAX_TOKENS // 10, MAX_TOKENS)
            headers = {
                "authorization": f"Bearer {key}",
                "x-tollbook-tenant": "acme",
                "x-sim-size": f"input=10;output={output};events=4;pause_ms=60",
                "x-sim-request-id": f"{number}-{turn}",
            }
            body = {
                "model": "gpt-4o-mini", "max_tokens": MAX_TOKENS, "stream": True,
                "messages": [{"role": "user", "content": "hello"}],
            }  # fmt: skip
            try:
                answer = await session.post(
                    "/openai/v1/chat/completions", json=body, headers=headers
                )
            except httpx2.TransportError:
                outcome.answers[0] += 1
                await asyncio.sleep(0.1)
                continue
            outcome.answers[answer.status_code] += 1
            if answer.status_code == 200:
                on_answer(outcome.answers[200])
            elif answer.status_code == 429:
                outcome.left.append(Decimal(answer.headers["x-tollbook-budget-remaining"]))
                return
            else:
                await asyncio.sleep(0.1)
        raise AssertionError("the cap was never reached")

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=url, timeout=90, limits=limits) as session:
        await asyncio.gather(*(client(session, number) for number in range(CLIENTS)))
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True], ids=["calm", "killed"])
def test_a_cap_holds_to_the_cent_and_refuses_nobody_too_early(
    make_house: Callable[..., Any], *, is_killed: bool
) -> None:
    print(f"seed {SEED}")
    cap = Decimal("1.5") if is_killed else Decimal("0.8")
    house = make_house(workers=WORKERS, settings=SETTINGS.format(cap=cap))
    key = house.key("product")
    kills = {300: (1, 0), 600: (2,), 850: (0,), 1000: (3, 4)} if is_killed else {}

    def on_answer(count: int) -> None:
        for child in kills.pop(count, ()):
            house.kill(child)

    outcome = asyncio.run(storm(house.url, key, random.Random(SEED), on_answer))
    house.settle()
    house.stop()

    ((spent, calls),) = house.rows(
        "SELECT sum(cost_usd), count(*) FROM entries WHERE tenant_id = 'acme' AND kind = 'charge'"
        " AND status <> 'rejected'"
    )
    how = dict(house.rows("SELECT status, count(*) FROM entries GROUP BY ALL"))
    print(how)
    assert ("interrupted" in how) is is_killed
    print(f"spent {spent} of {cap} in {calls} calls; seen {dict(outcome.answers)}")
    assert kills == {}, "the storm was over before everything had been killed"
    assert spent <= cap, "overshoot"
    assert spent > cap - LARGEST_USD, "refused while there was room for the largest request"
    assert len(outcome.left) == CLIENTS
    assert max(outcome.left) < LARGEST_USD
    assert counted(house.data_dir) == (pico_from_usd(str(spent)), 0), "the counters are the ledger"


def counted(data_dir: Path) -> tuple[int, int]:
    """Return what the counters say that acme has spent and holds."""
    rules = published_rules(data_dir)
    assert rules is not None
    (rule,) = rules
    now_s = clock.unix_ns() // clock.NS_PER_S
    with contextlib.closing(BudgetTable(data_dir / TABLE_FILE)) as table, table.locked():
        slot = table.look(rule.key(("acme",), rule.span(now_s).start_s))
        assert slot is not None
        return table.standing(slot)
