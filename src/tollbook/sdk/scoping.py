"""Setting identity for a block or function: entered and left, in whatever thread or task."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace
from opentelemetry.context import Context, attach, get_value, set_value
from opentelemetry.context import get_current as get_context

from tollbook import ids
from tollbook.call import Identity
from tollbook.identity.claims import Mechanism
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS
from tollbook.sdk.given import FieldValue, Given, given
from tollbook.sdk.held import NOBODY, Deferred, context_with, current, held, known_now
from tollbook.sdk.spans import SPAN_KEY, LiveSpan, RemoteSpan, SpanPlan
from tollbook.sdk.stepping import scoped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

F = TypeVar("F", bound="Callable[..., Any]")

_numbers = itertools.count()


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
        context = self._extended(context_with(known, now, outside))
        span = None if self._span is None else LiveSpan(self._span)
        if self._parent is not None or self._is_root:
            context = set_value(SPAN_KEY, self._parent, context)
        if span is not None:
            context = span.begin(context)
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


class AgentRunScope(Scope):
    """A run whose id is made when it begins, unless it is part of another run."""

    def _held(self) -> Identity | Deferred:
        outside = super()._held()
        if known_now(outside).agent_run_id is not None:
            return outside
        return _within(outside, Given({"agent_run_id": f"run-{ids.new_id().hex()}"}))
