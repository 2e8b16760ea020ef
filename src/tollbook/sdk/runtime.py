"""The settings of the SDK in this process, and the sink its calls go to."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any, Final, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from tollbook.sdk.sink import Sink

MissingTenant = Literal["raise", "log", "book"]
MISSING_TENANT: Final[tuple[str, ...]] = get_args(MissingTenant)

logger: Final = logging.getLogger("tollbook")
_first_use: Final = threading.RLock()


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

    def __repr__(self) -> str:
        said = [
            f"{name}={'***' if name == 'gateway_key' and value else repr(value)}"
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        ]
        return f"Runtime({', '.join(said)})"


_current: Runtime | None = None
_FIELDS: Final = frozenset(Runtime.__struct_fields__)


def runtime() -> Runtime:
    """Return what is in force; on first use, what the environment says."""
    current = _current
    return _from_environment() if current is None else current


def _from_environment() -> Runtime:
    global _current  # noqa: PLW0603 -- one per process
    from tollbook.sdk.environ import settings_from  # noqa: PLC0415 -- sinks only where asked for

    with _first_use:
        if _current is None:
            try:
                _current = replace(Runtime(), **settings_from(os.environ))
            except Exception as error:  # noqa: BLE001 -- never fails the application
                logger.warning("settings of the environment are not used: %s", error)
                _current = Runtime()
        return _current


def configure(**settings: Any) -> Runtime:
    """Set what is given, keep the rest, and return the outcome; see :class:`Runtime`.

    What is not given is what the environment says (:mod:`tollbook.sdk.environ`). A sink that is
    replaced still delivers what it holds.

    Raises:
        TypeError: a setting that there is not.
        ValueError: a value of ``missing_tenant`` that there is not.
    """
    global _current  # noqa: PLW0603 -- one per process, as the OpenTelemetry SDK has it
    unknown = sorted(set(settings) - _FIELDS)
    if unknown:
        raise TypeError(f"configure() has no setting {unknown[0]!r}; it has {sorted(_FIELDS)}")
    policy = settings.get("missing_tenant", "book")
    if policy not in MISSING_TENANT:
        raise ValueError(f"missing_tenant={policy!r} is not one of {', '.join(MISSING_TENANT)}")
    if "missing_tenant" not in settings and "environment" in settings:
        settings["missing_tenant"] = default_for(settings["environment"], runtime().missing_tenant)
    _current = replace(runtime(), **settings)
    return _current


def default_for(environment: str, otherwise: MissingTenant) -> MissingTenant:
    """Return what is done without a tenant in an environment that is named and nothing else said.

    Only staging has a default of its own: an error in the log. Raising is for tests, and they ask
    for it (:mod:`tollbook.sdk.pytest_plugin`): an application that is merely called "test" goes
    on.
    """
    return "log" if environment == "staging" and otherwise == "book" else otherwise


def flush(timeout_s: float = 5.0) -> bool:
    """Deliver what waits, for a process that ends without Python's own exit (``os._exit``).

    Returns:
        True when nothing is left, or there is no sink.
    """
    sink = runtime().sink
    try:
        lifetime = sys.modules.get("tollbook.sdk.sinks.lifetime")
        if lifetime is not None:
            lifetime.settle()  # streams that were left half-read, calls that are to be read
        return sink is None or sink.flush(timeout_s)
    except Exception:  # noqa: BLE001 -- metering never fails the application
        return False
