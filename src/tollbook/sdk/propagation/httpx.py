"""Identity on the requests of httpx and httpx2 clients, to hosts that may know."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from tollbook.sdk.propagation.carrier import inject

C = TypeVar("C")


def instrument(client: C) -> C:
    """Have a client send identity to hosts that may receive it, and none to any other.

    The hook runs for every redirect too, so that what was meant for one host is taken out again
    when another is asked. Calling it again does nothing.

    Args:
        client: ``httpx.Client``, ``httpx.AsyncClient`` or those of httpx2.

    Returns:
        The client.
    """
    known: Any = client
    hooks = known.event_hooks["request"]
    hook = _on_request_async if inspect.iscoroutinefunction(known.send) else _on_request
    if hook not in hooks:
        hooks.append(hook)
    return client


def _on_request(request: Any) -> None:
    inject(request.headers, request.url.host)


async def _on_request_async(request: Any) -> None:
    inject(request.headers, request.url.host)
