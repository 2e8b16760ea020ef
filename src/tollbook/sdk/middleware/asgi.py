"""Identity for any ASGI application: FastAPI, Starlette, Litestar, Quart, Django ..."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from tollbook.sdk.middleware.request import Edge, RequestScope, TenantOf, asked, is_async
from tollbook.sdk.runtime import flush

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiScope = MutableMapping[str, Any]
AsgiApp = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

_TYPES: Final = frozenset({"http", "websocket"})


class AsgiRequest:
    """A request as ``tenant_of`` sees it: what is in the scope now, later middleware's work too."""

    __slots__ = ("scope",)

    def __init__(self, scope: AsgiScope) -> None:
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        """Headers by name in lower case; of several with one name the first."""
        found: dict[str, str] = {}
        for name, value in self.scope["headers"]:
            found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        return found

    @property
    def path(self) -> str:
        """The path, decoded."""
        return str(self.scope["path"])

    @property
    def user(self) -> Any:
        """What an authentication middleware has put there; None before it has."""
        return self.scope.get("user")

    @property
    def session(self) -> Any:
        """The session; None before its middleware has run."""
        return self.scope.get("session")

    @property
    def state(self) -> _State:
        """The request's state, by attribute; AttributeError for what nobody set."""
        return _State(self.scope.get("state") or {})


class _State:
    __slots__ = ("_values",)

    def __init__(self, values: MutableMapping[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None


def _delivering(send: Send) -> Send:
    """Have what waits delivered before a server hears that the application has shut down.

    Servers may end by the signal that stopped them (uvicorn does), so without Python's own exit.
    """

    async def told(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            flush()
        await send(message)

    return told


class TollbookMiddleware:
    """Gives every call made for a request the identity of who made the request.

    What is made for the request has it too: streamed bodies, background tasks, threads that
    ``asyncio.to_thread`` starts. A plain ``tenant_of`` is asked when the request comes in and, as
    long as it answers None or raises, again whenever a call is made: so it may read what an
    authentication that runs later has put into ``request.state`` or ``request.user``. An
    asynchronous one is asked once, when the request comes in; later there is
    :func:`tollbook.sdk.middleware.identify`.
    """

    def __init__(
        self, app: AsgiApp, tenant_of: TenantOf | None = None, *, trust_inbound: bool = False,
        request_id_header: str | None = "x-request-id", route_as_feature: bool = False,
        origin: str | None = "user",
    ) -> None:  # fmt: skip
        """Take the application and the settings, which are those of ``Edge``."""
        self.app = app
        self._edge = Edge(tenant_of, trust_inbound, request_id_header, route_as_feature, origin)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] not in _TYPES:
            await self.app(scope, receive, _delivering(send))
            return
        with await self._begin(scope):
            await self.app(scope, receive, send)

    def _request(self, scope: AsgiScope) -> Any:
        """Return what ``tenant_of`` is called with."""
        return AsgiRequest(scope)

    async def _begin(self, scope: AsgiScope) -> RequestScope:
        headers = [(name.lower(), value) for name, value in scope["headers"]]

        def name() -> str:
            return f"{scope.get('method', 'WEBSOCKET')} {_route_name(scope) or ''}".strip()

        tenant_of = self._edge.tenant_of
        if tenant_of is None:
            return self._edge.begin(headers, None, lambda: _route_name(scope), name)
        request = self._request(scope)
        if not is_async(tenant_of):
            return self._edge.begin(
                headers, lambda: tenant_of(request), lambda: _route_name(scope), name
            )
        begun = self._edge.begin(headers, None, lambda: _route_name(scope), name)
        begun.known.answer(await asked(tenant_of, request))
        return begun


def _route_name(scope: AsgiScope) -> str | None:
    """Return the name of the route, which the router puts into the scope when it has found it."""
    name = getattr(scope.get("route"), "name", None)
    if isinstance(name, str) and name:
        return name
    name = getattr(scope.get("endpoint"), "__name__", None)
    return name if isinstance(name, str) else None
