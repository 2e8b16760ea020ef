"""Identity for a Django project: ``tollbook.sdk.middleware.django.TollbookMiddleware``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.sdk.middleware.request import Edge, RequestScope, asked, is_async
from tollbook.sdk.middleware.resume import Resumable, ResumedBody, resumed_steps

if TYPE_CHECKING:
    from collections.abc import Callable


class TollbookMiddleware:
    """Gives every call made for a request the identity of who made the request.

    To stand after ``AuthenticationMiddleware``, under WSGI and ASGI. Settings:
    ``TOLLBOOK_TENANT_OF`` (a function of the request, or its dotted name),
    ``TOLLBOOK_TRUST_INBOUND``,
    ``TOLLBOOK_REQUEST_ID_HEADER``, ``TOLLBOOK_ROUTE_AS_FEATURE``, ``TOLLBOOK_ORIGIN``, as in
    ``Edge``. Under ASGI a plain function is asked in Django's thread for synchronous code, so that
    it may use the database. Streamed answers have the identity too.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction  # noqa: PLC0415
        from django.conf import settings  # noqa: PLC0415 -- only for who uses it
        from django.utils.module_loading import import_string  # noqa: PLC0415

        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        tenant_of: Any = getattr(settings, "TOLLBOOK_TENANT_OF", None)
        self._edge = Edge(
            import_string(tenant_of) if isinstance(tenant_of, str) else tenant_of,
            getattr(settings, "TOLLBOOK_TRUST_INBOUND", False),
            getattr(settings, "TOLLBOOK_REQUEST_ID_HEADER", "x-request-id"),
            getattr(settings, "TOLLBOOK_ROUTE_AS_FEATURE", False),
            getattr(settings, "TOLLBOOK_ORIGIN", "user"),
        )

    def __call__(self, request: Any) -> Any:
        """Serve a request."""
        if self._is_async:
            return self._serve(request)
        tenant_of = self._edge.tenant_of
        ask = None if tenant_of is None else lambda: tenant_of(request)
        work = Resumable(self._scope(request, ask))
        try:
            with work.resumed():
                response = self._get_response(request)
        except BaseException as error:
            work.end(error)
            raise
        return _streaming(response, work)

    async def _serve(self, request: Any) -> Any:
        scope = self._scope(request, None)
        tenant_of = self._edge.tenant_of
        if tenant_of is not None:
            from asgiref.sync import sync_to_async  # noqa: PLC0415 -- only for who uses it

            function: Any = tenant_of if is_async(tenant_of) else sync_to_async(tenant_of)
            scope.known.answer(await asked(function, request))
        work = Resumable(scope)
        try:
            with work.resumed():
                response = await self._get_response(request)
        except BaseException as error:
            work.end(error)
            raise
        return _streaming(response, work)

    def _scope(self, request: Any, ask: Callable[[], object] | None) -> RequestScope:
        headers = [
            (name.lower().encode("latin-1"), value.encode("utf-8", "replace"))
            for name, value in request.headers.items()
        ]

        def route() -> str | None:
            match = request.resolver_match
            return None if match is None else match.view_name or match.route

        def name() -> str:
            return f"{request.method} {route() or ''}".strip()

        return self._edge.begin(headers, ask, route, name)


def _streaming(response: Any, work: Resumable) -> Any:
    """Return the response; the scope lasts as long as its body, if that is made bit by bit."""
    if not getattr(response, "streaming", False) or hasattr(response, "file_to_stream"):
        work.end()
    elif response.is_async:
        response.streaming_content = resumed_steps(work, response.streaming_content)
    else:
        response.streaming_content = ResumedBody(work, response.streaming_content)
    return response
