"""G: budgets hold under concurrency, restarts and odd usage, and refuse nobody who has room."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.accuracy.bodies import CHAT, completion, usage
from tests.accuracy.kit import Case, ScriptedProvider, json_answer
from tests.e2e.conftest import make_house, wait_until

from tollbook.budgets.rules import read_rules
from tollbook.budgets.seed import TABLE_FILE
from tollbook.budgets.table import BudgetTable
from tollbook.budgets.window import span_at
from tollbook.config import load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.slow
__all__ = ["make_house"]

# A call below is 1000 tokens in and 100 out: 0.002 and 0.001 dollars, 0.003 in all.
PRICED = """
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
ANSWER = json_answer(completion(usage(1000, 100)))
SLOW: list[bytes | float] = [0.3, ANSWER]
ASK: dict[str, Any] = {**CHAT, "messages": [{"role": "user", "content": "x" * 3900}],
                       "max_tokens": 100}  # fmt: skip
CHAT_PATH = "/fake/v1/chat/completions"
COST = Decimal("0.003")


class Setting:
    """A house with budgets in front of a scripted provider."""

    def __init__(self, house: Any, provider: ScriptedProvider) -> None:
        self.house = house
        self.provider = provider

    def ask(
        self, count: int = 1, *, body: Any = None, path: str = CHAT_PATH, case: str = "answer",
        **headers: str,
    ) -> list[httpx2.Response]:  # fmt: skip
        """Send so many requests at once and return the answers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"authorization": "Bearer sk-own", "x-case": case, **named}

        async def one(client: httpx2.AsyncClient) -> httpx2.Response:
            return await client.post(path, json=body or ASK, headers=sent)

        async def all_of_them() -> list[httpx2.Response]:
            limits = httpx2.Limits(max_connections=None)
            async with httpx2.AsyncClient(
                base_url=self.house.url, timeout=30, limits=limits
            ) as client:
                return list(await asyncio.gather(*(one(client) for _ in range(count))))

        return asyncio.run(all_of_them())

    def admitted(self, count: int, **asked: Any) -> int:
        """Return how many of so many concurrent calls were let through."""
        return sum(one.status_code == 200 for one in self.ask(count, **asked))

    def taken(self, name: str, *owner: str) -> tuple[int, int]:
        """Return what the shared counters say is spent and held, in the budget's unit."""
        config = load_config(self.house.config_path, self.house.environ)
        rule = next(one for one in read_rules(config.budgets, "t") if one.budget.name == name)
        now_s = int(time.time())
        span = span_at(rule.budget.window, rule.budget.timezone, now_s)
        path = self.house.data_dir / TABLE_FILE
        with contextlib.closing(BudgetTable(path)) as table, table.locked():
            slot = table.find(rule.key(owner, span.start_s), span.end_s, now_s)
            assert slot is not None
            spent, held = table.standing(slot)
        return spent, held

    def booked(self, tenant: str) -> Decimal:
        """Stop and return what the ledger holds of a tenant."""
        self.house.stop()
        found = self.house.rows(
            f"SELECT coalesce(sum(cost_usd), 0) FROM entries WHERE tenant_id = '{tenant}'"
        )
        cost: Decimal = found[0][0]
        return cost


@pytest.fixture
def budgeted(make_house: Callable[..., Any]) -> Iterator[Callable[..., Setting]]:
    """Return a builder of houses with budgets."""
    with contextlib.ExitStack() as stack:

        def build(budgets: str, *, workers: int = 1, starts: bool = True) -> Setting:
            scripts: Sequence[Case] = [
                Case(id="answer", steps=[ANSWER]),
                Case(id="slow", steps=SLOW),
                Case(id="unknown", steps=[json_answer(completion(usage(5, 5), model="nobody-1"))]),
                Case(id="no-usage", steps=[json_answer(completion(text="y" * 400))]),
                Case(id="broken", steps=[json_answer({"error": {"type": "server_error"}},
                                                     status="500 Internal Server Error")]),
            ]  # fmt: skip
            provider = stack.enter_context(ScriptedProvider(scripts))
            house = make_house(
                workers=workers, starts=starts,
                settings=PRICED.format(port=provider.port) + budgets,
            )  # fmt: skip
            return Setting(house, provider)

        yield build


