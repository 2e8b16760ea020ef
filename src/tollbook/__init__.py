"""Tollbook: which tenant, user, feature and agent run spent every dollar of the LLM bill."""

__version__ = "0.1.0"

from importlib import import_module
from typing import Any

_SDK = frozenset(
    [
        "MissingTenantError", "agent_run", "configure", "current", "current_span", "environment",
        "feature", "flush", "marking", "memory", "origin", "request", "retrieval", "retrieved",
        "scope", "step", "tenant", "tool", "unwrap_litellm", "use", "user", "workflow", "wrap",
        "wrap_litellm",
    ]
)  # fmt: skip
"""As ``tollbook.sdk`` has them; type checkers read ``__init__.pyi``."""


def __getattr__(name: str) -> Any:
    """Give ``tollbook.tenant`` and the like without making every import of a room pay for it."""
    if name in _SDK:
        return getattr(import_module("tollbook.sdk"), name)
    raise AttributeError(f"module 'tollbook' has no attribute {name!r}")
