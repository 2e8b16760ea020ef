"""Official clients under /v1: retries and fallbacks are one answer, and entries that add up."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import contextlib
import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]
ROUTES = """
[providers.backup]
dialect = "openai"
base_url = "SIM/openai"
api_key_env = "SIM_KEY"
list_prices = "openai"
[routes.small]
models = ["gpt-4o-mini", "small"]
targets = [{ provider = "openai", model = "gpt-4o-mini" }]
retries = 2
backoff_base_s = 0.01
backoff_max_s = 0.02
fallbacks = [{ provider = "backup", model = "gpt-4.1" }]
[routes.claude]
models = ["claude-*"]
targets = [{ provider = "anthropic" }]
backoff_base_s = 0.01
backoff_max_s = 0.02
[routes.cheap]
models = ["cheap"]
strategy = "cost"
targets = [
  { provider = "openai", model = "gpt-4o" },
  { provider = "backup", model = "gpt-4o-mini" },
]
"""


class Clients:
    """A house with routes and the two clients that talk to it."""

    def __init__(self, house: Any) -> None:
        self.house = house
        key = house.key("app", tenant_id="acme")
        self.openai = openai.OpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=house.url, api_key=key, max_retries=0)
        self._ids = itertools.count()

    def faulty(self, fault: str) -> dict[str, str]:
        """Return headers that ask the simulated provider to fail so."""
        return {"x-sim-fault": fault, "x-sim-request-id": f"r{next(self._ids)}"}

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()

    def operations(self) -> list[list[dict[str, Any]]]:
        """Stop the house and return its entries, those of one operation together."""
        self.house.stop()
        rows = self.house.records("SELECT * FROM entries ORDER BY called_at, attempt")
        found: dict[Any, list[dict[str, Any]]] = {}
        for row in rows:
            assert (row["kind"], row["tenant_id"]) == ("charge", "acme")
            found.setdefault(row["operation_id"] or row["call_id"], []).append(row)
        for attempts in found.values():
            for at, row in enumerate(attempts):
                assert row["attempt"] == attempts[0]["attempt"] + at
                before = attempts[at - 1]["call_id"] if at else None
                assert row["retry_of"] == before
        return list(found.values())


@pytest.fixture
def clients(make_house: Callable[..., Any]) -> Iterator[Clients]:
    with contextlib.closing(Clients(make_house(settings=ROUTES))) as made:
        yield made


def test_C2_C3_fallbacks_and_retries_cost_what_served_them(clients: Clients) -> None:
    create = clients.openai.chat.completions.create
    plain = create(model="small", messages=MESSAGES)
    again = create(
        model="small", messages=MESSAGES,
        extra_headers=clients.faulty("rate_limit;times=2;retry_after_ms=30"),
    )  # fmt: skip
    fallen = create(
        model="gpt-4o-mini", messages=MESSAGES, extra_headers=clients.faulty("server_error;times=3")
    )
    streamed = list(
        create(
            model="small", messages=MESSAGES, stream=True,
            extra_headers=clients.faulty("overloaded;times=1"),
        )
    )  # fmt: skip
    with pytest.raises(openai.InternalServerError) as lost:
        create(model="small", messages=MESSAGES, extra_headers=clients.faulty("server_error"))
    with pytest.raises(openai.APIError):
        list(
            create(
                model="small", messages=MESSAGES, stream=True,
                extra_headers=clients.faulty("error_event;after=2"),
            )
        )  # fmt: skip
    unrouted = create(model="gpt-5-mini", messages=MESSAGES)
    with clients.anthropic.messages.stream(
        model="claude-haiku-4-5", max_tokens=200, messages=MESSAGES,
        extra_headers=clients.faulty("overloaded;times=2"),
    ) as events:  # fmt: skip
        message = events.get_final_message()
    cheap = create(model="cheap", messages=MESSAGES)
    told = clients.openai.chat.completions.with_raw_response.create(
        model="small", messages=MESSAGES,
        extra_headers={**clients.faulty("server_error;times=1"), "x-tollbook-report": "cost"},
    )  # fmt: skip
    listed = [each.id for each in clients.openai.models.list()]

    assert listed == ["gpt-4o-mini", "small", "cheap"]
    assert plain.model.startswith("gpt-4o-mini")
    assert fallen.model.startswith("gpt-4.1")
    assert cheap.model.startswith("gpt-4o-mini"), "the cheaper of the two, though listed last"
    assert lost.value.response.headers["x-tollbook-attempts"] == "4"
    assert (again.usage is not None, len(streamed) > 1) == (True, True)
    operations = clients.operations()
    shown = [
        [(row["provider"], row["http_status"], row["price_state"]) for row in attempts]
        for attempts in operations
    ]
    limited, failed = ("openai", 429, "not_billed"), ("openai", 500, "not_billed")
    ok = ("openai", 200, "priced")
    assert shown == [
        [ok],
        [limited, limited, ok],
        [failed, failed, failed, ("backup", 200, "priced")],
        [("openai", 503, "not_billed"), ok],
        [failed, failed, failed, ("backup", 500, "not_billed")],
        [ok],
        [ok],
        [("anthropic", 529, "not_billed")] * 2 + [("anthropic", 200, "priced")],
        [("backup", 200, "priced")],
        [failed, ok],
    ]
    assert told.headers["x-tollbook-attempts"] == "2"
    assert Decimal(told.headers["x-tollbook-cost-usd"]) == operations[-1][-1]["cost_usd"]
    for attempts in operations:
        for row in attempts:
            assert (row["cost_usd"] > 0) == (row["price_state"] == "priced")
    by_answer = {row["provider_response_id"]: row for one in operations for row in one}
    for answer in (plain, again, fallen, unrouted, cheap):
        row = by_answer[answer.id]
        assert answer.usage is not None
        assert row["uncached_input_tokens"] + row["cache_read_tokens"] == answer.usage.prompt_tokens
        assert row["model_actual"] == answer.model
    assert by_answer[streamed[0].id]["usage_source"] == "reported"
    assert by_answer[message.id]["visible_output_tokens"] == message.usage.output_tokens
    row = by_answer[fallen.id]
    assert (row["fallback_from"], row["route"]) == ("openai/gpt-4o-mini", "small")
    assert row["model_requested"] == "gpt-4o-mini"
    small = by_answer[plain.id]
    rate_in, rate_out = Decimal(2), Decimal(8)  # gpt-4.1, USD per million tokens
    tokens = Decimal(row["uncached_input_tokens"]), Decimal(row["visible_output_tokens"])
    cached = Decimal(row["cache_read_tokens"]) * Decimal("0.5")
    assert row["cost_usd"] == (tokens[0] * rate_in + cached + tokens[1] * rate_out) / 1_000_000
    assert small["model_requested"] == "small"
    assert {one[0]["route"] for one in operations} == {"small", "claude", "cheap", None}


def test_a_killed_gateway_leaves_the_attempts_it_made(make_house: Callable[..., Any]) -> None:
    with contextlib.closing(Clients(make_house(settings=ROUTES))) as clients:
        house = clients.house
        hang = clients.openai.with_options(timeout=2.0).chat.completions
        with pytest.raises(openai.APITimeoutError):
            hang.create(model="small", messages=MESSAGES, extra_headers=clients.faulty("hang"))
        house.kill(1)
        house.settle()
        later = clients.openai.with_options(max_retries=3).chat.completions
        assert later.create(model="small", messages=MESSAGES).usage
        killed, after = clients.operations()
        (row,) = killed
        assert (row["status"], row["usage_source"]) == ("interrupted", "estimated")
        assert (row["model_requested"], row["model_actual"]) == ("small", "gpt-4o-mini")
        assert row["price_state"] == "priced", "at the model that was asked for"
        assert [row["status"] for row in after] == ["ok"]
