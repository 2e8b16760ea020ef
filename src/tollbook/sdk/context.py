"""Whose work is being done: an immutable identity in the OpenTelemetry context and its baggage.

The identity is a value: what starts a call takes it once (:func:`current`) and carries it along.
It is never attached inside a generator, where it would leak into whoever iterates
(:mod:`tollbook.sdk.stepping`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, cast

from msgspec.structs import replace
from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.context import get_current as get_context

from tollbook import ids
from tollbook.call import IDENTITY_FIELDS, Identity, SpanKind
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS, REQUEST_ORIGINS, as_id
from tollbook.identity.write_baggage import FIELD_KEYS
from tollbook.sdk.given import FieldValue, Given, given
from tollbook.sdk.spans import SPAN_KEY, LiveSpan, RemoteSpan, SpanPlan, current_span
from tollbook.sdk.stepping import scoped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

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

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

NOBODY: Final = Identity()
BAGGAGE_NAMES: Final = FIELD_KEYS
"""Identity field to the baggage key it travels under."""

_KEY: Final = create_key("tollbook-identity")
_numbers = itertools.count()


class Deferred(Protocol):
    """An identity that is found out when somebody asks.

    A web framework often knows who is asking only after its middleware has run: in a dependency,
    in a decorator of the view.
    """

    def resolve(self) -> Identity:
        """Return what is known now; the same object as before where nothing is new."""


class _Derived:
    """An identity that is found out, with fields of a scope inside it."""

    __slots__ = ("_known", "_more", "_outside", "_outside_known")

    def __init__(self, outside: Deferred, more: Given) -> None:
        self._outside, self._more = outside, more
        self._outside_known: Identity | None = None
        self._known = NOBODY

    def resolve(self) -> Identity:
        """Return what is known outside, with the fields of this scope."""
        outside = self._outside.resolve()
        if outside is not self._outside_known:
            self._known, self._outside_known = _with(outside, self._more), outside
        return self._known


def current(context: Context | None = None) -> Identity:
    """Return whose work is being done; an identity of nothing but Nones where nobody said.

    What a framework has restored into OpenTelemetry's baggage counts where no identity was set
    in this process.
    """
    known = get_value(_KEY, context)
    if type(known) is Identity:
        return known
    if known is not None:
        return cast("Deferred", known).resolve()
    return _from_baggage(baggage.get_all(context))


def held(context: Context | None = None) -> Identity | Deferred:
    """Return the identity as it stands in the context, without finding it out."""
    known = get_value(_KEY, context)
    if known is None:
        return _from_baggage(baggage.get_all(context))
    return cast("Identity | Deferred", known)


def _from_baggage(members: Mapping[str, object]) -> Identity:
    fields: dict[str, str] = {}
    for key, value in members.items():
        field = BAGGAGE_KEYS.get(key)
        text = as_id(value) if isinstance(value, str) else None
        if field is None or text is None:
            continue
        if field != "request_origin" or text in REQUEST_ORIGINS:
            fields.setdefault(field, text)
    if not fields:
        return NOBODY
    return replace(NOBODY, **fields, sources=dict.fromkeys(fields, Mechanism.BAGGAGE.value))


def with_identity(known: Identity | Deferred, context: Context | None = None) -> Context:
    """Return a context in which this is the identity, in place of any that was there.

    Of an identity that is found out later, OpenTelemetry's baggage has what is known now.
    """
    return _context_with(known, known_now(known), get_context() if context is None else context)


def _context_with(known: Identity | Deferred, now: Identity, context: Context) -> Context:
    for key in baggage.get_all(context).keys() & BAGGAGE_KEYS.keys():
        context = baggage.remove_baggage(key, context)
    for field in IDENTITY_FIELDS:
        value = getattr(now, field)
        if value is not None:
            context = baggage.set_baggage(BAGGAGE_NAMES[field], value, context)
    return set_value(_KEY, known, context)


def known_now(known: Identity | Deferred) -> Identity:
    """Return the identity, found out if need be."""
    return known if isinstance(known, Identity) else known.resolve()


def asked_as_nobody(ask: Callable[[], T]) -> T:
    """Call what finds out an identity so that it gets nobody, not a loop, if it asks for one."""
    token = attach(set_value(_KEY, NOBODY))
    try:
        return ask()
    finally:
        detach(token)


class _Entered(NamedTuple):
    """What leaving a scope needs to know; it lives in the context that was entered."""

    outside: Context
    span: LiveSpan | None


class Scope:
    """Sets identity for a block (``with``, ``async with``) or for the calls of a function.

    Fields that are not given stay as they are outside. May be entered several times, and by
    several threads and tasks at once. As a decorator it takes plain and coroutine functions and
    generators of both kinds. Leaving it never raises.
    """

    def __init__(
        self,
        fields: Mapping[str, FieldValue] | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        whole: Identity | Deferred | None = None,
        span: SpanPlan | None = None,
        parent: RemoteSpan | None = None,
        is_root: bool = False,
    ) -> None:
        """Take what to set.

        Args:
            fields: identity fields by name; None leaves one as it is.
            tags: free tags, added to those outside.
            whole: the identity to start from, in place of the one outside.
            span: a span that lasts as long as the scope.
            parent: what spans and calls within are children of, in place of what is outside.
            is_root: without a parent, spans within begin a trace of their own.
        """
        self._given = given(fields or {}, tags or {})
        self._whole, self._span, self._parent, self._is_root = whole, span, parent, is_root
        self._key = f"tollbook-scope-{next(_numbers)}"

    def __call__(self, function: F) -> F:
        """Return the function with every call of it inside the scope."""
        return scoped(lambda: self, function)

    def by_default(self, **fields: str) -> Self:
        """Set fields where the identity that the scope starts from does not have them."""
        known = NOBODY if self._whole is None else known_now(self._whole)
        missing = {name: value for name, value in fields.items() if getattr(known, name) is None}
        self._whole = _with(known, given(missing, {}))
        return self

    def _held(self) -> Identity | Deferred:
        outside = held() if self._whole is None else self._whole
        return outside if self._given.is_empty else _within(outside, self._given)

    def _extended(self, context: Context) -> Context:
        """Return the context with what a kind of scope has beside an identity."""
        return context

    def __enter__(self) -> Identity:
        self._given.complain()
        outside = get_context()
        known = self._held()
        now = known_now(known)
        context = self._extended(_context_with(known, now, outside))
        span = None if self._span is None else LiveSpan(self._span)
        if self._parent is not None or self._is_root:
            context = set_value(SPAN_KEY, self._parent, context)
        if span is not None:
            span.begin(context)
            context = set_value(SPAN_KEY, span, context)
        attach(set_value(self._key, _Entered(outside, span), context))
        return now

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        entered = get_value(self._key)
        if not isinstance(entered, _Entered):
            return  # left in another context than it was entered in: that one is not ours to change
        if entered.span is not None:
            is_error = kind is not None and issubclass(kind, Exception)
            entered.span.end(current(), is_error=is_error)
        attach(entered.outside)

    async def __aenter__(self) -> Identity:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        self.__exit__(kind, error, where)


def _with(known: Identity, more: Given) -> Identity:
    sources = known.sources | dict.fromkeys(more.fields, Mechanism.SDK.value)
    tags, problems = known.tags, known.problems + more.problems
    if more.tags:
        tags = tags | more.tags
        if len(tags) > MAX_TAGS:
            tags = dict(itertools.islice(tags.items(), MAX_TAGS))
            problems += (f"over {MAX_TAGS} tags in all; the last were dropped",)
    return replace(
        known, **more.fields, tags=tags, sources=sources, problems=problems[:MAX_PROBLEMS]
    )


def _within(outside: Identity | Deferred, more: Given) -> Identity | Deferred:
    if isinstance(outside, Identity):
        return _with(outside, more)
    return _Derived(outside, more)


class _AgentRun(Scope):
    """A run whose id is made when it begins, unless it is part of another run."""

    def _held(self) -> Identity | Deferred:
        outside = super()._held()
        if known_now(outside).agent_run_id is not None:
            return outside
        return _within(outside, Given({"agent_run_id": f"run-{ids.new_id().hex()}"}))


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
        return _AgentRun(span=plan)
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
