"""Frameworks over the gateway: LangChain, Pydantic AI, LlamaIndex, LiteLLM on either side of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import openai
import pytest
from tests.clients.conftest import (
    SCRIPTS,
    assert_ledger_is_the_truth,
    litellm_proxy,
    run_script,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

TEXT = "Say something short."


def test_langchain(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("langchain", tenant_id="acme", feature="chain")

    answer = run_script([sys.executable, str(SCRIPTS / "langchain_client.py"), house.url, key])

    assert min(answer["parts"]) > 2
    assert answer["claude"]
    assert answer["numbers"] > 100
    rows = assert_ledger_is_the_truth(house, calls=5)
    assert {row["feature"] for row in rows if row["cost_usd"]} == {"chain"}
    row = next(row for row in rows if row["provider_response_id"] == answer["id"])
    assert row["visible_output_tokens"] == answer["output_tokens"]


def test_pydantic_ai(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("agents", tenant_id="acme")

    said = run_script([sys.executable, str(SCRIPTS / "pydantic_ai_client.py"), house.url, key])

    assert len(said) == 4
    assert all(said)
    assert_ledger_is_the_truth(house, calls=4)


def test_llamaindex(make_house: Callable[..., Any], installed: Path) -> None:
    house = make_house()
    key = house.key("index", tenant_id="acme")
    python = installed / "venv" / "bin" / "python"

    answer = run_script([str(python), str(SCRIPTS / "llamaindex_client.py"), house.url, key])

    assert answer["plain"]
    assert answer["streamed"]
    assert_ledger_is_the_truth(house, calls=2)


def test_litellm_in_front_of_the_gateway(
    make_house: Callable[..., Any], installed: Path, tmp_path: Path
) -> None:
    house = make_house()
    key = house.key("litellm", tenant_id="acme")
    config = f"""
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {house.url}/openai/v1
      api_key: {key}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-haiku-4-5
      api_base: {house.url}/anthropic
      api_key: {key}
"""
    with (
        litellm_proxy(installed, tmp_path, config) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="sk-any", max_retries=0) as client,
    ):
        for model in ("gpt", "claude"):
            plain = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": TEXT}]
            )
            assert plain.usage
            streamed = list(
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": TEXT}], stream=True
                )
            )
            assert len(streamed) > 2

    assert_ledger_is_the_truth(house, calls=4)


def test_litellm_behind_the_gateway(
    make_house: Callable[..., Any], installed: Path, tmp_path: Path
) -> None:
    house = make_house(starts=False)
    config = f"""
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {house.simulator.base_url}/openai/v1
      api_key: sk-sim-provider
"""
    with litellm_proxy(installed, tmp_path, config) as url:
        settings = house.config_path.read_text()
        house.config_path.write_text(
            settings
            + f'\n[providers.litellm]\ndialect = "openai"\nbase_url = "{url}"\n'
            + 'api_key_env = "SIM_KEY"\nlist_prices = "openai"\n'
        )
        house.start()
        key = house.key("behind", tenant_id="acme")
        with openai.OpenAI(
            base_url=f"{house.url}/litellm/v1", api_key=key, max_retries=0
        ) as client:
            messages: list[Any] = [{"role": "user", "content": TEXT}]
            plain = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            streamed = list(
                client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
            )
        house.stop()

    assert plain.usage
    assert len(streamed) > 2
    rows = house.records("SELECT * FROM entries ORDER BY called_at")
    assert [row["usage_source"] for row in rows] == ["reported", "reported"]
    assert all(row["provider"] == "litellm" for row in rows)
    assert rows[0]["visible_output_tokens"] == plain.usage.completion_tokens
    assert all(row["cost_usd"] > 0 for row in rows)
