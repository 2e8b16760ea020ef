"""Identity on the requests of an ``aiohttp.ClientSession``, to hosts that may know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.sdk.propagation.carrier import inject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def propagate(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    """Add identity to a request for a host that may receive it; take it out for any other.

    A client middleware (aiohttp 3.12 and later): ``ClientSession(middlewares=(propagate,))``. It
    sees every redirect, and comes after what trace configurations add.
    """
    inject(request.headers, request.url.host or "")
    return await handler(request)
