"""Providers known by name: their settings, and what a section of one's own changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.call import Metering
from tollbook.config import load_config
from tollbook.config.known_providers import KNOWN_NAMES, KNOWN_PROVIDERS
from tollbook.dialects.openai import OpenAI
from tollbook.prices.listprices import list_provider_ids

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.config import Config

OPENAI = OpenAI()


def load(directory: Path, text: str) -> Config:
    path = directory / "tollbook.toml"
    path.write_text(text)
    return load_config(path, {})


@pytest.mark.parametrize("name", sorted(KNOWN_NAMES))
def test_a_known_provider_needs_no_more_than_its_name(name: str, tmp_path: Path) -> None:
    (known,) = [one for one in KNOWN_PROVIDERS if one.name == name]
    names_it = "" if known.api_key_env else f"[providers.{name}]\n"
    provider = load(tmp_path, names_it).providers[name]
    assert (provider.dialect, provider.base_url) == (known.dialect, known.base_url)
    assert provider.api_key_env == known.api_key_env
    assert known.list_prices is None or known.list_prices in list_provider_ids()
    assert not provider.base_url.endswith("/v1"), "the client adds it"


def test_a_section_changes_what_differs_and_keeps_the_rest(tmp_path: Path) -> None:
    config = load(tmp_path, '[providers.mistral]\nbase_url = "http://127.0.0.1:1"')
    mistral = config.providers["mistral"]
    assert mistral.base_url == "http://127.0.0.1:1"
    assert mistral.api_key_env == "MISTRAL_API_KEY"
    assert mistral.list_prices == "mistral"
    assert not mistral.inject_stream_usage
    assert config.providers["groq"].inject_stream_usage


def test_openai_serves_what_no_route_matches_unless_another_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, "").providers["openai"].default
    other = '[providers.eu]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1"\ndefault = true\n'
    config = load(tmp_path, other)
    assert config.providers["eu"].default
    assert not config.providers["openai"].default
    assert load(tmp_path, "[providers.openai]\nmax_connections = 3").providers["openai"].default


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/chat/completions",  # Groq's own client
        "/v1/chat/completions",
        "/chat/completions",  # Perplexity, DeepSeek
        "/serving-endpoints/chat/completions",  # Databricks
        "/serving-endpoints/my-model/invocations",
        "/api/v2/cortex/v1/chat/completions",  # Snowflake
        "/client/v4/accounts/a/ai/v1/chat/completions",  # Cloudflare
        "/inference/v1/chat/completions",  # Fireworks
    ],
)
def test_the_end_of_a_path_tells_what_it_is(path: str) -> None:
    route = OPENAI.route("POST", path)
    assert (route.operation, route.metering) == ("chat", Metering.METERED)
