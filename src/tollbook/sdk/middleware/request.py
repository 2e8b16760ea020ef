"""The owner of one request, as any web framework's middleware finds it out."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace
from opentelemetry.context import create_key, get_value, set_value

from tollbook import ids
from tollbook.call import IDENTITY_FIELDS, Identity, SpanKind
from tollbook.identity.claims import Mechanism
from tollbook.identity.headers import claims_from_headers
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS, as_id
from tollbook.sdk.context import NOBODY, Scope, asked_as_nobody
from tollbook.sdk.given import Given, given, given_names, id_text, log_once
from tollbook.sdk.propagation.carrier import owner_of, remote_span
from tollbook.sdk.spans import SpanPlan

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context

    from tollbook.sdk.given import FieldValue

Owner = str | Identity | Mapping[str, Any] | None
"""A tenant's id; an identity; or fields by name (``tenant``, ``user``, ``feature`` ...; other names
are tags). None: not known, or not yet."""
TenantOf = Callable[[Any], Owner | Awaitable[Owner]]
"""The application's own answer to whose request this is."""

_KEY: Final = create_key("tollbook-request")
_NO_REQUEST: Final = "identify() was called outside of a request; is the middleware installed?"


class RequestIdentity:
    """Whose request is being worked on; found out when a call is made, if not before.

    What :func:`identify` was told counts before the answer of ``tenant_of``, and that before what
    trusted headers say.
    """

    __slots__ = ("_ask", "_known", "_raised", "_route")

    def __init__(
        self,
        inbound: Identity,
        ask: Callable[[], object] | None,
        route: Callable[[], str | None] | None,
    ) -> None:
        self._known = inbound
        self._ask = ask
        self._route = route
        self._raised: list[str] = []

    def resolve(self) -> Identity:
        """Return what is known now; asks again as long as there is no answer."""
        if self._ask is not None:
            try:
                self.answer(asked_as_nobody(self._ask))
            except Exception as error:  # noqa: BLE001 -- the application's own code; it must not break the request
                self._raised = [*self._raised[-1:], type(error).__name__]
        if self._route is not None and (name := self._route()):
            self._route = None
            if self._known.feature is None:
                self._set(given({"feature": name}, {}))
        return self._known

    def complain(self) -> None:
        """Say that ``tenant_of`` never answered, though work was done; at the end of a request."""
        # It is asked at the start too, when an authentication that comes later has not run yet.
        if self._ask is not None and len(self._raised) > 1:
            log_once(f"tenant_of raised {self._raised[-1]} when a request was worked on")

    def answer(self, owner: object) -> None:
        """Take what ``tenant_of`` said; nothing is no answer, and it will be asked again."""
        if inspect.isawaitable(owner):
            if inspect.iscoroutine(owner):
                owner.close()
            log_once("tenant_of is asynchronous where only a plain function can be asked")
            self._ask = None
            return
        said = _said(owner)
        if said is None:
            return
        self._ask = None
        self._set(said)

    def identify(self, more: Given) -> None:
        """Take what the application said of its own accord."""
        if more.fields.get("tenant_id") is not None:
            self._ask = None
        self._set(more)

    def _set(self, more: Given) -> None:
        for problem in more.problems:
            log_once(problem)
        known = self._known
        sources = known.sources | dict.fromkeys(more.fields, Mechanism.SDK.value)
        tags = dict(list((known.tags | more.tags).items())[:MAX_TAGS])
        problems = (known.problems + more.problems)[:MAX_PROBLEMS]
        self._known = replace(known, **more.fields, tags=tags, sources=sources, problems=problems)


def _said(owner: object) -> Given | None:
    if owner is None or owner == "":
        return None
    if isinstance(owner, Identity):
        fields = {name: getattr(owner, name) for name in IDENTITY_FIELDS}
        return given(fields, owner.tags)
    if isinstance(owner, Mapping):
        return given_names(owner) if owner else None
    text = id_text(owner)
    if text is None:
        return Given({"tenant_id": None}, {}, (f"tenant_of gave a {type(owner).__name__}",))
    return given({"tenant_id": text}, {})


