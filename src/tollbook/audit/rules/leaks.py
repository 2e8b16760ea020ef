"""Identity that went to others (A15), and identity that others may have made up (A04)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.found import above, billed_in, calls_at, hit_of
from tollbook.audit.rules.hosts import bare_host, is_public, is_trusted, provider_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.settings import AuditSettings
    from tollbook.audit.trace import Trace

_SERVER: Final = 2
_OUTGOING: Final = frozenset({3, 4})
_NAMES_MAX: Final = 6
_BAGGAGE: Final = "baggage:"


class SentOut:
    """A15: a client span shows identity sent to a provider's host, or to another public one.

    A host is ours when it was named so, when it is of a private network, or when the trace goes on
    behind it: the server span below the client span is then among what was exported.

    Source: W3C Baggage, Privacy; OpenTelemetry documentation, baggage security considerations.

    Args:
        settings: hosts that are ours.
    """

    def __init__(self, settings: AuditSettings) -> None:
        self._trusted = settings.trusted_hosts

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such span."""
        for span in trace.spans:
            if not span.sent or span.kind not in _OUTGOING:
                continue
            host = (span.call.host if span.call is not None else None) or span.peer
            host = None if host is None else bare_host(host)
            if host is None or is_trusted(host, self._trusted):
                continue
            provider = provider_at(host)
            if provider is None and (not is_public(host) or _goes_on(trace, span)):
                continue
            names = sorted(span.sent)[:_NAMES_MAX]
            calls = _calls_around(trace, span)
            yield hit_of(
                "A15",
                f"{span.service or 'A service'} sends {_shown(names)} to {host}",
                (span.service, host, *names),
                [span, *[one for one in calls if one is not span]],
                calls=calls,
                severity=Severity.WARNING if provider is None else Severity.ERROR,
            )


def _shown(names: list[str]) -> str:
    """Return names of headers, and of what is in baggage, in words."""
    headers = [one for one in names if not one.startswith(_BAGGAGE)]
    keys = [one.removeprefix(_BAGGAGE) for one in names if one.startswith(_BAGGAGE)]
    parts = [*headers, f"baggage with {', '.join(keys)}"] if keys else headers
    return " and ".join(parts)


def _goes_on(trace: Trace, span: SpanFact) -> bool:
    return any(one.kind == _SERVER for one in trace.children.get(span.span_id, ()))


def _calls_around(trace: Trace, span: SpanFact) -> list[SpanFact]:
    """Return the call that a request was sent for: itself, or the nearest above it."""
    billed = billed_in(trace)
    return [one for one in (span, *above(trace, span)) if one.span_id in billed][:1]


class Untrusted:
    """A04: a request from outside brought the tenant along, and nobody was authenticated.

    Told where a span at the edge shows that the tenant came by baggage or a header, and names no
    user: a user is what a login leaves behind. Behind the edge, services may trust each other.

    Source: W3C Baggage, Security; OWASP API Security Top 10, API2 Broken Authentication.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such root whose calls are booked to that tenant."""
        for span in trace.roots:
            if span.kind != _SERVER or "tenant_id" not in span.received:
                continue
            if _is_authenticated(trace, span):
                continue
            calls = calls_at(trace, span)
            if calls:
                yield hit_of(
                    "A04",
                    f"{span.service or 'A service'} takes the tenant from a header of requests"
                    " that nobody was authenticated for",
                    (span.service, span.name),
                    [span, *calls[:2]],
                    calls=calls,
                )


def _is_authenticated(trace: Trace, span: SpanFact) -> bool:
    """Whether the edge names a user that did not come by a header too."""
    near = (span, *trace.children.get(span.span_id, ()))
    is_told = any("user_id" in one.owner and one.service == span.service for one in near)
    return is_told and "user_id" not in span.received
