"""Routes of the pages: each as HTML, ``.json`` and ``.csv``; what they load; and their forms."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath  # noqa: TC002 -- read when handlers are made
from litestar.response import Redirect

from tollbook.console.negotiate import read_pairs
from tollbook.console.pages.context import PageContext
from tollbook.console.pages.csrf import token_for
from tollbook.console.pages.deeds import deed_handler
from tollbook.console.pages.packing import packed, takes_gzip
from tollbook.console.pages.page import pages
from tollbook.console.pages.render import Frame, as_csv, as_data, asset, asset_gzip, html
from tollbook.console.permit import OPEN, needs, principal_of_request
from tollbook.console.problems import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.pages.context import House
    from tollbook.console.pages.page import Page
    from tollbook.console.pages.remembered import Views
    from tollbook.reports.params import Pairs

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
_FILTER_FORM: Final = ("filter", "is", "value")


def pages_router(house: House, csrf_secret: bytes, views: Views) -> Router:
    """Return the routes of all pages, on one house."""
    found = pages()
    handlers: list[HTTPRouteHandler] = [
        handler
        for page in found.values()
        for handler in _handlers(page, found, house, csrf_secret, views)
    ]
    handlers += [static, deed_handler(house, found, csrf_secret)]
    return Router("/", route_handlers=handlers, include_in_schema=False)


@get("/static/{name:str}", opt=OPEN, sync_to_thread=True)
def static(request: _Asked, name: FromPath[str]) -> Response[bytes]:
    """Send a file that pages load; its URL changes with its content."""
    is_small = takes_gzip(request)
    try:
        content = asset_gzip(name) if is_small else asset(name)
    except KeyError:
        return problem(HTTPStatus.NOT_FOUND, f"there is no file {name[:64]!r}")
    return Response(
        content, media_type=_TYPES[name.rpartition(".")[2]],
        headers={"cache-control": f"public, max-age={_YEAR_S}, immutable",
                 "vary": "accept-encoding", "x-content-type-options": "nosniff"}
        | ({"content-encoding": "gzip"} if is_small else {}),
    )  # fmt: skip


def tidied(pairs: Pairs) -> Pairs:
    """Return the pairs of a page's own URL for those of its forms.

    Without empty fields, and with the filter of the filter form as a filter:
    ``filter=tenant&is=not&value=acme`` is ``where=tenant!=acme``.
    """
    form = {name: value for name, value in pairs if name in _FILTER_FORM}
    kept = [(name, value) for name, value in pairs if value and name not in _FILTER_FORM]
    dimension, value = form.get("filter", ""), form.get("value", "").strip()
    if dimension == "tag":
        tag, _, value = value.partition("=")
        dimension = f"tag:{tag.strip()}" if tag else ""
    if dimension and (value or form.get("is") == "unset"):
        sign = "!=" if form.get("is") == "not" else "="
        text = "" if form.get("is") == "unset" else value
        pair = ("where", f"{dimension}{sign}{text}")
        kept += [] if pair in kept else [pair]
    return kept


def _handlers(
    page: Page, found: Mapping[str, Page], house: House, csrf_secret: bytes, views: Views
) -> list[HTTPRouteHandler]:
    name = page.path.strip("/").replace("/", "_") or "home"
    opt = needs(page.permit.scope, page.permit)

    def context(request: _Asked, wanted: Literal["html", "json", "csv"] = "html") -> PageContext:
        principal = principal_of_request(request)
        pairs = [pair for pair in read_pairs(request) if pair[0] not in ("done", "table")]
        return PageContext(house, principal, page.path, pairs, wanted)

    def shown(request: _Asked) -> Response[bytes] | Redirect:
        asked = context(request)
        clean = tidied(asked.pairs)
        if clean != asked.pairs:
            done = request.query_params.get("done")
            query = urlencode([*clean, *([("done", done)] if done else [])])
            return Redirect(f"{page.path}?{query}" if query else page.path, status_code=303)
        frame = Frame(
            found, asked.principal, page.path, request.url.query,
            token_for(csrf_secret, asked.principal), request.query_params.get("done"), asked,
        )  # fmt: skip
        return packed(request, html(views.of(page, asked), frame), "text/html", HEADERS)

    def data(request: _Asked) -> Response[bytes]:
        found = as_data(views.of(page, context(request, "json")))
        return packed(request, msgspec.json.encode(found), "application/json", HEADERS)

    def csv(request: _Asked) -> Response[bytes]:
        text = as_csv(views.of(page, context(request, "csv")), request.query_params.get("table"))
        return packed(request, text, "text/csv", HEADERS)

    base = page.path if page.path != "/" else "/overview"
    return [
        get(page.path, name=f"page_{name}", opt=opt, sync_to_thread=True)(shown),
        get(f"{base}.json", name=f"page_{name}_json", opt=opt, sync_to_thread=True)(data),
        get(f"{base}.csv", name=f"page_{name}_csv", opt=opt, sync_to_thread=True)(csv),
    ]
