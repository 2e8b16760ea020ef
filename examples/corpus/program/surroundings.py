"""What every service of the product reads from its environment."""

from __future__ import annotations

import os
import socket
from typing import Any, Final, NamedTuple

QUEUE: Final = "product-index"
DONE: Final = "product-indexed"
"""Lists in Redis: documents for the indexer, and those that it is done with."""

HOSTS: Final = frozenset(
    {"api.openai.com", "api.anthropic.com", "api.cohere.com", "agent.internal", "llm.internal"}
)
"""Names that are all this machine, so that spans name hosts as they would in production."""


class Surroundings(NamedTuple):
    """Where the rest of the product is, and what is wrong with it."""

    instrumentation: str
    faults: frozenset[str]
    provider_port: int
    redis_url: str
    agent_url: str
    gateway_url: str
    otlp_url: str
    truth_dir: str

    def has(self, fault: str) -> bool:
        """Whether something is wrong, or switched on."""
        return fault in self.faults

    def at(self, provider: str) -> str:
        """Return where a provider is."""
        return f"http://api.{provider}.com:{self.provider_port}/{provider}"


def read_surroundings() -> Surroundings:
    """Return what the environment says, and make the names of hosts lead here."""
    _resolve_here()
    return Surroundings(
        instrumentation=os.environ["CORPUS_INSTRUMENTATION"],
        faults=frozenset(filter(None, os.environ["CORPUS_FAULTS"].split(","))),
        provider_port=int(os.environ["CORPUS_PROVIDER_PORT"]),
        redis_url=os.environ["CORPUS_REDIS_URL"],
        agent_url=os.environ["CORPUS_AGENT_URL"],
        gateway_url=os.environ["CORPUS_GATEWAY_URL"],
        otlp_url=os.environ["CORPUS_OTLP_URL"],
        truth_dir=os.environ["CORPUS_TRUTH_DIR"],
    )


def _resolve_here() -> None:
    resolve = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return resolve("127.0.0.1" if name in HOSTS else host, *arguments, **named)

    socket.getaddrinfo = here
