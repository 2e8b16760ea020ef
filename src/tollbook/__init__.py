"""Tollbook: which tenant, user, feature and agent run spent every dollar of the LLM bill."""

__version__ = "0.1.0"

from importlib import import_module
from typing import Any

_SDK = frozenset(
    [
        "agent_run", "configure", "current", "current_span", "environment", "feature", "flush",
        "origin", "request", "retrieval", "scope", "step", "tenant", "tool", "use", "user",
        "workflow", "wrap", "wrap_litellm",
        "unwrap_litellm",
    ]
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Give ``tollbook.tenant`` and the like without making every import of a room pay for it."""
    if name in _SDK:
        return getattr(import_module("tollbook.sdk"), name)
    raise AttributeError(f"module 'tollbook' has no attribute {name!r}")
