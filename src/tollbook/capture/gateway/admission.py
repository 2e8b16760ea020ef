"""Admit a request: provider, key, size, owner; make the head that is sent on.

Stage one (:meth:`Admission.at_head`) needs the head only, so that a body is asked for only when it
is wanted. Stage two (:meth:`Admission.at_body`) knows the body too, where the endpoint is metered.
"""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook import clock, ids
from tollbook.call import CallOpened, Metering
from tollbook.capture.gateway.callers import Caller, Refusal
from tollbook.capture.gateway.headers import CREDENTIAL, ENCODING, FORWARD, IDENTITY
from tollbook.capture.gateway.notices import notice
from tollbook.capture.gateway.wishes import wishes_of
from tollbook.dialects.base import RequestFacts
from tollbook.dialects.layer_marks import HEADER as LAYERS_HEADER
from tollbook.dialects.layer_marks import marked_layers
from tollbook.identity import (
    claims_from_headers,
    claims_from_key,
    missing_tenant_action,
    missing_tenant_help,
    resolve,
    trace_context,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Identity
    from tollbook.capture.gateway.callers import Callers
    from tollbook.capture.gateway.framing import Framing
    from tollbook.capture.gateway.parsed import Request
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.capture.gateway.routing.plan import Plan
    from tollbook.capture.gateway.routing.router import HeadRoutes, Router
    from tollbook.capture.gateway.wishes import Wishes
    from tollbook.config import Config
    from tollbook.dialects.base import Header, Route
    from tollbook.identity import Claims, KeyBinding

logger = logging.getLogger(__name__)

NO_FACTS: Final = RequestFacts(b"")
_METERED: Final = Metering.METERED  # an enum's member takes ten times as long to look up
_TRACEPARENT: Final = b"traceparent"
_LAYERS: Final = LAYERS_HEADER.encode()
_MAX_IDEMPOTENCY_KEY_BYTES: Final = 255


class Admitted(NamedTuple):
    """What stage one knows of a request to a provider."""

    upstream: Upstream
    route: Route
    target: bytes
    """What follows the provider prefix, with the query."""
    path: bytes
    caller: Caller | None
    """None when refused on account of its credential."""
    lines: list[bytes]
    """Header lines to send on, in pieces, but for framing."""
    identity: list[Header]
    idempotency_key: str | None
    refusal: Refusal | None
    owner: Owner | None = None
    """Remembered with a head that has been read before."""
    wishes: Wishes | None = None
    """What is asked of the gateway itself."""
    routing: Plan | HeadRoutes | None = None
    """What chooses the target once the body is here; None where there is no choice, nor a retry."""


class Owner(NamedTuple):
    """What a head alone says of the owner, the trace and the attempt."""

    claims: tuple[Claims, ...]
    identity: Identity
    trace_id: str | None
    parent_span_id: str | None
    attempt: int
    marks: str | None = None
    """Places of the body that its header names as retrieved or remembered."""


class Admission:
    """The rules of one worker."""

    def __init__(
        self,
        config: Config,
        upstreams: dict[bytes, Upstream],
        callers: Callers,
        router: Router,
    ) -> None:
        self._upstreams = upstreams
        self._router = router
        self._callers = callers
        self._config = config
        self._gateway = config.gateway
        self._identity = config.identity

    def is_socket(self, target: bytes) -> bool:
        """Whether a request target is the address of a WebSocket."""
        cut = target.find(b"/", 1)
        upstream = self._upstreams.get(target[1:cut]) if cut > 0 else None
        if upstream is None:
            return self._router.is_socket(target)
        return upstream.route("GET", target[cut:].partition(b"?")[0]).is_socket

    def at_head(
        self, method: str, target: bytes, headers: Sequence[Header], framing: Framing
    ) -> Admitted | None:
        """Return what becomes of a request, None when the gateway answers it itself."""
        cut = target.find(b"/", 1)
        upstream = self._upstreams.get(target[1:cut]) if cut > 0 else None
        if upstream is None:
            return self._router.at_head(self, method, target, headers, framing)
        return self.at_upstream(upstream, method, target[cut:], headers, framing)

    def at_upstream(  # noqa: C901, PLR0912 -- one pass over the headers, for speed
        self,
        upstream: Upstream,
        method: str,
        target: bytes,
        headers: Sequence[Header],
        framing: Framing,
    ) -> Admitted:
        """Return what becomes of a request at a provider; ``target`` is without its prefix."""
        path = target
        in_query = None
        query = b""
        if b"?" in target:
            target, in_query = upstream.dialect.split_query_credential(target)
            path, _, query = target.partition(b"?")
        route = upstream.route(method, path)
        if query:
            route = upstream.dialect.with_query(route, query)
        secret = upstream.dialect.read_credential(headers)
        found = self._callers.admit(in_query if secret is None else secret, upstream, headers)
        caller, refusal = (found, None) if isinstance(found, Caller) else (None, found)
        key_lines = None if caller is None else caller.key_lines
        is_read = route.metering is _METERED or route.watch is not None
        lines: list[bytes] = []
        identity: list[Header] = []
        idempotency_key = None
        known, named = upstream.rules.known, framing.connection
        for header in headers:
            name, value = header
            rule = known.get(name)
            if rule is None:
                rule = upstream.rules.of(name)
            if rule == IDENTITY:
                identity.append(header)
            elif named is not None and name in named:
                continue
            elif (
                rule == FORWARD
                or (rule == CREDENTIAL and key_lines is None)
                or (rule == ENCODING and not is_read)
            ):
                lines += (name, b": ", value, b"\r\n")
                if name == b"idempotency-key" and len(value) <= _MAX_IDEMPOTENCY_KEY_BYTES:
                    idempotency_key = value.decode("latin-1")
        if key_lines is not None:
            lines.append(key_lines)
        elif in_query is not None and secret is None:
            # A query is logged on the way where a header is not.
            for name, value in upstream.dialect.credential_headers(in_query):
                lines += (name, b": ", value, b"\r\n")
        if is_read:
            lines.append(b"accept-encoding: identity\r\n")
        if refusal is None:
            refusal = self._too_large(framing.content_length, route)
        if refusal is None and caller is not None and caller.binding is not None:
            refusal = _unread_model_refusal(caller.binding, route, method)
        return Admitted(
            upstream,
            route,
            target,
            path,
            caller,
            lines,
            identity,
            idempotency_key,
            refusal,
            wishes=wishes_of(headers, self._config) if route.inspects_body else None,
            routing=self._router.retries_of(upstream, route),
        )

    def at_body(
        self,
        admitted: Admitted,
        method: str,
        headers: Sequence[Header],
        body: bytes,
        body_bytes: int,
    ) -> tuple[CallOpened, RequestFacts, Refusal | None]:
        """Return the open frame, what the body says, and why the call is refused, if it is."""
        upstream, route, caller = admitted.upstream, admitted.route, admitted.caller
        refusal = admitted.refusal
        dialect = upstream.dialect
        facts = NO_FACTS
        if route.inspects_body and refusal is None:
            facts = dialect.read_request(
                route,
                body,
                inject_stream_usage=upstream.settings.inject_stream_usage,
                user_is=self._identity.provider_user_is,
            )
        owner = admitted.owner or self._owner(admitted, headers)
        identity = owner.identity
        if facts.claims:
            identity = self._resolved(owner.claims + facts.claims, caller)
        binding = None if caller is None else caller.binding
        model = facts.model if route.model is None else route.model
        if refusal is None:
            if binding is not None and binding.models and _tells_model(route):
                refusal = _model_refusal(binding.models, model)
            if refusal is None and identity.tenant_id is None:
                refusal = self._tenant_refusal(identity)
        layered = facts.layered
        if (owner.marks is not None or facts.marks is not None) and self._gateway.layers:
            marks = owner.marks or facts.marks or ""
            layered, problems = marked_layers(dialect, route, body, marks)
            identity = replace(identity, problems=identity.problems + problems)
        opened = CallOpened(
            call_id=ids.new_id(now_ns := clock.unix_ns()),
            started_at_ns=now_ns,
            identity=identity,
            provider=upstream.name,
            dialect=dialect.name,
            operation=route.operation,
            metering=route.metering,
            method=method,
            path=admitted.path.decode("ascii"),
            model_requested=model,
            is_stream=facts.is_stream if route.is_stream is None else route.is_stream,
            attempt=owner.attempt,
            idempotency_key=admitted.idempotency_key,
            trace_id=owner.trace_id,
            parent_span_id=owner.parent_span_id,
            request_bytes=body_bytes,
            input_chars=facts.input_chars,
            max_output_tokens=facts.max_output_tokens,
            region=route.region,
            asked=facts.asked,
            layers=layered.layers,
            prefix_hash=layered.prefix_hash,
            prefix_chars=layered.prefix_chars,
        )
        return opened, facts, refusal

    def as_known(self, admitted: Admitted, request: Request) -> Admitted | None:
        """Return what may be remembered of an admitted head, None for an unusual one."""
        framing = request.framing
        if (
            not admitted.route.inspects_body
            or admitted.refusal is not None
            or framing.content_length is None
            or framing.expects_continue
            or request.is_http_10
            or not request.keep_alive
        ):
            return None
        return admitted._replace(owner=self._owner(admitted, request.headers))

    def _owner(self, admitted: Admitted, headers: Sequence[Header]) -> Owner:
        claims: tuple[Claims, ...] = ()
        trace_id = parent_span_id = marks = None
        caller = admitted.caller
        if admitted.identity:
            claims = claims_from_headers(admitted.identity)
            for name, value in admitted.identity:
                if name == _TRACEPARENT:
                    trace_id, parent_span_id = trace_context(admitted.identity)
                elif name == _LAYERS:
                    marks = value.decode("latin-1") if marks is None else marks
        if caller is not None and caller.binding is not None:
            claims = (claims_from_key(caller.binding), *claims)
        return Owner(
            claims,
            self._resolved(claims, caller),
            trace_id,
            parent_span_id,
            admitted.upstream.dialect.attempt(headers),
            marks,
        )

    def _resolved(self, claims: tuple[Claims, ...], caller: Caller | None) -> Identity:
        return resolve(
            claims,
            api_key_id=None if caller is None else caller.api_key_id,
            default_environment=self._gateway.environment,
        )

    def caller(
        self, secret: str | None, upstream: Upstream, headers: Sequence[Header]
    ) -> Caller | Refusal:
        """Return whose credential it is, or why it is refused, at a provider."""
        return self._callers.admit(secret, upstream, headers)

    def max_body_bytes(self, route: Route) -> int:
        """Return the largest body an endpoint may get."""
        if route.inspects_body:
            return self._gateway.max_inspected_body_bytes
        return self._gateway.max_body_bytes

    def _too_large(self, content_length: int | None, route: Route) -> Refusal | None:
        limit = self.max_body_bytes(route)
        if content_length is not None and content_length > limit:
            return body_too_large(limit)
        return None

    def _tenant_refusal(self, identity: Identity) -> Refusal | None:
        action = missing_tenant_action(identity, self._identity)
        if action == "refuse":
            return Refusal(400, "missing_tenant", missing_tenant_help(identity))
        if action == "warn":
            key = identity.api_key_id or "none"
            notice(
                logger, f"tenant {key}",
                "a call with key %s came without a tenant; it is booked to 'unknown'", key,
            )  # fmt: skip
        return None


def body_too_large(limit: int) -> Refusal:
    """Return the refusal of a body over a limit in bytes."""
    return Refusal(413, "request_too_large", f"the request body is larger than {limit} bytes")


def _tells_model(route: Route) -> bool:
    return route.inspects_body or route.model is not None


def _unread_model_refusal(binding: KeyBinding, route: Route, method: str) -> Refusal | None:
    if not binding.models or _tells_model(route) or method in {"GET", "HEAD", "OPTIONS"}:
        return None
    return Refusal(
        403,
        "model_not_allowed",
        "this Tollbook key is limited to some models, and the model of this endpoint's"
        " requests is not read",
    )


def _model_refusal(models: Sequence[str], model: str | None) -> Refusal | None:
    if model is not None and any(fnmatchcase(model, pattern) for pattern in models):
        return None
    return Refusal(
        403,
        "model_not_allowed",
        f"this Tollbook key may not use model {model!r}; it may use {', '.join(models)}",
    )
