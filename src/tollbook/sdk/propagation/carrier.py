"""Identity and trace in the headers of a request or message, and in the payload of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.call import Identity, SpanKind
from tollbook.identity.claims import Mechanism
from tollbook.identity.headers import claims_from_headers
from tollbook.identity.propagate import trace_context
from tollbook.identity.resolve import resolve
from tollbook.identity.write_baggage import write_baggage
from tollbook.sdk.context import NOBODY, Scope, current
from tollbook.sdk.propagation.hosts import may_receive
from tollbook.sdk.spans import RemoteSpan, SpanIds, SpanPlan, current_span

if TYPE_CHECKING:
    from tollbook.identity.claims import Claims

Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
"""Headers of a request or message: names and values are text or bytes."""

CARRIED: Final = ("baggage", "traceparent", "tracestate")
HEADERS_MAX: Final = 256
VALUE_BYTES_MAX: Final = 16384


def inject(carrier: MutableMapping[str, str], host: str | None = None) -> None:
    """Write who the current work is for, and the span it is part of, into headers.

    Args:
        carrier: headers of a request or message; a ``baggage`` in it keeps its other members.
        host: where the request goes (name, address or URL). A host that may not know gets
            nothing, and what is there already is taken out. None: a queue or service of one's own.
    """
    if host is not None and not may_receive(host):
        strip(carrier)
        return
    known = current()
    if known is not NOBODY:
        text = write_baggage(known, carrier.get("baggage") or "")
        if text:
            carrier["baggage"] = text
    span = current_span()
    if span is not None:
        carrier["traceparent"] = f"00-{span.trace_id}-{span.span_id}-01"


def strip(carrier: MutableMapping[str, str]) -> None:
    """Take identity and trace out of headers, whoever put them there."""
    for name in [name for name in carrier if _is_ours(name.lower())]:
        del carrier[name]


def _is_ours(name: str) -> bool:
    return name in CARRIED or name.startswith("x-tollbook-")


def extract(carrier: Headers) -> Identity:
    """Return what headers say about the owner, by the rules that the gateway has.

    Reads ``baggage`` (several too) and ``x-tollbook-*``. Never raises: what could not be used is
    in ``Identity.problems``.
    """
    return owner_of(claims_from_headers(raw_headers(carrier)))


def owner_of(claims: Iterable[Claims]) -> Identity:
    """Return the owner that claims add up to, without an environment where none was named."""
    found = tuple(claims)
    if not found:
        return NOBODY
    known = resolve(found, api_key_id=None, default_environment="")
    if known.sources.get("environment") != Mechanism.DEFAULT.value:
        return known
    sources = {field: source for field, source in known.sources.items() if field != "environment"}
    return replace(known, environment=None, sources=sources)


def remote_span(headers: list[tuple[bytes, bytes]]) -> RemoteSpan | None:
    """Return the span that headers name as the parent, if any."""
    trace_id, span_id = trace_context(headers)
    if trace_id is None or span_id is None:
        return None
    return RemoteSpan(SpanIds(trace_id, span_id))


def use_carrier(
    carrier: Headers, *, job: str | None = None, origin: str | None = None, is_linked: bool = False
) -> Scope:
    """Return a scope in which the work is that of whoever sent the headers.

    Args:
        carrier: headers of a request or message that can be trusted: of a service of one's own.
        job: a name for the work, as a span of the run.
        origin: what caused it (``scheduled``, ``system``), in place of what the headers say.
        is_linked: the work is a trace of its own, linked to the sender's span; for what runs again
            and again. Otherwise it is part of the sender's trace.
    """
    headers = raw_headers(carrier)
    parent = remote_span(headers)
    links: tuple[str, ...] = ()
    if is_linked and parent is not None:
        links, parent = (f"{parent.ids.trace_id}:{parent.ids.span_id}",), None
    plan = None if job is None else SpanPlan(SpanKind.WORKFLOW, job[:200], False, links)
    return Scope(
        {"request_origin": origin},
        whole=owner_of(claims_from_headers(headers)),
        span=plan,
        parent=parent,
        is_root=True,
    )


def to_payload() -> dict[str, str]:
    """Return the current identity as a JSON object for the payload of a job; empty if nobody's."""
    payload: dict[str, str] = {}
    inject(payload)
    return payload


def from_payload(
    payload: object, *, job: str | None = None, origin: str | None = None, is_linked: bool = False
) -> Scope:
    """Return a scope in which the work is that of whoever made the payload.

    Args:
        payload: what :func:`to_payload` gave; anything else is nobody's.
        job: as with :func:`use_carrier`.
        origin: as with :func:`use_carrier`.
        is_linked: as with :func:`use_carrier`.
    """
    known = payload if isinstance(payload, Mapping) else None
    return use_carrier(known, job=job, origin=origin, is_linked=is_linked)


def raw_headers(carrier: object) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes with names in lower case; what is no header is left out."""
    if carrier is None or isinstance(carrier, str | bytes):
        return []
    pairs: Iterable[Any] = ()
    if isinstance(carrier, Mapping) or hasattr(carrier, "items"):
        multi = getattr(carrier, "multi_items", None) or carrier.items
        pairs = multi()
    elif isinstance(carrier, Iterable):
        pairs = carrier
    found: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:  # noqa: PLR2004 -- name, value
            continue
        name, value = _raw(pair[0]), _raw(pair[1])
        if name is not None and value is not None and len(found) < HEADERS_MAX:
            found.append((name.lower(), value))
    return found


def _raw(text: object) -> bytes | None:
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    if isinstance(text, bytes | bytearray) and len(text) <= VALUE_BYTES_MAX:
        return bytes(text)
    return None
