"""Identity for any WSGI application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from tollbook.sdk.middleware.request import Edge, RequestScope, TenantOf
from tollbook.sdk.middleware.resume import Resumable, ResumedBody

if TYPE_CHECKING:
    from collections.abc import Mapping

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

ROUTE: Final = "tollbook.route"
"""Key of the environment for the name of the route, where a framework has one."""


class WsgiRequest:
    """A request as ``tenant_of`` sees it: what is in the environment now."""

    __slots__ = ("environ",)

    def __init__(self, environ: Environ) -> None:
        self.environ = environ

    @property
    def headers(self) -> dict[str, str]:
        """Headers by name in lower case."""
        return {name.decode(): value.decode("latin-1") for name, value in headers_of(self.environ)}

    @property
    def path(self) -> str:
        """The path, decoded."""
        return str(self.environ.get("PATH_INFO", ""))

    @property
    def user(self) -> str | None:
        """What the server or an outer middleware has authenticated (``REMOTE_USER``)."""
        return self.environ.get("REMOTE_USER")


class TollbookMiddleware:
    """Gives every call made for a request the identity of who made the request.

    A streamed body has it too: each step is made in the request's scope, and none of it is left
    in the server's thread in between. ``tenant_of`` is asked as in the ASGI middleware.
    """

    def __init__(
        self, app: WsgiApp, tenant_of: TenantOf | None = None, *, trust_inbound: bool = False,
        request_id_header: str | None = "x-request-id", origin: str | None = "user",
    ) -> None:  # fmt: skip
        """Take the application and the settings, which are those of ``Edge``."""
        self.app = app
        self._edge = Edge(tenant_of, trust_inbound, request_id_header, False, origin)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        return serve(self.app, self._scope(environ), environ, start_response)

    def _scope(self, environ: Environ) -> RequestScope:
        tenant_of = self._edge.tenant_of
        request = WsgiRequest(environ)
        ask = None if tenant_of is None else lambda: tenant_of(request)
        return self._edge.begin(list(headers_of(environ)), ask, _no_route, lambda: name_of(environ))


def serve(
    app: WsgiApp, scope: RequestScope, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve a request in a scope that lasts as long as its body."""
    work = Resumable(scope)
    try:
        with work.resumed():
            body = app(environ, start_response)
    except BaseException as error:
        work.end(error)
        raise
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(body, list | tuple) or (isinstance(wrapper, type) and isinstance(body, wrapper)):
        work.end()  # nothing is made later; servers send such bodies in ways of their own
        return body
    return ResumedBody(work, body)


def headers_of(environ: Mapping[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    """Return the headers of a request, names in lower case (PEP 3333)."""
    for name, value in environ.items():
        if name.startswith("HTTP_") and isinstance(value, str):
            yield name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")


def name_of(environ: Mapping[str, Any]) -> str:
    """Return the name of a request in the tree of a run: its method, and its route if known."""
    return f"{environ.get('REQUEST_METHOD', '')} {environ.get(ROUTE, '')}".strip()


def _no_route() -> None:
    return None
