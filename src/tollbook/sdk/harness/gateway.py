"""The way through a Tollbook gateway: its address, its key, and whose call it is, in headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tollbook.identity.write_baggage import write_baggage
from tollbook.sdk.context import current
from tollbook.sdk.harness import faults
from tollbook.sdk.markers import HEADER as LAYERS_HEADER
from tollbook.sdk.markers import marks_in
from tollbook.sdk.missing import check
from tollbook.sdk.runtime import runtime
from tollbook.sdk.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.call import Identity
    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target, Targets
    from tollbook.sdk.runtime import Runtime

_CALL_SITE: Final = "x-tollbook-tag-call_site"


class Rerouted(NamedTuple):
    """A request as the gateway gets it."""

    url: str
    drops: frozenset[str]
    """Headers (lower case) that do not go along."""
    sets: list[tuple[str, str]]
    keys: tuple[str, ...] = ()
    """Which of these hold the gateway's key."""


def goes_through(targets: Targets, options: Options, host: str, port: int | None) -> bool:
    """Whether a request to a host goes through a gateway; a stranger's host stays as it is."""
    gateway = options.gateway or runtime().gateway
    if gateway is None:
        return False
    own = urlsplit(gateway)
    if own.hostname is None or own.scheme not in {"http", "https"}:
        faults.tell_once(
            "gateway",
            "the gateway's address is none, so calls do not go through it; expected http://HOST:PORT",
        )
        return False
    if targets.is_known(host) or (own.hostname, own.port) == (host, port):
        return True
    faults.tell_once(
        f"host {host}",
        "%s is no provider that is known by name: its calls do not go through the gateway;"
        " say wrap(client, provider=...)",
        host,
    )
    return False


def rerouted(
    target: Target, url: str, headers: Iterable[tuple[str, str]], options: Options,
    settings: Runtime, body: bytes | None = None,
) -> Rerouted:  # fmt: skip
    """Return where a request goes and what it says of itself.

    Args:
        target: of the address that the client was made for.
        url: that address, whole.
        headers: as they are, names in lower case.
        options: of the client.
        settings: of the process.
        body: of the request, where it is at hand; texts that are marked are looked for in it.

    Raises:
        MissingTenantError: nobody named a tenant, and the settings ask to be told so.
    """
    gateway = (options.gateway or settings.gateway or "").rstrip("/")
    given = urlsplit(url)
    own = urlsplit(gateway)
    if (given.hostname, given.port, given.scheme) != (own.hostname, own.port, own.scheme):
        path = given.path.removeprefix(target.base_path)
        url = f"{gateway}/{target.provider}{path}" + (f"?{given.query}" if given.query else "")
    known = current()
    site = check(known) if known.tenant_id is None else None
    sets = [("host", own.netloc.rpartition("@")[2])]
    sets += _identity_headers(known, headers, site)
    marks = marks_in(body) if body else None
    if marks is not None:
        sets.append((LAYERS_HEADER, marks))
    drops = {"host", "baggage"}
    key = options.gateway_key or settings.gateway_key
    keys: tuple[str, ...] = ()
    if key:
        dialect = target.dialect
        for name, _ in headers:
            if dialect.is_credential(name.encode("latin-1")):
                drops.add(name)
        secrets = dialect.credential_headers(key)
        sets += [(name.decode("latin-1"), value.decode("latin-1")) for name, value in secrets]
        keys = tuple(name.decode("latin-1") for name, _ in secrets)
    return Rerouted(url, frozenset(drops), sets, keys)


def _identity_headers(
    known: Identity, headers: Iterable[tuple[str, str]], site: str | None
) -> list[tuple[str, str]]:
    """Return ``baggage``, ``traceparent``, and a header for what baggage cannot say."""
    others, has_trace = [], False
    for name, value in headers:
        if name == "baggage":
            others.append(value)
        elif name == "traceparent":
            has_trace = True
    # What others put there stays, but for what is known better here.
    baggage = write_baggage(known, ",".join(others))
    found = [("baggage", baggage)] if baggage else []
    if site is not None:
        found.append((_CALL_SITE, site))
    span = current_span()
    if span is not None and not has_trace:
        found.append(("traceparent", f"00-{span.trace_id}-{span.span_id}-01"))
    return found
