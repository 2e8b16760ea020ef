"""A request that is about to leave: what becomes of it, whichever library sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import Metering
from tollbook.dialects.base import NativeTags
from tollbook.identity.headers import claims_from_headers
from tollbook.sdk.context import current
from tollbook.sdk.harness import faults, retries
from tollbook.sdk.harness.begun import (
    NO_FACTS,
    Begun,
    Sending,
    claims_of,
    names_owner,
    says_only,
)
from tollbook.sdk.harness.owner import owner_of
from tollbook.sdk.harness.watched import Watched
from tollbook.sdk.markers import marks_in
from tollbook.sdk.missing import MissingTenantError, check
from tollbook.sdk.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.call import CallOpened, Identity
    from tollbook.dialects.base import RequestFacts, Route
    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target
    from tollbook.sdk.runtime import Runtime

_FREE: Final = Metering.FREE
__all__ = ["MAX_BODY_BYTES", "Sending", "begin", "refuse"]
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Largest body that is read; a larger one passes and is estimated."""


def begin(sending: Sending, target: Target, options: Options, runtime: Runtime) -> Watched | None:
    """Open a call, None where nothing is to be watched.

    What the provider gets in place of the body is ``sent`` of the outcome.

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
    _, path, _, headers, body = sending
    route = _route_of(sending, target)
    if route is None:
        return None
    names = [name for name, _ in headers]
    known = current()
    environment = runtime.environment
    sink = options.sink or runtime.sink
    # Who tells of whole calls alone has time to read them when they have ended.
    is_late = getattr(sink, "takes_ended", False)
    facts: RequestFacts | None = NO_FACTS
    marks = owner = call_site = None
    if body and route.inspects_body:
        marks = marks_in(body)
        asks = options.inject_stream_usage and target.asks_for_usage
        may_wait = is_late and known.tenant_id is not None and not options.tags
        if may_wait and says_only(body, asks=asks):
            facts = None
        else:
            facts = _read(body, route, target, options)
    if facts is not None:
        owner = owner_of(known, claims_of(headers, names, facts), environment)
        call_site = check(owner) if owner.tenant_id is None else None
        if options.tags and facts is not NO_FACTS:
            facts = _tagged(facts, target, route, owner)
    if sink is None:
        return None
    begun = Begun(
        sending, target, route, facts, known, owner, environment, call_site, current_span(), marks,
        clock.unix_ns(),
    )  # fmt: skip
    if retries.failed:
        begun.before = retries.earlier(target.provider, path, begun.sent, begun.whose)
    watched = Watched(begun, sink, is_late=is_late)
    watched.names_owner = names_owner(names)
    if not is_late:
        _tell(sink.opened, begun.opened())
    elif (begins := getattr(sink, "begins", None)) is not None:
        _tell(begins, begun.evidence())
    return watched


def _tell(take: Callable[[CallOpened], None], frame: CallOpened) -> None:
    try:
        take(frame)
    except Exception as error:  # noqa: BLE001 -- the caller's request goes on
        faults.note("opened", error)


def refuse(sending: Sending, target: Target, options: Options, runtime: Runtime) -> None:
    """Raise what :func:`begin` would, and do nothing else.

    Raises:
        MissingTenantError: see :func:`begin`.
    """
    headers, body = sending.headers, sending.body
    route = _route_of(sending, target)
    if route is None:
        return
    facts = _read(body, route, target, options) if body and route.inspects_body else NO_FACTS
    claims = (*claims_from_headers(headers), *facts.claims)
    check(owner_of(current(), claims, runtime.environment))


def _route_of(sending: Sending, target: Target) -> Route | None:
    route = target.route(sending.method, sending.path)
    if sending.query:
        route = target.dialect.with_query(route, sending.query)
    return None if route.metering is _FREE else route


def _read(body: bytes, route: Route, target: Target, options: Options) -> RequestFacts:
    asks = options.inject_stream_usage and target.asks_for_usage
    return target.dialect.read_request(route, body, inject_stream_usage=asks, user_is="user")


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
