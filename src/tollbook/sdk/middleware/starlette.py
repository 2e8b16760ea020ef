"""Identity for a Starlette application; ``tenant_of`` gets a ``starlette.requests`` object."""

from __future__ import annotations

from typing import Any

from tollbook.sdk.middleware.asgi import AsgiScope
from tollbook.sdk.middleware.asgi import TollbookMiddleware as AsgiMiddleware


class TollbookMiddleware(AsgiMiddleware):
    """The ASGI middleware, for ``app.add_middleware(TollbookMiddleware, tenant_of=...)``.

    ``tenant_of`` is asked with a ``starlette.requests.HTTPConnection``, which has ``headers``,
    ``cookies``, ``session``, ``state``, ``user``, ``path_params`` of requests and WebSockets.
    """

    def _request(self, scope: AsgiScope) -> Any:
        from starlette.requests import HTTPConnection  # noqa: PLC0415 -- only for who uses it

        return HTTPConnection(scope)
