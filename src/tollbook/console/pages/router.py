"""Routes of the pages: each as HTML, ``.json`` and ``.csv``; what they load; and their forms."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, Router, get
from litestar.params import FromPath  # noqa: TC002 -- read when handlers are made

from tollbook.console.negotiate import read_pairs
from tollbook.console.pages.context import PageContext
from tollbook.console.pages.csrf import token_for
from tollbook.console.pages.deeds import deed_handler
from tollbook.console.pages.page import pages
from tollbook.console.pages.render import Frame, as_csv, as_data, asset, html
from tollbook.console.permit import OPEN, needs, principal_of_request
from tollbook.console.problems import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.pages.context import House
    from tollbook.console.pages.page import Page

_Asked = Request[Any, Any, Any]
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every page: nothing but our own files runs or is loaded, and nobody frames it."""
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_YEAR_S: Final = 31_536_000


def pages_router(house: House, csrf_secret: bytes) -> Router:
    """Return the routes of all pages, on one house."""
    found = pages()
    handlers: list[HTTPRouteHandler] = [
        handler for page in found.values() for handler in _handlers(page, found, house, csrf_secret)
    ]
    handlers += [static, deed_handler(house, found, csrf_secret)]
    return Router("/", route_handlers=handlers, include_in_schema=False)


@get("/static/{name:str}", opt=OPEN, sync_to_thread=True)
def static(name: FromPath[str]) -> Response[bytes]:
    """Send a file that pages load; its URL changes with its content."""
    try:
        content = asset(name)
    except KeyError:
        return problem(HTTPStatus.NOT_FOUND, f"there is no file {name[:64]!r}")
    return Response(
        content, media_type=_TYPES[name.rpartition(".")[2]],
        headers={"cache-control": f"public, max-age={_YEAR_S}, immutable",
                 "x-content-type-options": "nosniff"},
    )  # fmt: skip


def _handlers(
    page: Page, found: Mapping[str, Page], house: House, csrf_secret: bytes
) -> list[HTTPRouteHandler]:
    name = page.path.strip("/").replace("/", "_") or "home"
    opt = needs(page.permit.scope, page.permit)

    def context(request: _Asked) -> PageContext:
        principal = principal_of_request(request)
        pairs = [pair for pair in read_pairs(request) if pair[0] not in ("done", "table")]
        return PageContext(house, principal, page.path, pairs)

    def shown(request: _Asked) -> Response[str]:
        asked = context(request)
        frame = Frame(
            found, asked.principal, page.path, request.url.query,
            token_for(csrf_secret, asked.principal), request.query_params.get("done"), asked,
        )  # fmt: skip
        return Response(html(page.build(asked), frame), media_type="text/html", headers=HEADERS)

    def data(request: _Asked) -> Response[dict[str, Any]]:
        return Response(as_data(page.build(context(request))), headers=HEADERS)

    def csv(request: _Asked) -> Response[str]:
        text = as_csv(page.build(context(request)), request.query_params.get("table"))
        return Response(text, media_type="text/csv", headers=HEADERS)

    base = page.path if page.path != "/" else "/overview"
    return [
        get(page.path, name=f"page_{name}", opt=opt, sync_to_thread=True)(shown),
        get(f"{base}.json", name=f"page_{name}_json", opt=opt, sync_to_thread=True)(data),
        get(f"{base}.csv", name=f"page_{name}_csv", opt=opt, sync_to_thread=True)(csv),
    ]
