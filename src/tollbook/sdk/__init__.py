"""Carry the caller's identity with every call to a model, from within an application.

::

    import tollbook

    with tollbook.tenant("acme", user="ada", feature="search"):
        client.chat.completions.create(...)

It needs nothing but ``msgspec`` and ``opentelemetry-api``, and imports them on first use: the
pytest plugin is loaded in every test run of an environment that has Tollbook.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollbook.sdk.context import (
        agent_run,
        current,
        current_span,
        environment,
        feature,
        origin,
        request,
        retrieval,
        scope,
        step,
        tenant,
        tool,
        use,
        user,
        workflow,
    )
    from tollbook.sdk.harness import unwrap_litellm, wrap, wrap_litellm
    from tollbook.sdk.markers import marking, memory, retrieved
    from tollbook.sdk.missing import MissingTenantError
    from tollbook.sdk.runtime import configure, flush

__all__ = [
    "MissingTenantError",
    "agent_run",
    "configure",
    "current",
    "current_span",
    "environment",
    "feature",
    "flush",
    "marking",
    "memory",
    "origin",
    "request",
    "retrieval",
    "retrieved",
    "scope",
    "step",
    "tenant",
    "tool",
    "unwrap_litellm",
    "use",
    "user",
    "workflow",
    "wrap",
    "wrap_litellm",
]

_ELSEWHERE = {
    "MissingTenantError": "missing",
    "configure": "runtime",
    "flush": "runtime",
    "marking": "markers",
    "memory": "markers",
    "retrieved": "markers",
    "unwrap_litellm": "harness",
    "wrap": "harness",
    "wrap_litellm": "harness",
}
"""The rest is in ``context``."""


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'tollbook.sdk' has no attribute {name!r}")
    found = getattr(import_module(f"tollbook.sdk.{_ELSEWHERE.get(name, 'context')}"), name)
    globals()[name] = found  # the next time nothing is looked up
    return found
