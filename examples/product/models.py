"""The clients that the services call models with, and how they are accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import cohere
import openai

import tollbook
from examples.product.telemetry import telemetry

if TYPE_CHECKING:
    from examples.product.surroundings import Surroundings

TIMEOUT_S = 30.0


def account_for_calls(service: str, around: Surroundings) -> None:
    """Say once, at the start of a process, where its calls are told of."""
    if around.mode == "gateway":
        tollbook.configure(gateway=around.gateway_url, gateway_key=around.gateway_key)
    else:
        tollbook.configure(sink=telemetry(service, around.otlp_url))


def _at(provider: str, around: Surroundings) -> str | None:
    """Return where a provider is simulated; None where the gateway knows that."""
    return f"{around.provider_url}/{provider}" if around.mode == "otlp" else None


def chat_client(around: Surroundings) -> openai.OpenAI:
    """Return a client of OpenAI for use in threads."""
    return tollbook.wrap(
        openai.OpenAI(
            base_url=_at("openai/v1", around), api_key=around.provider_key,
            timeout=TIMEOUT_S,
        )
    )  # fmt: skip


def async_chat_client(around: Surroundings) -> openai.AsyncOpenAI:
    """Return a client of OpenAI for use in coroutines."""
    return tollbook.wrap(
        openai.AsyncOpenAI(
            base_url=_at("openai/v1", around), api_key=around.provider_key,
            timeout=TIMEOUT_S,
        )
    )  # fmt: skip


def agent_client(around: Surroundings) -> anthropic.Anthropic:
    """Return a client of Anthropic."""
    return tollbook.wrap(
        anthropic.Anthropic(
            base_url=_at("anthropic", around), api_key=around.provider_key,
            timeout=TIMEOUT_S,
        )
    )  # fmt: skip


def rerank_client(around: Surroundings) -> cohere.ClientV2:
    """Return a client of Cohere."""
    return tollbook.wrap(
        cohere.ClientV2(
            base_url=_at("cohere", around), api_key=around.provider_key,
            timeout=TIMEOUT_S,
        )
    )  # fmt: skip
