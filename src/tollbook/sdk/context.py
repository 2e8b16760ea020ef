"""Whose work is being done: an immutable identity in the OpenTelemetry context and its baggage.

The identity is a value: what starts a call takes it once (:func:`current`) and carries it along.
It is never attached inside a generator, where it would leak into whoever iterates.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from opentelemetry import baggage
from opentelemetry.context import attach, create_key, detach, get_value, set_value
from opentelemetry.context import get_current as get_context

from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.identity.values import as_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context

NOBODY: Final = Identity()
BAGGAGE_NAMES: Final = {
    field: key for key, field in reversed(BAGGAGE_KEYS.items()) if "_" not in key
}
"""Identity field to the baggage key it travels under."""

_KEY: Final = create_key("tollbook-identity")


def current(context: Context | None = None) -> Identity:
    """Return whose work is being done; an identity of nothing but Nones where nobody said.

    What a framework has restored into OpenTelemetry's baggage counts where no identity was set
    in this process.
    """
    known = get_value(_KEY, context)
    if isinstance(known, Identity):
        return known
    return _from_baggage(baggage.get_all(context))


def _from_baggage(members: Mapping[str, object]) -> Identity:
    fields: dict[str, str] = {}
    for key, value in members.items():
        field = BAGGAGE_KEYS.get(key)
        text = as_id(value) if isinstance(value, str) else None
        if field is not None and text is not None:
            fields.setdefault(field, text)
    if not fields:
        return NOBODY
    return replace(NOBODY, **fields, sources=dict.fromkeys(fields, Mechanism.BAGGAGE.value))


def with_identity(known: Identity, context: Context | None = None) -> Context:
    """Return a context in which this is the identity, in place of any that was there."""
    context = get_context() if context is None else context
    for key in BAGGAGE_KEYS:
        context = baggage.remove_baggage(key, context)
    for field in IDENTITY_FIELDS:
        value = getattr(known, field)
        if value is not None:
            context = baggage.set_baggage(BAGGAGE_NAMES[field], value, context)
    return set_value(_KEY, known, context)


class Scope(ContextDecorator):
    """Sets identity for a block (``with``, ``async with``) or for the calls of a function.

    Fields that are not given stay as they are outside. May be entered several times.
    """

    def __init__(
        self, fields: Mapping[str, str | None], tags: Mapping[str, str] | None = None, *,
        whole: Identity | None = None,
    ) -> None:  # fmt: skip
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._tags = dict(tags or {})
        self._whole = whole
        self._tokens: list[Any] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self._fields, self._tags, whole=self._whole)

    def _identity(self) -> Identity:
        known = current() if self._whole is None else self._whole
        if not (self._fields or self._tags):
            return known
        sources = known.sources | dict.fromkeys(self._fields, Mechanism.SDK.value)
        tags = known.tags | self._tags
        return replace(known, **self._fields, tags=tags, sources=sources)

    def __enter__(self) -> Identity:
        known = self._identity()
        self._tokens.append(attach(with_identity(known)))
        return known

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        detach(self._tokens.pop())


def scope(
    *, tenant: str | None = None, user: str | None = None, team: str | None = None,
    cost_center: str | None = None, feature: str | None = None, workflow: str | None = None,
    agent_run: str | None = None, step: str | None = None, environment: str | None = None,
    origin: str | None = None, request: str | None = None, tags: Mapping[str, str] | None = None,
) -> Scope:  # fmt: skip
    """Set any of the fields for a block or function."""
    fields = {
        "tenant_id": tenant, "user_id": user, "team_id": team, "cost_center": cost_center,
        "feature": feature, "workflow_id": workflow, "agent_run_id": agent_run,
        "workflow_step": step, "environment": environment, "request_origin": origin,
        "request_id": request,
    }  # fmt: skip
    return Scope(fields, tags)


def tenant(tenant_id: str, **fields: Any) -> Scope:
    """Set the tenant, and any further field of :func:`scope`, for a block or function."""
    return scope(tenant=tenant_id, **fields)


def user(user_id: str) -> Scope:
    """Set the user."""
    return scope(user=user_id)


def feature(name: str) -> Scope:
    """Set the feature of the product."""
    return scope(feature=name)


def workflow(workflow_id: str) -> Scope:
    """Set the workflow."""
    return scope(workflow=workflow_id)


def agent_run(run_id: str) -> Scope:
    """Set the run of an agent."""
    return scope(agent_run=run_id)


def step(name: str) -> Scope:
    """Set the step within a workflow or run."""
    return scope(step=name)


def environment(name: str) -> Scope:
    """Set the environment (production, staging, test ...)."""
    return scope(environment=name)


def origin(name: str) -> Scope:
    """Set what caused the work: ``user``, ``scheduled`` or ``system``."""
    return scope(origin=name)


def request(request_id: str) -> Scope:
    """Set the user's request that caused the work."""
    return scope(request=request_id)


def use(known: Identity) -> Scope:
    """Do work as this identity, and nothing of the one outside."""
    return Scope({}, whole=known)
