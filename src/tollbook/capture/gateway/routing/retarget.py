"""A request made ready for a target: its provider's rules, its path, its name of the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import structs

from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.routing.router import HeadRoutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.capture.gateway.admission import Admission, Admitted
    from tollbook.capture.gateway.framing import Framing
    from tollbook.capture.gateway.routing.plan import Plan
    from tollbook.capture.gateway.routing.target import Target
    from tollbook.dialects.base import Header, RequestFacts

_PREFIX: Final = b"/v1"
OWN_KEY: Final = Refusal(
    401,
    "tollbook_key_needed",
    "this route has targets at several providers, and a key of one is not shown to another;"
    " send a Tollbook key (tb_...)",
    should_retry=False,
)


def admitted_for(
    admission: Admission,
    lead: Admitted,
    target: Target,
    method: str,
    headers: Sequence[Header],
    framing: Framing,
) -> Admitted:
    """Return a request by the rules of a target's provider; ``lead`` itself where they are its.

    The owner that ``lead`` remembers stays: it is read from the same head.
    """
    is_renamed = target.prefix != _PREFIX and lead.target.startswith(_PREFIX)
    if target.upstream is lead.upstream and not is_renamed:
        return lead
    known = lead.routing.by_target if isinstance(lead.routing, HeadRoutes) else {}
    admitted = known.get(target)
    if admitted is None:
        path = target.prefix + lead.target[len(_PREFIX) :] if is_renamed else lead.target
        admitted = admission.at_upstream(target.upstream, method, path, headers, framing)
        if admitted.refusal is None:
            known[target] = admitted
    return admitted._replace(owner=lead.owner, routing=lead.routing)


def with_model(
    admitted: Admitted, facts: RequestFacts, model: str
) -> tuple[Admitted, RequestFacts] | None:
    """Return a request that asks for the target's model, None where that cannot be written."""
    rewritten = admitted.upstream.dialect.with_model(
        admitted.route, admitted.target, facts.body, model
    )
    if rewritten is None:
        return None
    if rewritten.target != admitted.target:
        path = rewritten.target.partition(b"?")[0]
        admitted = admitted._replace(target=rewritten.target, path=path)
    return admitted, structs.replace(facts, body=rewritten.body)


def circuit_open(plan: Plan, now: float) -> Refusal:
    """Return the refusal of a request while all targets are left alone; ``now`` is loop time."""
    targets = (*plan.targets, *plan.fallbacks)
    wait_s = math.ceil(min(target.breaker.opens_in_s(now) for target in targets))
    return Refusal(
        503,
        "circuit_open",
        f"all targets of route {plan.route_name!r} have failed too often of late;"
        f" the next attempt is in {wait_s} s",
        should_retry=True,
        retry_after_s=max(1, wait_s),
    )
