"""What every service of the product reads from its environment."""

from __future__ import annotations

import os
from typing import Final, Literal, NamedTuple, cast

Mode = Literal["gateway", "otlp"]

QUEUE: Final = "product-index"
DONE: Final = "product-indexed"
"""Lists in Redis: documents for the indexer, and those that it is done with."""

FAULTS: Final[dict[str, str]] = {
    "single-key": "the web names no tenant: all that the providers and the gateway see is one key",
    "stripped-headers": "a proxy between the web and the agent service drops headers it does not"
    " know",
    "background-jobs": "jobs are enqueued without the identity of who asked for them",
    "streaming": "streamed answers are made in a thread of their own",
    "agent-recursion": "sub-agents run in a plain thread pool",
    "embeddings-retrieval": "embeddings are gathered into batches by a thread of their own",
}
"""The six ways that identity is lost, each as one line of this product that is wrong."""


class Surroundings(NamedTuple):
    """Where the rest of the product is, and how calls are to be accounted for."""

    mode: Mode
    fault: str | None
    provider_url: str
    provider_key: str
    gateway_url: str
    gateway_key: str
    otlp_url: str
    redis_url: str
    agent_url: str

    def has(self, fault: str) -> bool:
        """Whether a fault is switched on."""
        return self.fault == fault


def read_surroundings() -> Surroundings:
    """Return what ``run.py`` has set; KeyError names what is missing."""
    return Surroundings(
        mode=cast("Mode", os.environ["PRODUCT_MODE"]),
        fault=os.environ.get("PRODUCT_FAULT") or None,
        provider_url=os.environ["PROVIDER_URL"],
        provider_key=os.environ["PROVIDER_KEY"],
        gateway_url=os.environ.get("GATEWAY_URL", ""),
        gateway_key=os.environ.get("GATEWAY_KEY", ""),
        otlp_url=os.environ.get("OTLP_URL", ""),
        redis_url=os.environ["REDIS_URL"],
        agent_url=os.environ["AGENT_URL"],
    )
