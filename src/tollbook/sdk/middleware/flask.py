"""Identity for a Flask application."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import attach

from tollbook.sdk.context import current, held, with_identity
from tollbook.sdk.middleware.request import Edge, RequestScope, TenantOf
from tollbook.sdk.middleware.wsgi import ROUTE, Environ, StartResponse, headers_of, name_of, serve


class Tollbook:
    """The Flask extension: ``Tollbook(app, tenant_of=...)`` or ``init_app``.

    ``tenant_of`` is asked with ``flask.request``: before the view, after that as long as it
    answers None or raises, whenever a call is made. So it may read what an authentication has put
    into ``flask.g`` or ``flask_login.current_user``. Streamed bodies have the identity too, with
    ``stream_with_context`` and without.
    """

    def __init__(
        self, app: Any = None, tenant_of: TenantOf | None = None, *, trust_inbound: bool = False,
        request_id_header: str | None = "x-request-id", route_as_feature: bool = False,
        origin: str | None = "user",
    ) -> None:  # fmt: skip
        """Take the application and the settings, which are those of ``Edge``."""
        self._edge = Edge(tenant_of, trust_inbound, request_id_header, route_as_feature, origin)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> None:
        """Stand before an application."""
        inner = app.wsgi_app

        def wsgi_app(environ: Environ, start_response: StartResponse) -> Any:
            return serve(inner, self._scope(environ), environ, start_response)

        app.wsgi_app = wsgi_app
        app.extensions["tollbook"] = self
        app.before_request(_into_baggage)
        app.after_request(_before_streaming)

    def _scope(self, environ: Environ) -> RequestScope:
        ask = None if self._edge.tenant_of is None else self._ask
        return self._edge.begin(list(headers_of(environ)), ask, _endpoint, lambda: name_of(environ))

    def _ask(self) -> object:
        from flask import has_request_context, request  # noqa: PLC0415 -- only for who uses it

        assert self._edge.tenant_of is not None
        return self._edge.tenant_of(request) if has_request_context() else None


def _endpoint() -> str | None:
    from flask import has_request_context, request  # noqa: PLC0415 -- only for who uses it

    return request.endpoint if has_request_context() else None


def _into_baggage() -> None:
    """Find out who it is now that Flask has a request, for OpenTelemetry's baggage to have it."""
    attach(with_identity(held()))  # the scope of the request, which is outside, takes it back


def _before_streaming(response: Any) -> Any:
    from flask import request  # noqa: PLC0415 -- only for who uses it

    request.environ[ROUTE] = request.endpoint or ""
    if response.is_streamed:
        current()  # asks a last time: a generator may run when flask.request is gone
    return response
