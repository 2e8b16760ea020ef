"""Whose portal a request opens: by its token, or because a tenant's account has signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.console.bearer import bearer_token
from tollbook.console.portal.errors import PortalTokenError
from tollbook.console.portal.parts import ALL, Part
from tollbook.console.portal.settings import settings_of
from tollbook.console.portal.tenant import TenantAnswers
from tollbook.console.portal.tokens import verify
from tollbook.desk.permits import Permit, Principal, Scope

if TYPE_CHECKING:
    from litestar import Request

    from tollbook.console.portal.settings import PortalSettings
    from tollbook.console.portal.tenant.statements import ClosedTotals
    from tollbook.desk import Desk

QUERY_NAME: Final = "token"
"""Of the token in URLs."""


class Caller(NamedTuple):
    """One tenant, and what it may see."""

    answers: TenantAnswers
    settings: PortalSettings
    token: str | None
    """As it was in the URL, for the links of the page; None: it was not."""


def caller_of(request: Request[Any, Any, Any], desk: Desk, totals: ClosedTotals) -> Caller:
    """Return whose portal a request opens.

    Raises:
        PortalTokenError: nobody's.
        BooksError: the books cannot be read.
    """
    in_url = request.query_params.getall(QUERY_NAME, [])
    in_header = bearer_token(request.scope)
    principal = request.scope.get("user")
    if len(in_url) > 1 or (in_url and in_header and in_url[0] != in_header):
        raise PortalTokenError("is given twice")
    given = in_url[0] if in_url else in_header
    # An account and a token are not added up: the token says whose portal it is.
    if given and not (not in_url and isinstance(principal, Principal)):
        claims = verify(desk.books, given)
        return _caller(desk, totals, claims.sub, frozenset(claims.parts),
                       given if in_url else None)  # fmt: skip
    if (
        isinstance(principal, Principal)
        and principal.tenant is not None
        and principal.may(Permit(Scope.PORTAL))
    ):
        return _caller(desk, totals, principal.tenant, ALL, None)
    raise PortalTokenError("is missing")


def _caller(
    desk: Desk, totals: ClosedTotals, tenant: str, parts: frozenset[Part], token: str | None
) -> Caller:
    settings = settings_of(desk.books, tenant)
    answers = TenantAnswers(
        desk, tenant, parts & set(settings.parts), shows_cost=settings.shows_cost, totals=totals
    )
    return Caller(answers, settings, token)
