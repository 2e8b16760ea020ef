"""Owners from the trace of a call, and owners that become known later."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from tests.stitch.stitch_kit import HOUR, hexid, owner

from tollbook.call import Observer
from tollbook.ledger.stitch.tables import LATE_IDENTITY

W = Any
SDK, OTLP = Observer.SDK, Observer.OTLP
R1 = "chatcmpl-0123456789abcdef0123"
ONE = ("0.0028",)


def tenants(world: W) -> dict[str | None, int]:
    return {row[0]: row[1] for row in world.sums()}


@pytest.mark.parametrize("order", list(permutations(range(4)))[::4])
def test_the_nearest_span_that_names_a_tenant(world: W, order: tuple[int, ...]) -> None:
    told = [
        world.span("t", "root", None, owner("platform", user_id="u0", team_id="core")),
        world.span("t", "agent", "root", owner("acme", agent_run_id="run-1")),
        world.span("t", "http", "agent", owner(feature="search")),
        world.seen(None, trace="t", parent="http"),
    ]
    for at in order:
        world.write(told[at])
    assert tenants(world) == {"acme": 1}
    assert world.in_force(
        "tenant_id", "agent_run_id", "feature", "user_id", "team_id", "identity_source"
    ) == [("acme", "run-1", "search", None, None, "trace")]
    world.clean()


def test_the_root_when_nothing_nearer_says(world: W) -> None:
    world.write(world.seen(OTLP, trace="t", span="o", parent="mid"))
    world.write(world.span("t", "mid", "root"))
    assert tenants(world) == {None: 1}
    world.write(world.span("t", "root", None, owner("acme", user_id="u1")))
    assert tenants(world) == {"acme": 1}
    ((reason,),) = world.rows("SELECT reason FROM entries WHERE replaces IS NOT NULL AND"
                              " kind = 'charge'")  # fmt: skip
    assert reason.startswith(LATE_IDENTITY)
    assert hexid("root") in reason
    world.clean()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_job_and_who_enqueued_it(world: W, order: tuple[int, ...]) -> None:
    link = f"{hexid('web', 32)}:{hexid('enqueue')}"
    told = [
        [world.span("web", "enqueue", "request"),
         world.span("web", "request", None, owner("acme"))],
        world.span("job", "work", None, links=(link,)),
        world.seen(None, trace="job", parent="work"),
    ]  # fmt: skip
    for at in order:
        world.write(told[at])
    assert tenants(world) == {"acme": 1}
    world.clean()


def test_a_call_around_the_call(world: W) -> None:
    world.write(world.seen(OTLP, trace="t", span="agent", tenant="acme", operation="invoke_agent"))
    world.write(world.seen(OTLP, trace="t", span="o", parent="agent"))
    assert tenants(world) == {"acme": 1}
    world.clean()


def test_what_the_gateway_alone_sees_of_a_trace(world: W) -> None:
    """The only tenant of a trace is that of its calls, until there is another."""
    world.write(world.seen(None, trace="t", parent="p1"))
    assert tenants(world) == {None: 1}
    world.write(world.seen(None, trace="t", parent="p2", tenant="acme"))
    assert tenants(world) == {"acme": 2}
    world.reopen()
    world.write(world.seen(None, trace="t", parent="p3", tenant="globex"))
    assert tenants(world) == {"acme": 1, "globex": 1, None: 1}
    assert world.rows("SELECT kind FROM stitch_notes") == [("ambiguous",)]
    world.clean()


def test_siblings_prove_nothing_where_the_root_is_known(world: W) -> None:
    world.write(
        world.span("t", "root"),
        world.seen(None, trace="t", parent="root"),
        world.seen(OTLP, trace="t", span="o", parent="root", tenant="acme"),
    )
    assert tenants(world) == {"acme": 1, None: 1}
    world.clean()


def test_a_tenant_of_its_own_is_kept(world: W) -> None:
    world.write(
        world.span("t", "root", None, owner("acme")),
        world.seen(None, trace="t", parent="root", tenant="globex"),
        world.seen(OTLP, trace="t", span="o", parent="root", tenant="globex"),
    )
    assert tenants(world) == {"globex": 2}
    world.clean()


@pytest.mark.parametrize(("hours", "expected"), [(167, "acme"), (169, None)])
def test_later_than_the_window_changes_nothing(world: W, hours: int, expected: str | None) -> None:
    call = world.seen(OTLP, trace="t", span="o", parent="root", response_id=R1)
    world.write(call)
    world.now_ns += hours * HOUR
    world.write(world.span("t", "root", None, owner("acme")))
    assert tenants(world) == {expected: 1}
    # Another observer's word on the owner comes as late, but the call is still one.
    world.write(world.seen(SDK, response_id=R1, tenant="acme", at_ns=call[0].started_at_ns))
    assert tenants(world) == {expected: 1}
    world.clean()


def test_the_environment_by_default_gives_way(world: W) -> None:
    identity = owner(environment="production", source="default")
    world.write(
        world.span("t", "root", None, owner("acme", environment="staging")),
        world.seen(None, trace="t", parent="root", identity=identity),
    )
    assert world.in_force("tenant_id", "environment") == [("acme", "staging")]


def test_conflicting_owners_are_kept_in_sight(world: W) -> None:
    world.write(world.seen(None, response_id=R1, tenant="acme"))
    world.write(world.seen(OTLP, response_id=R1, tenant="globex"))
    assert tenants(world) == {"acme": 1}
    ((detail,),) = world.rows("SELECT detail FROM stitch_notes WHERE kind = 'conflict'")
    assert '"kept":"acme"' in detail
    assert '"refused":"globex"' in detail
    ((identity_detail,),) = world.in_force("identity_detail")
    assert "globex" in identity_detail
    world.clean()
