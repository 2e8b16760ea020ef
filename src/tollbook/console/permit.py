"""Every route names the permit that it needs; one that does not is closed to all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar.exceptions import PermissionDeniedException

from tollbook.desk.permits import Permit, Principal, Scope

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

_PERMIT: Final = "permit"
OPEN: Final = {_PERMIT: None}
"""Options of a route that needs nobody to have signed in."""


def needs(scope: Scope, permit: Permit | None = None) -> dict[str, Any]:
    """Return the options of a route: ``get("/spend", opt=needs(Scope.SPEND))``.

    Args:
        scope: what is looked at.
        permit: where looking is not all.
    """
    return {_PERMIT: permit or Permit(scope)}


def principal_of_request(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Return who stands behind a request that has passed the gate."""
    found = connection.scope.get("user")
    assert isinstance(found, Principal), "the gate lets nobody else through"
    return found


def check_permit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse whoever does not hold the permit of a route; a guard of the whole application.

    Raises:
        PermissionDeniedException: it is not held, or the route names none.
    """
    if _PERMIT not in handler.opt:
        raise PermissionDeniedException("this route is closed; that is a defect of Tollbook")
    permit: Permit | None = handler.opt[_PERMIT]
    if permit is not None and not principal_of_request(connection).may(permit):
        raise PermissionDeniedException(f"this needs the permit {permit}; ask an owner for it")
