"""A propagator for OpenTelemetry's own instrumentations that tells identity to known hosts only.

OpenTelemetry injects baggage into whatever leaves the process, a request to a model's provider too,
and gives its propagators nothing but the headers. The destination is read from what the
instrumentation has made just before: the active client span, or the ``host`` among the headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.textmap import (
    DefaultGetter,
    DefaultSetter,
    TextMapPropagator,
)
from opentelemetry.trace import SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tollbook.sdk.propagation.hosts import may_receive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import Getter, Setter

_URLS: Final = ("url.full", "http.url")
_HOSTS: Final = ("server.address", "net.peer.name", "http.host")


class AllowListPropagator(TextMapPropagator):
    """W3C Trace Context and Baggage, each only to where they may go.

    ======================================  ==============  ========
    destination                             trace context   baggage
    ======================================  ==============  ========
    the gateway, loopback, allowed hosts    yes             yes
    any other host                          no              no
    a queue (a span of kind producer)       yes             yes
    unknown                                 yes             no
    ======================================  ==============  ========

    A trace id says nothing about anybody, so where the destination cannot be told traces still
    hold together. Install it with ``opentelemetry.propagate.set_global_textmap``.
    """

    def __init__(
        self, trace: TextMapPropagator | None = None, baggage: TextMapPropagator | None = None
    ) -> None:
        """Take propagators in place of W3C's."""
        self._trace = trace or TraceContextTextMapPropagator()
        self._baggage = baggage or W3CBaggagePropagator()

    def extract(
        self, carrier: Any, context: Context | None = None,
        getter: Getter[Any] = DefaultGetter(),  # noqa: B008 -- the interface's own default
    ) -> Context:  # fmt: skip
        """Read both, as the propagators do."""
        return self._baggage.extract(carrier, self._trace.extract(carrier, context, getter), getter)

    def inject(
        self, carrier: Any, context: Context | None = None,
        setter: Setter[Any] = DefaultSetter(),  # noqa: B008 -- the interface's own default
    ) -> None:  # fmt: skip
        """Write what the destination may have."""
        span: Any = get_current_span(context)
        host = _destination(span, carrier)
        is_known = host is not None and may_receive(host)
        if is_known or host is None:
            self._trace.inject(carrier, context, setter)
        if is_known or (host is None and getattr(span, "kind", None) is SpanKind.PRODUCER):
            self._baggage.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        """Names of the headers that may be written."""
        return self._trace.fields | self._baggage.fields


def _destination(span: Any, carrier: Any) -> str | None:
    if getattr(span, "kind", None) is SpanKind.CLIENT:
        attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
        for name in _URLS:
            if name in attributes:
                return urlsplit(str(attributes[name])).hostname or ""
        for name in _HOSTS:
            if name in attributes:
                return str(attributes[name])
    get = getattr(carrier, "get", None)
    host = get("host") if get is not None else None
    return host if isinstance(host, str) and host else None