def budget(name: str = "cap", **fields: Any) -> str:
    """Return a [[budgets]] entry."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items() if key != "match"]
    if "match" in fields:
        pairs = ", ".join(f'{key} = "{value}"' for key, value in fields["match"].items())
        lines.append(f"match = {{ {pairs} }}")
    return "[[budgets]]\nname = " + json.dumps(name) + "\n" + "\n".join(lines) + "\n"


TENANT: dict[str, Any] = {"each": ["tenant"], "limit_usd": 0.03}


def test_G1_a_hundred_at_once_get_no_more_than_the_room_for_ten(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(budget(**TENANT))

    admitted = setting.admitted(100, case="slow", x_tollbook_tenant="acme")

    assert 1 <= admitted <= 10
    assert setting.taken("cap", "acme") == (admitted * 3_000_000_000, 0)
    assert setting.booked("acme") == admitted * COST


def test_G2_a_call_of_unknown_price_is_refused_or_held_by_policy(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(
        budget("strict", match={"tenant": "acme"}, limit_usd=5)
        + budget("lenient", match={"tenant": "globex"}, limit_usd=2.5, unknown_price="hold",
                 hold_usd=1)
    )  # fmt: skip
    unknown = {**ASK, "model": "nobody-1"}

    (refused,) = setting.ask(body=unknown, x_tollbook_tenant="acme")
    held = [
        setting.admitted(1, body=unknown, case="unknown", x_tollbook_tenant="globex")
        for _ in range(4)
    ]

    assert refused.status_code == 429
    assert "price of model 'nobody-1' is not known" in refused.json()["error"]["message"]
    assert held == [1, 1, 0, 0], "two holds of a dollar each fit into two and a half"


def test_G3_G10_lost_counters_refuse_until_they_are_made_again_from_the_ledger(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(budget(**TENANT))
    assert [setting.admitted(1, x_tollbook_tenant="acme") for _ in range(4)] == [1] * 4
    house = setting.house
    house.stop()
    (house.data_dir / TABLE_FILE).unlink()
    house.start()
    wait_until((house.data_dir / TABLE_FILE).exists)
    assert setting.taken("cap", "acme") == (12_000_000_000, 0)

    later = sum(setting.admitted(1, x_tollbook_tenant="acme") for _ in range(10))

    assert later == 6, "ten in all"


def test_G3_without_counters_a_hard_budget_answers_503(tmp_path: Any) -> None:
    from tests.budgets.kit import FixedPrices, call, rules_of  # noqa: PLC0415 -- as above

    from tollbook.budgets.guard import Guard, Refused  # noqa: PLC0415 -- white box

    guard = Guard(rules_of(limit_usd=1), tmp_path / TABLE_FILE, "w0", FixedPrices(5), lambda: 1000)
    refused = guard.admit(call())

    assert isinstance(refused, Refused)
    assert refused.is_unavailable


def test_G4_G9_the_counter_of_three_workers_is_the_ledger(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(budget(each=["tenant"], limit_usd=0.15), workers=3)

    admitted = setting.admitted(120, case="slow", x_tollbook_tenant="acme")
    more = setting.admitted(60, x_tollbook_tenant="acme")

    assert admitted + more == 50, "all of the room is used, and no more"
    assert setting.taken("cap", "acme") == (150_000_000_000, 0)
    assert setting.booked("acme") == Decimal("0.15")


def test_G5_worst_case_holds_are_let_go_and_leave_nothing_behind(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(budget(each=["tenant"], limit_usd=25))
    large = {**ASK, "max_tokens": 64_000}  # up to 0.642 dollars each

    first = setting.admitted(200, body=large, case="slow", x_tollbook_tenant="acme")

    assert first == 200, "what has no room beside the others waits for them"
    assert setting.taken("cap", "acme") == (first * 3_000_000_000, 0)
    assert setting.admitted(20, body=large, x_tollbook_tenant="acme") == 20


def test_G6_G11_every_budget_that_concerns_a_call_is_asked(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(
        budget("tenant", each=["tenant"], limit_requests=100)
        + budget("user", each=["user"], limit_requests=3)
        + budget("model-of-tenant", each=["tenant", "model"], match={"model": "m-2"},
                 limit_requests=1)
        + budget("key", each=["api_key"], limit_requests=6)
    )  # fmt: skip
    first = setting.house.key("team key", tenant_id="acme", team_id="red")
    other = {**ASK, "model": "m-2"}

    def asked(count: int, **more: Any) -> int:
        return sum(setting.admitted(1, **more) for _ in range(count))

    assert asked(5, x_tollbook_tenant="acme", x_tollbook_user="ann") == 3
    assert asked(3, body=other, x_tollbook_tenant="acme", x_tollbook_user="bob") == 1
    assert asked(9, authorization=f"Bearer {first}") == 3, "users without a name share a budget"
    (refused,) = setting.ask(x_tollbook_tenant="acme", x_tollbook_user="ann")
    assert "budget 'user' of user 'ann'" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"
    metrics = httpx2.get(f"{setting.house.url}/metrics").text
    assert 'tollbook_gateway_budget_refusals_total{worker="0",budget="user"}' in metrics
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("field", ["tenant", "user", "team", "feature", "api_key", "model"])
def test_G7_every_kind_of_budget_begins_anew_with_its_window(tmp_path: Any, field: str) -> None:
    from tests.budgets.kit import FixedPrices, call, rules_of, table_in  # noqa: PLC0415 -- as above

    from tollbook.budgets.guard import Guard, Refused  # noqa: PLC0415 -- with a clock of our own

    now_s = [1_790_000_000]
    path = table_in(tmp_path)
    rules = rules_of(each=[field], limit_requests=1, window="day")
    guard = Guard(rules, path, "w0", FixedPrices(5), lambda: now_s[0])
    holds = guard.admit(call())
    assert not isinstance(holds, Refused)
    assert isinstance(guard.admit(call()), Refused)

    now_s[0] += 86_400

    assert not isinstance(guard.admit(call()), Refused)


def test_G8_what_is_spent_is_what_the_ledger_has_in_the_window(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted("")
    assert setting.admitted(8, x_tollbook_tenant="acme") == 8
    house = setting.house
    house.stop()
    house.config_path.write_text(house.config_path.read_text() + budget(**TENANT))
    house.start()

    assert setting.taken("cap", "acme") == (24_000_000_000, 0), "counted though it came before"
    assert sum(setting.admitted(1, x_tollbook_tenant="acme") for _ in range(5)) == 2
    house.stop()
    house.start()
    assert setting.taken("cap", "acme") == (30_000_000_000, 0), "a restart changes nothing"
    assert setting.admitted(3, x_tollbook_tenant="acme") == 0


def test_G12_an_unknown_field_of_a_budget_is_refused(budgeted: Callable[..., Setting]) -> None:
    house = budgeted("", starts=False).house
    house.config_path.write_text(house.config_path.read_text() + budget(limit_usd=5, budget=7))

    done = house.cli("up")

    assert done.returncode == 2
    assert "budgets[0].budget: no such setting" in done.stderr


def test_G13_a_threshold_is_told_once_a_window_at_the_right_spend(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.budgets.kit import FixedPrices, call, closed_of, rules_of, table_in  # noqa: PLC0415 -- as above

    from tollbook.budgets.guard import Guard, Refused  # noqa: PLC0415 -- white box

    path = table_in(tmp_path)
    rules = rules_of(limit_usd="0.000000000010", warn_at_percent=[50, 80], mode="soft")
    workers = [Guard(rules, path, f"w{at}", FixedPrices(1), lambda: 1000) for at in range(2)]
    told = []
    for at in range(12):
        guard, one = workers[at % 2], call()
        holds = guard.admit(one)
        assert not isinstance(holds, Refused)
        guard.settle(holds, one, closed_of(one))
        told.append([line.getMessage().split("reached ")[1][:4] for line in caplog.records])
    assert told[3] == []
    assert told[4] == ["50 %"]
    assert told[7:] == [["50 %", "80 %"]] * 5


def test_G14_a_budget_holds_while_the_ledger_is_down(budgeted: Callable[..., Setting]) -> None:
    setting = budgeted(budget(**TENANT))
    for _ in range(20):
        setting.house.kill(0)
        setting.admitted(1, x_tollbook_tenant="acme")
    setting.house.settle()
    assert setting.taken("cap", "acme") == (30_000_000_000, 0)
    assert setting.booked("acme") == Decimal("0.03")


def test_G15_a_call_without_usage_counts_as_estimated(budgeted: Callable[..., Setting]) -> None:
    setting = budgeted(budget(**TENANT))

    assert setting.admitted(1, case="no-usage", x_tollbook_tenant="acme") == 1

    spent, held = setting.taken("cap", "acme")
    assert held == 0
    assert spent > 0
    assert setting.booked("acme") == Decimal(spent) / 10**12


def test_E4_a_budget_of_nothing_closes_every_route(budgeted: Callable[..., Setting]) -> None:
    setting = budgeted(budget(each=["tenant"], limit_usd=0))
    for path in (
        CHAT_PATH, "/fake/v1/embeddings", "/fake/v1/responses", "/fake/v1/files",
        "/fake/v1/images/generations", "/fake/v1/anything/else",
    ):  # fmt: skip
        (answer,) = setting.ask(path=path, x_tollbook_tenant="acme")
        assert answer.status_code == 429, path
    assert all(not seen for seen in setting.provider.requests.values())


def test_what_is_left_is_told_to_who_asks(budgeted: Callable[..., Setting]) -> None:
    setting = budgeted(
        budget("wide", limit_usd=5) + budget("narrow", each=["tenant"], limit_usd=0.01)
    )
    told = [
        (one.headers["x-tollbook-budget"], one.headers["x-tollbook-budget-remaining-usd"])
        for _ in range(3)
        for one in setting.ask(x_tollbook_tenant="acme", x_tollbook_report="cost")
    ]

    assert told == [("narrow", f"0.00{left}000000000") for left in (7, 4, 1)]


def test_free_calls_and_answers_given_again_use_up_nothing(
    budgeted: Callable[..., Setting],
) -> None:
    setting = budgeted(
        budget(each=["tenant"], limit_requests=2) + "[response_cache]\nenabled = true\n"
    )
    asked: dict[str, Any] = {"x_tollbook_tenant": "acme", "x_tollbook_cache": "use"}
    key = setting.house.key("app", tenant_id="acme")
    for _ in range(4):
        assert setting.admitted(1, authorization=f"Bearer {key}", **asked) == 1
        (free,) = setting.ask(path="/fake/v1/moderations", **asked)
        assert free.status_code == 200
    setting.house.stop()
    setting.house.start()

    assert setting.taken("cap", "acme") == (1, 0)
