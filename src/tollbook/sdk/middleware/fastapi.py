"""Identity for a FastAPI application, whose authentication is often a dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.sdk.middleware.request import identify_as
from tollbook.sdk.middleware.starlette import TollbookMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TollbookMiddleware", "tenant_from"]


def tenant_from(owner: Callable[..., Any]) -> Any:
    """Return a dependency that takes the tenant from a dependency of the application.

    For ``FastAPI(dependencies=[tenant_from(current_tenant)])``, a router or one route; the
    application needs the middleware too, without ``tenant_of``.

    Args:
        owner: a dependency, plain or asynchronous, with dependencies of its own; what it returns
            is as with ``tenant_of``.
    """
    from fastapi import Depends  # noqa: PLC0415 -- only for who uses it

    async def identified(said: Any = Depends(owner)) -> None:  # noqa: B008 -- FastAPI's way
        identify_as(said)

    # FastAPI reads the annotations, which are text here, in this module's names.
    identified.__annotations__ = {}
    return Depends(identified)
