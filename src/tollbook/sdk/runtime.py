"""The settings of the SDK in this process, and the sink its calls go to."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from tollbook.sdk.sink import Sink

MissingTenant = Literal["raise", "log", "book"]


class Runtime(Struct, frozen=True, kw_only=True):
    """What :func:`configure` has set."""

    gateway: str | None = None
    """Base address of a Tollbook gateway (``http://127.0.0.1:8080``): calls go through it."""
    gateway_key: str | None = None
    """Virtual key that stands in for the provider's own at the gateway."""
    sink: Sink | None = None
    """Where calls that do not go through a gateway are told of; None: nowhere."""
    environment: str = "production"
    missing_tenant: MissingTenant = "book"
    """``raise`` (tests), ``log`` an error (staging), or only ``book`` to unknown (production)."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts beside the gateway that may receive identity; ``.example.com`` for its subdomains."""


_current: Runtime = Runtime()
_FIELDS: Final = frozenset(Runtime.__struct_fields__)


def runtime() -> Runtime:
    """Return what is in force."""
    return _current


def configure(**settings: Any) -> Runtime:
    """Set what is given, keep the rest, and return the outcome; see :class:`Runtime`.

    Raises:
        TypeError: a setting that there is not.
    """
    global _current  # noqa: PLW0603 -- one per process, as the OpenTelemetry SDK has it
    unknown = sorted(set(settings) - _FIELDS)
    if unknown:
        raise TypeError(f"configure() has no setting {unknown[0]!r}; it has {sorted(_FIELDS)}")
    _current = replace(_current, **settings)
    return _current
