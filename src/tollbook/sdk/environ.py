"""The settings of the SDK that the environment gives, so that code need not.

========================== =====================================================================
``TOLLBOOK_GATEWAY``        base address of a gateway that calls go through
``TOLLBOOK_GATEWAY_KEY``    virtual key for it
``TOLLBOOK_ENDPOINT``       base address of a receiver that calls are sent to
``TOLLBOOK_KEY``            virtual key for it
``TOLLBOOK_SPOOL_DIR``      data directory on this host whose spool calls are written to
``TOLLBOOK_SINK``           ``otel``: spans and metrics through OpenTelemetry; ``none``
``TOLLBOOK_ENVIRONMENT``    ``production``, ``staging``, ``test``, ...
``TOLLBOOK_MISSING_TENANT`` ``raise``, ``log`` or ``book``
``TOLLBOOK_ALLOWED_HOSTS``  hosts that may receive identity, separated by commas
========================== =====================================================================

A value that is none is said once, as a warning in the log, and left out: an application starts
whatever its environment holds.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tollbook.identity.values import as_id
from tollbook.sdk.runtime import MISSING_TENANT, default_for
from tollbook.sdk.sinks.tee import TeeSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.sdk.sink import Sink

logger: Final = logging.getLogger("tollbook")

GATEWAY: Final = "TOLLBOOK_GATEWAY"
GATEWAY_KEY: Final = "TOLLBOOK_GATEWAY_KEY"
ENDPOINT: Final = "TOLLBOOK_ENDPOINT"
KEY: Final = "TOLLBOOK_KEY"
SPOOL_DIR: Final = "TOLLBOOK_SPOOL_DIR"
SINK: Final = "TOLLBOOK_SINK"
ENVIRONMENT: Final = "TOLLBOOK_ENVIRONMENT"
MISSING: Final = "TOLLBOOK_MISSING_TENANT"
ALLOWED_HOSTS: Final = "TOLLBOOK_ALLOWED_HOSTS"

_SINKS: Final = ("otel", "none")
_is_host = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*(:[0-9]{1,5})?|\[[0-9a-f:]+\]").fullmatch


def settings_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the environment gives; bad ones are warned of and left out."""
    found: dict[str, Any] = {}
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    if GATEWAY in given and _is_address(GATEWAY, given[GATEWAY]):
        found["gateway"] = given[GATEWAY]
    if GATEWAY_KEY in given and _is_key(GATEWAY_KEY, given[GATEWAY_KEY]):
        found["gateway_key"] = given[GATEWAY_KEY]
    if ENVIRONMENT in given:
        name = as_id(given[ENVIRONMENT])
        if name is None:
            _warn(ENVIRONMENT, "is no name of an environment, such as production")
        else:
            found["environment"] = name
            found["missing_tenant"] = default_for(name, "book")
    if MISSING in given:
        policy = given[MISSING].lower()
        if policy in MISSING_TENANT:
            found["missing_tenant"] = policy
        else:
            _warn(MISSING, f"is not one of {', '.join(MISSING_TENANT)}")
    if ALLOWED_HOSTS in given:
        found["allowed_hosts"] = _hosts(given[ALLOWED_HOSTS])
    sinks = _sinks(given)
    if sinks:
        found["sink"] = sinks[0] if len(sinks) == 1 else TeeSink(*sinks)
    return found


def _sinks(given: Mapping[str, str]) -> list[Sink]:
    """Make the sinks that are asked for; several are told one after the other."""
    chosen = given.get(SINK, "").lower()
    if chosen == "none":
        return []
    if chosen and chosen not in _SINKS:
        _warn(SINK, f"is not one of {', '.join(_SINKS)}")
    sinks: list[Sink] = []
    if SPOOL_DIR in given:
        from tollbook.sdk.sinks.spool import SpoolSink  # noqa: PLC0415 -- only where asked for

        sinks.append(SpoolSink(given[SPOOL_DIR]))
    if ENDPOINT in given and _is_address(ENDPOINT, given[ENDPOINT]):
        from tollbook.sdk.sinks.tollbook import TollbookSink  # noqa: PLC0415 -- only where asked for

        key = given.get(KEY)
        if key is not None and not _is_key(KEY, key):
            key = None
        sinks.append(TollbookSink(given[ENDPOINT], key))
    if chosen == "otel":
        from tollbook.sdk.sinks.otel import OtelSink  # noqa: PLC0415 -- only where asked for

        sinks.append(OtelSink())
    return sinks


def _is_address(name: str, value: str) -> bool:
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username
        good = good and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        _warn(name, "is no address; expected http://HOST:PORT")
    return good


def _is_key(name: str, value: str) -> bool:
    """Whether a key can stand in a header."""
    good = value.isascii() and value.isprintable() and " " not in value
    if not good:
        _warn(name, "is no key: it holds a space or another character that a header cannot have")
    return good


def _hosts(text: str) -> tuple[str, ...]:
    hosts = []
    for one in text.split(","):
        host = one.strip().lower()
        if not host:
            continue
        if _is_host(host):
            hosts.append(host)
        else:
            _warn(ALLOWED_HOSTS, "holds what is no host; expected api.example.com,.example.com")
    return tuple(hosts)


def _warn(name: str, problem: str) -> None:
    logger.warning("%s %s; it is not used", name, problem)  # its value may be a secret
