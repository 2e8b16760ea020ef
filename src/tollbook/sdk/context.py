"""Whose work is being done: an immutable identity in the OpenTelemetry context and its baggage.

The identity is a value: what starts a call takes it once (:func:`current`) and carries it along.
It is never attached inside a generator, where it would leak into whoever iterates
(:mod:`tollbook.sdk.stepping`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.call import Identity, SpanKind
from tollbook.sdk.held import (
    BAGGAGE_NAMES,
    NOBODY,
    Deferred,
    asked_as_nobody,
    current,
    held,
    known_now,
    with_identity,
)
from tollbook.sdk.scoping import AgentRunScope, Scope
from tollbook.sdk.spans import SpanPlan, current_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.sdk.given import FieldValue

__all__ = [
    "BAGGAGE_NAMES",
    "NOBODY",
    "Deferred",
    "Scope",
    "agent_run",
    "asked_as_nobody",
    "current",
    "current_span",
    "environment",
    "feature",
    "held",
    "known_now",
    "origin",
    "request",
    "retrieval",
    "scope",
    "step",
    "tenant",
    "tool",
    "use",
    "user",
    "with_identity",
    "workflow",
]


def scope(
    *, tenant: FieldValue = None, user: FieldValue = None, team: FieldValue = None,
    cost_center: FieldValue = None, feature: FieldValue = None, workflow: FieldValue = None,
    agent_run: FieldValue = None, step: FieldValue = None, environment: FieldValue = None,
    origin: FieldValue = None, request: FieldValue = None, tags: Mapping[str, str] | None = None,
) -> Scope:  # fmt: skip
    """Set any of the fields for a block or function; ids are text, integers or UUIDs.

    What is no id (128 characters of letters, digits and a few signs) becomes unknown, with the
    reason in ``Identity.problems`` and once in the log. It raises only where
    ``missing_tenant="raise"``.
    """
    fields = {
        "tenant_id": tenant, "user_id": user, "team_id": team, "cost_center": cost_center,
        "feature": feature, "workflow_id": workflow, "agent_run_id": agent_run,
        "workflow_step": step, "environment": environment, "request_origin": origin,
        "request_id": request,
    }  # fmt: skip
    return Scope(fields, tags)


def tenant(tenant_id: FieldValue, **fields: Any) -> Scope:
    """Set the tenant, and any further field of :func:`scope`, for a block or function."""
    return scope(tenant=tenant_id, **fields)


def user(user_id: FieldValue) -> Scope:
    """Set the user."""
    return scope(user=user_id)


def feature(name: str) -> Scope:
    """Set the feature of the product."""
    return scope(feature=name)


def workflow(workflow_id: str) -> Scope:
    """Set the workflow, as a span of the run."""
    return Scope({"workflow_id": workflow_id}, span=SpanPlan(SpanKind.WORKFLOW, str(workflow_id)))


def agent_run(run_id: str | None = None, *, name: str = "agent") -> Scope:
    """Begin the run of an agent, or, within a run, of a sub-agent.

    Args:
        run_id: of the run; without it a sub-agent is part of the run that it is in, and any
            other run gets a new id.
        name: of the agent, in the tree of the run.
    """
    plan = SpanPlan(SpanKind.AGENT, name)
    if run_id is None:
        return AgentRunScope(span=plan)
    return Scope({"agent_run_id": run_id}, span=plan)


def step(name: str) -> Scope:
    """Begin a step of a workflow or run."""
    return Scope({"workflow_step": name}, span=SpanPlan(SpanKind.STEP, str(name)))


def tool(name: str) -> Scope:
    """Begin the use of a tool: a span of the run; the identity stays as it is."""
    return Scope(span=SpanPlan(SpanKind.TOOL, str(name)))


def retrieval(name: str = "retrieval") -> Scope:
    """Begin a retrieval: a span of the run; the identity stays as it is."""
    return Scope(span=SpanPlan(SpanKind.RETRIEVAL, str(name)))


def environment(name: str) -> Scope:
    """Set the environment (production, staging, test ...)."""
    return scope(environment=name)


def origin(name: str) -> Scope:
    """Set what caused the work: ``user``, ``scheduled`` or ``system``."""
    return scope(origin=name)


def request(request_id: FieldValue) -> Scope:
    """Set the user's request that caused the work."""
    return scope(request=request_id)


def use(known: Identity) -> Scope:
    """Do work as this identity, and nothing of the one outside."""
    return Scope(whole=known)
