"""A request that is about to leave: what becomes of it, whichever library sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import clock, ids
from tollbook.call import CallOpened, Metering, Observer
from tollbook.dialects.base import NativeTags, RequestFacts
from tollbook.identity.headers import claims_from_headers
from tollbook.sdk.context import current
from tollbook.sdk.harness import faults, retries
from tollbook.sdk.harness.owner import owner_of
from tollbook.sdk.harness.watched import Watched
from tollbook.sdk.markers import HEADER as LAYERS_HEADER
from tollbook.sdk.markers import marked
from tollbook.sdk.missing import MissingTenantError, check
from tollbook.sdk.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Identity
    from tollbook.dialects.base import Dialect, Header, Route
    from tollbook.dialects.request_layers import Layered
    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target
    from tollbook.sdk.runtime import Runtime

_FREE: Final = Metering.FREE
_SDK: Final = Observer.SDK
_NO_FACTS: Final = RequestFacts(b"")
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Largest body that is read; a larger one passes and is estimated."""
_MAX_IDEMPOTENCY_KEY_BYTES: Final = 255
_IDEMPOTENCY_KEY: Final = b"idempotency-key"
_OWN_PREFIX: Final = b"x-tollbook-"
_BAGGAGE: Final = b"baggage"
_LAYERS: Final = LAYERS_HEADER.encode()


class Sending(NamedTuple):
    """A request as every HTTP library can tell it."""

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    """Names in lower case."""
    body: bytes | None
    """None: it is a stream, or too large."""


def begin(sending: Sending, target: Target, options: Options, runtime: Runtime) -> Watched | None:
    """Open a call, None where nothing is to be watched.

    What the provider gets in place of the body is ``facts.body`` of the outcome.

    Raises:
        MissingTenantError: nobody named a tenant, and the settings ask to be told so.
    """
    try:
        return _begun(sending, target, options, runtime)
    except MissingTenantError:
        raise
    except Exception as error:  # noqa: BLE001 -- the caller's request goes on
        faults.note("begin", error)
        return None


def _begun(sending: Sending, target: Target, options: Options, runtime: Runtime) -> Watched | None:
    method, path, query, headers, body = sending
    dialect = target.dialect
    route = target.route(method, path)
    if query:
        route = dialect.with_query(route, query)
    if route.metering is _FREE:
        return None
    facts = _read(body, route, target, options) if body and route.inspects_body else _NO_FACTS
    names = [name for name, _ in headers]
    claims = facts.claims
    names_owner = _BAGGAGE in names or _OWN_PREFIX in b" ".join(names)
    if names_owner:
        claims = (*claims_from_headers(headers), *claims)
    owner = owner_of(current(), claims, runtime.environment)
    call_site = check(owner) if owner.tenant_id is None else None
    sink = options.sink or runtime.sink
    if sink is None:
        return None
    if options.tags and facts is not _NO_FACTS:
        facts = _tagged(facts, target, route, owner)
    attempt = dialect.attempt(headers)
    before = retries.earlier(target.provider, path, facts.body, owner) if retries.failed else None
    if before is not None:
        attempt = max(attempt, before.attempt + 1)
    parent = current_span()
    now_ns = clock.unix_ns()
    call_id = ids.new_id(now_ns)
    layered = _layered(facts, route, dialect, headers, body)
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=now_ns,
        identity=owner,
        provider=target.provider,
        dialect=dialect.name,
        operation=route.operation,
        metering=route.metering,
        method=method,
        path=path,
        model_requested=facts.model if route.model is None else route.model,
        is_stream=facts.is_stream if route.is_stream is None else route.is_stream,
        attempt=attempt,
        idempotency_key=_text(headers, names, _IDEMPOTENCY_KEY),
        trace_id=None if parent is None else parent.trace_id,
        parent_span_id=None if parent is None else parent.span_id,
        request_bytes=len(body) if body else 0,
        input_chars=facts.input_chars,
        max_output_tokens=facts.max_output_tokens,
        operation_id=None if before is None else before.operation_id,
        retry_of=None if before is None else before.call_id,
        region=route.region,
        asked=facts.asked,
        observer=_SDK,
        span_id=call_id[8:].hex(),
        call_site=call_site,
        layers=layered.layers,
        prefix_hash=layered.prefix_hash,
        prefix_chars=layered.prefix_chars,
    )
    watched = Watched(opened, facts, route, dialect, sink)
    watched.names_owner = names_owner
    try:
        sink.opened(opened)
    except Exception as error:  # noqa: BLE001 -- as above
        faults.note("opened", error)
    return watched


def refuse(sending: Sending, target: Target, options: Options, runtime: Runtime) -> None:
    """Raise what :func:`begin` would, and do nothing else.

    Raises:
        MissingTenantError: see :func:`begin`.
    """
    method, path, query, headers, body = sending
    route = target.route(method, path)
    if query:
        route = target.dialect.with_query(route, query)
    if route.metering is _FREE:
        return
    facts = _read(body, route, target, options) if body and route.inspects_body else _NO_FACTS
    claims = (*claims_from_headers(headers), *facts.claims)
    check(owner_of(current(), claims, runtime.environment))


def _layered(
    facts: RequestFacts, route: Route, dialect: Dialect, headers: Sequence[Header],
    body: bytes | None,
) -> Layered:  # fmt: skip
    """Return what the request consists of, with what is marked as retrieved or remembered."""
    if not body or facts is _NO_FACTS:
        return facts.layered
    told = facts.marks
    for name, value in headers:
        if name == _LAYERS:
            told = value.decode("latin-1")
    return marked(dialect, route, body, facts.layered, told)


def _read(body: bytes, route: Route, target: Target, options: Options) -> RequestFacts:
    asks = options.inject_stream_usage and target.asks_for_usage
    return target.dialect.read_request(route, body, inject_stream_usage=asks, user_is="user")


def _text(headers: Sequence[Header], names: list[bytes], name: bytes) -> str | None:
    """Return a header as text, None where there is none of sane length."""
    if name not in names:
        return None
    value = headers[names.index(name)][1]
    return value.decode("latin-1") if len(value) <= _MAX_IDEMPOTENCY_KEY_BYTES else None


def _tagged(facts: RequestFacts, target: Target, route: Route, owner: Identity) -> RequestFacts:
    """Return the request with its owner in the provider's own fields."""
    from msgspec.structs import replace  # noqa: PLC0415 -- rare

    tags = NativeTags(
        tenant=owner.tenant_id,
        user=owner.user_id,
        feature=owner.feature,
        workflow=owner.workflow_id,
        run=owner.agent_run_id,
        end_user=owner.user_id or owner.tenant_id,
    )
    return replace(facts, body=target.dialect.with_tags(route, facts.body, tags))