class Edge(NamedTuple):
    """How a service takes requests: the settings that every middleware has."""

    tenant_of: TenantOf | None = None
    """Asked with the framework's request; see :data:`Owner` for what it may answer."""
    trust_inbound: bool = False
    """Believe the identity and trace headers of requests: True behind a service that set them,
    False at the edge, where anybody can write them."""
    request_id_header: str | None = "x-request-id"
    """Header that names the request; one without it gets an id. None: no request id."""
    route_as_feature: bool = False
    """The route's name is the feature, where nothing else names one."""
    origin: str | None = "user"
    """What causes requests that do not say so."""

    def begin(
        self,
        headers: list[tuple[bytes, bytes]],
        ask: Callable[[], object] | None,
        route: Callable[[], str | None],
        name: Callable[[], str],
    ) -> RequestScope:
        """Return the scope of one request.

        Args:
            headers: names in lower case.
            ask: calls ``tenant_of`` with the request; None if that was, or will be, done otherwise.
            route: returns the name of the route once it is known.
            name: returns that of the request in the tree of a run; not its path, which may hold
                secrets and is different each time.
        """
        inbound = owner_of(claims_from_headers(headers)) if self.trust_inbound else NOBODY
        defaults: dict[str, FieldValue] = {}
        if inbound.request_id is None and self.request_id_header is not None:
            defaults["request_id"] = _request_id(headers, self.request_id_header.lower().encode())
        if inbound.request_origin is None:
            defaults["request_origin"] = self.origin
        known = RequestIdentity(inbound, ask, route if self.route_as_feature else None)
        known.identify(given(defaults, {}))
        parent = remote_span(headers) if self.trust_inbound else None
        plan = SpanPlan(SpanKind.WORKFLOW, name, is_told_unused=False)
        return RequestScope(whole=known, span=plan, parent=parent)


class RequestScope(Scope):
    """The scope of a request, in which :func:`identify` finds it."""

    @property
    def known(self) -> RequestIdentity:
        """The request's identity."""
        assert isinstance(self._whole, RequestIdentity)
        return self._whole

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        self.known.complain()
        super().__exit__(kind, error, where)

    def _extended(self, context: Context) -> Context:
        return set_value(_KEY, self._whole, context)


def is_async(function: object) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 -- an object with a coroutine method
    )


async def asked(tenant_of: TenantOf, request: Any) -> Owner:
    """Return the answer of ``tenant_of``, asynchronous or not; None where it raised."""
    try:
        answer = tenant_of(request)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:  # noqa: BLE001 -- the application's own code; it must not break the request
        log_once(f"tenant_of raised {type(error).__name__}; the request has no tenant yet")
        return None


def _request_id(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            text = as_id(value.decode("latin-1"))
            if text is not None:
                return text
    return ids.to_text(ids.new_id())


def identify_as(owner: Owner) -> None:
    """Say whose request is being worked on, as ``tenant_of`` would."""
    known = get_value(_KEY)
    if isinstance(known, RequestIdentity):
        known.answer(owner)
    else:
        log_once(_NO_REQUEST)


def identify(
    tenant: FieldValue = None, *, user: FieldValue = None, team: FieldValue = None,
    cost_center: FieldValue = None, feature: FieldValue = None, environment: FieldValue = None,
    tags: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Say whose request is being worked on, from within: a dependency, a view, an auth backend.

    It holds for every call from now on, in any thread or task of the request. Outside of a request
    that a middleware of Tollbook has seen it does nothing but say so in the log.
    """
    known = get_value(_KEY)
    if not isinstance(known, RequestIdentity):
        log_once(_NO_REQUEST)
        return
    more = given(
        {
            "tenant_id": tenant, "user_id": user, "team_id": team, "cost_center": cost_center,
            "feature": feature, "environment": environment,
        },
        tags or {},
    )  # fmt: skip
    more.complain()
    known.identify(more)
