"""Identity on the requests of a ``requests.Session``, to hosts that may know."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

from tollbook.sdk.propagation.carrier import inject

S = TypeVar("S")


def instrument(session: S) -> S:
    """Have a session send identity to hosts that may receive it, and none to any other.

    It stands before the adapters that are mounted now, so after whatever else adds headers, and
    sees every redirect. Calling it again does nothing.

    Args:
        session: a ``requests.Session``.

    Returns:
        The session.
    """
    known: Any = session
    for prefix, adapter in list(known.adapters.items()):
        if not isinstance(adapter, PropagatingAdapter):
            known.mount(prefix, PropagatingAdapter(adapter))
    return session


class PropagatingAdapter:
    """Adds identity, or takes it out, and leaves the rest to the adapter that it stands before."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a prepared request."""
        inject(request.headers, urlsplit(request.url).hostname or "")
        return self._adapter.send(request, *args, **kwargs)

    def close(self) -> None:
        """Close the adapter."""
        self._adapter.close()

    def __getattr__(self, name: str) -> Any:
        if name == "_adapter":  # while being unpickled
            raise AttributeError(name)
        return getattr(self._adapter, name)
