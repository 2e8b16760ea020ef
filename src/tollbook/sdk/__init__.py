"""Carry the caller's identity with every call to a model, from within an application.

::

    import tollbook

    with tollbook.tenant("acme", user="ada", feature="search"):
        client.chat.completions.create(...)

Importing it needs nothing but ``msgspec`` and ``opentelemetry-api``.
"""

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
from tollbook.sdk.runtime import configure

__all__ = [
    "agent_run",
    "configure",
    "current",
    "current_span",
    "environment",
    "feature",
    "origin",
    "request",
    "retrieval",
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
