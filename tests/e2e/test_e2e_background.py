"""C5 with the official clients: answers in the background, and who asks for them afterwards."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from google import genai
from google.genai import types
from tests.e2e.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

SETTINGS = """
[providers.azure]
dialect = "azure"
base_url = "SIM/azure"
api_key_env = "SIM_KEY"
list_prices = "openai"
[providers.gemini]
dialect = "gemini"
base_url = "SIM/gemini"
api_key_env = "SIM_KEY"
list_prices = "google"
"""
SIZE = {"x-sim-size": "input=1000;output=200"}
ROWS = (
    "SELECT call_id::VARCHAR AS call_id, kind, provider, tenant_id, usage_source, called_at,"
    " reason, uncached_input_tokens, visible_output_tokens, cost_usd, price_state, operation"
    " FROM entries ORDER BY entry_id"
)


MODELS = {"openai/v1": "gpt-4o-mini", "azure/openai/v1": "prod-4o-mini"}


def create(client: openai.OpenAI, model: str = "gpt-4o-mini") -> str:
    begun = client.responses.create(
        model=model, input="Think for a while.", background=True, extra_headers=SIZE
    )
    assert (begun.status, begun.usage) == ("queued", None)
    return begun.id


def retrieve(client: openai.OpenAI, response_id: str, times: int) -> None:
    for at in range(times):
        shown = client.responses.retrieve(response_id)
        assert shown.id == response_id
        assert (shown.usage is not None) == (at > 0)


def test_C5_the_late_usage_of_background_answers_is_charged_once(
    make_house: Callable[..., Any],
) -> None:
    house = make_house(settings=SETTINGS, workers=2)
    with contextlib.ExitStack() as stack:
        ids, forgotten = traffic(house, stack)
    house.stop()
    check(house, ids, forgotten)


def traffic(house: Any, stack: contextlib.ExitStack) -> tuple[dict[str, str], str]:
    """Begin answers, ask for them from elsewhere, restart the ledger, ask again."""
    key, reader = house.key("app", tenant_id="acme"), house.key("poller", tenant_id="poller")

    def client(path: str, api_key: str) -> openai.OpenAI:
        made = openai.OpenAI(
            base_url=f"{house.url}/{path}", api_key=api_key, max_retries=0, timeout=30
        )
        return stack.enter_context(made)

    ids = {path: create(client(path, key), model) for path, model in MODELS.items()}
    stored = client("openai/v1", key).responses.create(
        model="gpt-4o-mini", input="Say something short.", extra_headers=SIZE
    )
    forgotten = create(client("openai/v1", key))
    google = genai.Client(
        api_key=key,
        http_options=types.HttpOptions(base_url=f"{house.url}/gemini"),
    )
    stack.callback(google.close)
    interaction = google.interactions.create(
        model="gemini-3-flash-preview", input="Think.", background=True, extra_headers=SIZE
    )
    assert interaction.id
    assert (interaction.status, interaction.usage) == ("in_progress", None)
    # Others ask, too, over connections of their own, on whichever worker they land.
    for path, response_id in ids.items():
        retrieve(client(path, reader), response_id, 3)
    for _ in range(3):
        assert google.interactions.get(interaction.id).usage is not None
    client("openai/v1", reader).responses.retrieve(stored.id)
    time.sleep(1)
    before = house.supervisor.ledger.pid
    house.kill(0)  # the ledger starts anew and meets more of the same
    wait_until(lambda: house.supervisor.ledger.pid not in {None, before})
    house.settle()
    for path, response_id in ids.items():
        assert client(path, reader).responses.retrieve(response_id).usage is not None
    return ids, forgotten


def check(house: Any, ids: dict[str, str], forgotten: str) -> None:
    """One charge for each answer whose usage was shown, the estimate for the other one."""
    rows = house.records(ROWS)
    shown = [row for row in rows if row["operation"] == "retrieval"]
    assert Counter(row["provider"] for row in shown) == {"openai": 5, "azure": 4, "gemini": 3}
    assert {(row["price_state"], row["cost_usd"]) for row in shown} == {("free", Decimal(0))}
    calls: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["operation"] != "retrieval":
            calls.setdefault(row["call_id"], []).append(row)
    assert {row["tenant_id"] for call in calls.values() for row in call} == {"acme"}
    late = {call[0]["provider"]: call for call in calls.values() if len(call) > 1}
    assert set(late) == {"openai", "azure", "gemini"}
    for estimate, taken_back, charge in late.values():
        assert (estimate["kind"], estimate["usage_source"]) == ("charge", "estimated")
        assert (taken_back["kind"], charge["kind"]) == ("reversal", "charge")
        assert taken_back["cost_usd"] == -estimate["cost_usd"]
        assert (charge["uncached_input_tokens"], charge["visible_output_tokens"]) == (1000, 200)
        assert (charge["called_at"], charge["usage_source"]) == (estimate["called_at"], "reported")
    # 1000 at 0.15 and 200 at 0.60 dollars a million.
    assert late["openai"][2]["cost_usd"] == late["azure"][2]["cost_usd"] == Decimal("0.00027")
    single = [call[0]["usage_source"] for call in calls.values() if len(call) == 1]
    assert sorted(single) == ["estimated", "reported"]

    done = house.cli("explain", ids["openai/v1"], "--format", "json")
    told = json.loads(done.stdout)
    assert told["usage_late"].startswith("late usage: shown by call ")
    assert told["usage_late"].split()[-1] in {row["call_id"] for row in shown}
    assert "late usage: shown by call" in house.cli("explain", ids["openai/v1"]).stdout
    done = house.cli("explain", forgotten, "--format", "json")
    assert json.loads(done.stdout)["usage_late"] is None
    assert house.cli("verify").returncode == 0
