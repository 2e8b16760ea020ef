"""Routes of the portal: the page, its files, and its API, all below ``/portal/``.

No route asks for a permit of the console, since none shows anything of it: each finds out whose
portal it is and answers from :class:`TenantAnswers`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, Router, get
from litestar.params import FromPath, FromQuery

from tollbook.console.negotiate import read_pairs
from tollbook.console.permit import OPEN
from tollbook.console.portal.caller import QUERY_NAME, Caller, caller_of
from tollbook.console.portal.errors import PartClosedError, PortalTokenError
from tollbook.console.portal.page import closed_page, page, policy
from tollbook.console.portal.tenant.statements import ClosedTotals
from tollbook.console.problems import problem
from tollbook.reports.errors import QueryError
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.portal.tenant.statements import StatementFile
    from tollbook.desk import Desk
    from tollbook.reports.params import Pairs

_Asked = Request[Any, Any, Any]
_Text = FromQuery[str | None]
_Texts = FromQuery[list[str] | None]
_API: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer",
               "x-content-type-options": "nosniff"}  # fmt: skip
_TYPES: Final = {"css": "text/css", "js": "text/javascript"}
_ASSETS: Final = ("portal.css", "portal.js")
_YEAR_S: Final = 31_536_000
_Find = Callable[[_Asked], Caller]
_CHALLENGE: Final = {"www-authenticate": 'Bearer realm="tollbook portal"'}


@lru_cache(maxsize=4)
def asset(name: str) -> bytes:
    """Return a file that the page loads.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in _ASSETS:
        raise KeyError(name)
    return (files("tollbook.console.portal") / "static" / name).read_bytes()


def asset_url(name: str) -> str:
    """Return the URL of a file that the page loads; it changes with its content."""
    return f"/portal/static/{name}?v={sha256(asset(name)).hexdigest()[:12]}"


def asked_pairs(request: _Asked, also: tuple[str, ...] = ()) -> Pairs:
    """Return the pairs of a request's query without the token and what the page itself reads."""
    return [pair for pair in read_pairs(request) if pair[0] not in (QUERY_NAME, *also)]


def portal_router(desk: Desk) -> Router:
    """Return the routes of the portal, on a desk whose reader has a limit of time for a page."""
    desk, totals = desk._replace(writer=None), ClosedTotals()

    def find(request: _Asked) -> Caller:
        return caller_of(request, desk, totals)

    return Router(
        "/portal", tags=["portal"], security=[{"portal": []}],
        # Litestar answers /portal as it does /portal/.
        route_handlers=[*_page_handlers(find), *_spend_handlers(find), *_other_handlers(find)],
        exception_handlers={PortalTokenError: _unauthorised, PartClosedError: _closed},
    )  # fmt: skip


def _page_handlers(find: _Find) -> list[HTTPRouteHandler]:
    @get("/", opt=OPEN, sync_to_thread=True, include_in_schema=False)
    def shown(request: _Asked) -> Response[str]:
        try:
            found = find(request)
        except PortalTokenError as error:
            return Response(
                closed_page(error.message, asset_url), media_type="text/html",
                status_code=HTTPStatus.UNAUTHORIZED,
                headers=policy(None) | _CHALLENGE,
            )  # fmt: skip
        return Response(
            page(found, asked_pairs(request), asset_url), media_type="text/html",
            headers=policy(found.settings),
        )  # fmt: skip

    @get("/static/{name:str}", opt=OPEN, sync_to_thread=True, include_in_schema=False)
    def static(name: FromPath[str]) -> Response[bytes]:
        try:
            content = asset(name)
        except KeyError:
            return problem(HTTPStatus.NOT_FOUND, f"there is no file {name[:64]!r}")
        caching = {"cache-control": f"public, max-age={_YEAR_S}, immutable"}
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]],
                        headers=_API | caching)  # fmt: skip

    return [shown, static]


def _spend_handlers(find: _Find) -> list[HTTPRouteHandler]:
    @get("/api/usage", opt=OPEN, sync_to_thread=True)
    def usage(
        request: _Asked, since: _Text = None, until: _Text = None, period: _Text = None,
        tz: _Text = None, by: _Text = None, where: _Texts = None, order: _Text = None,
        limit: _Text = None, billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[dict[str, Any]]:  # fmt: skip
        """Return the tenant's calls and tokens by day, feature, model, user and other names."""
        del since, until, period, tz, by, where, order, limit, billing_period
        one = find(request)
        answer = one.answers.usage(asked_pairs(request), tz=one.settings.timezone)
        return _table(answer, format)

    @get("/api/billed", opt=OPEN, sync_to_thread=True)
    def billed(
        request: _Asked, since: _Text = None, until: _Text = None, period: _Text = None,
        tz: _Text = None, by: _Text = None, where: _Texts = None, order: _Text = None,
        limit: _Text = None, billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[dict[str, Any]]:  # fmt: skip
        """Return what the tenant is charged."""
        del since, until, period, tz, by, where, order, limit, billing_period
        one = find(request)
        answer = one.answers.billed(asked_pairs(request), tz=one.settings.timezone)
        return _table(answer, format)

    return [usage, billed]


def _other_handlers(find: _Find) -> list[HTTPRouteHandler]:
    @get("/api/budgets", opt=OPEN, sync_to_thread=True)
    def budgets(request: _Asked) -> Response[dict[str, Any]]:
        """Return the tenant's own budgets: limit, what is left, and when they begin anew."""
        return Response(find(request).answers.budgets(), headers=_API)

    @get("/api/statements", opt=OPEN, sync_to_thread=True)
    def statements(request: _Asked) -> Response[dict[str, Any]]:
        """Return the tenant's past months, newest first."""
        return Response(find(request).answers.statements(), headers=_API)

    @get("/api/statement", opt=OPEN, sync_to_thread=True)
    def statement(
        request: _Asked, period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[bytes]:  # fmt: skip
        """Return one past month as a file: ``format=pdf`` or ``csv``."""
        found: StatementFile = find(request).answers.statement_file(period or "", format or "pdf")
        sent_as = {"content-disposition": f'attachment; filename="{found.name}"'}
        return Response(found.content, media_type=found.media_type, headers=_API | sent_as)

    @get("/api/projection", opt=OPEN, sync_to_thread=True)
    def projection(request: _Asked) -> Response[dict[str, Any]]:
        """Return what the running month may come to; an estimate."""
        return Response(find(request).answers.projection(), headers=_API)

    return [budgets, statements, statement, projection]


def _table(answer: dict[str, Any], wanted: str | None) -> Response[Any]:
    if wanted in (None, "json"):
        return Response(answer, headers=_API)
    if wanted != "csv":
        raise QueryError("--format", f"{wanted[:64]!r} is not one of json, csv")
    rows = answer["rows"]
    text = csv_text(rows, column_names(rows, answer["by"]))
    return Response(text, media_type="text/csv", headers=_API)


def _unauthorised(_request: _Asked, error: Exception) -> Response[bytes]:
    assert isinstance(error, PortalTokenError)
    return problem(HTTPStatus.UNAUTHORIZED, error.message, headers=_API | _CHALLENGE)


def _closed(_request: _Asked, error: Exception) -> Response[bytes]:
    assert isinstance(error, PartClosedError)
    return problem(HTTPStatus.FORBIDDEN, error.message, headers=_API)
