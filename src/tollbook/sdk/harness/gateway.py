"""The way through a Tollbook gateway: its address, its key, and whose call it is, in headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

from opentelemetry import trace

from tollbook.call import IDENTITY_FIELDS
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.sdk.context import BAGGAGE_NAMES, current
from tollbook.sdk.harness import faults
from tollbook.sdk.harness.missing import call_site_of
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.call import Identity
    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target, Targets
    from tollbook.sdk.runtime import Runtime

_BAGGAGE_SAFE: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""W3C Baggage section 3.3.1.2, baggage-octet, without the percent sign."""
_get_span = trace.get_current_span


class Rerouted(NamedTuple):
    """A request as the gateway gets it."""

    url: str
    drops: frozenset[str]
    """Headers (lower case) that do not go along."""
    sets: list[tuple[str, str]]


def goes_through(targets: Targets, options: Options, host: str) -> bool:
    """Whether a request to a host goes through a gateway; a stranger's host stays as it is."""
    gateway = options.gateway or runtime().gateway
    if gateway is None:
        return False
    if targets.is_known(host) or urlsplit(gateway).hostname == host:
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
    settings: Runtime,
) -> Rerouted:  # fmt: skip
    """Return where a request goes and what it says of itself.

    Args:
        target: of the address that the client was made for.
        url: that address, whole.
        headers: as they are, names in lower case.
        options: of the client.
        settings: of the process.

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
    site = call_site_of(known) if known.tenant_id is None else None
    sets = [("host", own.netloc.rpartition("@")[2])]
    sets += _identity_headers(known, headers, site)
    drops = {"host", "baggage"}
    key = options.gateway_key or settings.gateway_key
    if key:
        dialect = target.dialect
        for name, _ in headers:
            if dialect.is_credential(name.encode("latin-1")):
                drops.add(name)
        for header, secret in dialect.credential_headers(key):
            sets.append((header.decode("latin-1"), secret.decode("latin-1")))
    return Rerouted(url, frozenset(drops), sets)


def _identity_headers(
    known: Identity, headers: Iterable[tuple[str, str]], site: str | None
) -> list[tuple[str, str]]:
    """Return ``baggage``, ``traceparent``, and a header for each tag."""
    members = []
    for field in IDENTITY_FIELDS:
        value = getattr(known, field)
        if value is not None:
            members.append(f"{BAGGAGE_NAMES[field]}={quote(value, safe=_BAGGAGE_SAFE)}")
    has_trace = False
    for name, value in headers:
        if name == "baggage":
            # What others put there stays, but for what we know better.
            members += [
                member
                for member in value.split(",")
                if member.partition("=")[0].strip() not in BAGGAGE_KEYS
            ]
        elif name == "traceparent":
            has_trace = True
    found = [("baggage", ",".join(members))] if members else []
    for tag, text in known.tags.items():
        if tag.isascii() and not set(tag) & set(" :/"):
            found.append((f"x-tollbook-tag-{tag}", text))
    if site is not None:
        found.append(("x-tollbook-tag-call_site", site))
    span = _get_span().get_span_context()
    if span.is_valid and not has_trace:
        flags = f"{int(span.trace_flags):02x}"
        found.append(("traceparent", f"00-{span.trace_id:032x}-{span.span_id:016x}-{flags}"))
    return found
