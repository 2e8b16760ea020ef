"""What reports, the API and doctor say of stitching."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.stitch.stitch_kit import HOUR, owner

from tollbook.call import Observer
from tollbook.ids import to_text
from tollbook.reports.errors import QueryError
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.stitching import run_stitching, stitching_query

W = Any
SDK, OTLP = Observer.SDK, Observer.OTLP
R1 = "chatcmpl-0123456789abcdef0123"
R2 = "chatcmpl-fedcba98765432100000"
NOW = datetime(2026, 10, 1, tzinfo=UTC)
SINCE = [("since", "2026-09-01")]


def report(world: W, *pairs: tuple[str, str], late_h: float = 168) -> Any:
    connection = world.store.reader()
    try:
        now = datetime.fromtimestamp(world.now_ns / 1e9, UTC) + timedelta(minutes=1)
        query = stitching_query([*SINCE, *pairs], NOW)
        return run_stitching(DuckdbReader(connection), query, now - timedelta(hours=late_h))
    finally:
        connection.close()


def counts(found: Any) -> dict[str, int]:
    return {row["state"]: row["calls"] for row in found.rows if row["calls"]}


def test_every_state_is_counted(world: W) -> None:
    assert counts(report(world)) == {}
    world.write(
        world.seen(None, "g", response_id=R1, tenant="acme"),
        world.seen(SDK, "s", response_id=R1, tenant="globex", tokens=(900, 100)),
        world.seen(OTLP, "agent", trace="t", span="agent", operation="invoke_agent"),
        world.seen(OTLP, "leaf", trace="t", span="leaf", parent="agent", response_id=R2),
        world.seen(OTLP, "sum", trace="u", span="sum", operation="invoke_agent", tenant="a"),
        world.seen(OTLP, "lost", trace="v", span="lost", parent="never", tenant="a"),
        world.seen(OTLP, "call", trace="w", span="call", tenant="a"),
        world.seen(OTLP, "none", trace="w", span="none", parent="call", tokens=None),
        [world.seen(None, trace="x", tenant=one) for one in ("a", "b", None)],
        world.span("y", "root", None, owner("acme")),
        world.seen(None, "heir", trace="y", parent="root"),
    )
    world.write(world.seen(None, "later", trace="z", parent="root"))
    world.write(world.span("z", "root", None, owner("acme")))
    found = report(world)
    assert counts(found) == {
        "stitched": 1, "conflicting": 1, "ambiguous": 1, "waiting": 1, "wrapper": 1, "covered": 1,
        "aggregate": 1, "inherited": 2, "late": 2,
    }  # fmt: skip
    assert found.observed == {"otlp": 6, "sdk": 1}
    by_state = {row["state"]: row["cost_usd"] for row in found.rows}
    assert by_state["stitched"] == "0.002800000000"
    assert by_state["wrapper"] is None
    world.now_ns += 200 * HOUR
    assert counts(report(world))["orphaned"] == 1
    listed = report(world, ("show", "conflicting,wrapper"))
    assert [(one["state"], one["observers"]) for one in listed.calls] == [
        ("wrapper", "otlp"), ("conflicting", "gateway sdk")
    ]  # fmt: skip
    detail = listed.calls[1]["detail"]
    assert '"kept":"globex","kept_by":"sdk","refused":"acme","refused_by":"gateway"' in detail
    assert '"field":"input_tokens","kept":"1000","kept_by":"gateway","refused":"900"' in detail
    assert len(report(world, ("show", "inherited,late"), ("limit", "1")).calls) == 1


def test_two_instrumentations_of_one_call_are_counted_as_stitched(world: W) -> None:
    world.write(world.seen(OTLP, "one", trace="t", span="one", response_id=R1))
    world.write(world.seen(OTLP, "two", trace="u", span="two", response_id=R1))
    assert counts(report(world)) == {"stitched": 1}
    (listed,) = report(world, ("show", "stitched")).calls
    assert listed["cost_usd"] == "0.002800000000"


def test_wrong_options(world: W) -> None:
    for pairs in ([("show", "nonsense")], [("limit", "0")], [("where", "tenant=a")], [("by", "x")]):
        with pytest.raises(QueryError):
            stitching_query(pairs, NOW)
    assert stitching_query([], NOW).show == ()


def test_explain_names_who_said_what(world: W) -> None:
    gateway = world.seen(None, "g", response_id=R1, tenant="acme")
    sdk = world.seen(SDK, "s", response_id=R1, tenant="globex")
    world.write(sdk)
    world.write(gateway)
    from tollbook.reports.explain import explain_call  # noqa: PLC0415 -- only here

    connection = world.store.reader()
    try:
        reader = DuckdbReader(connection)
        for wanted in (to_text(gateway[0].call_id), to_text(sdk[0].call_id), R1):
            told = explain_call(reader, wanted, lambda _: None)
            assert told.call_id == to_text(gateway[0].call_id)
            assert told.observed_by == ["gateway", "sdk"]
            ((one),) = told.sightings
            assert (one.observer, one.state, one.tenant_id) == ("sdk", "stitched", "globex")
            assert one.matched_by == "response id"
            assert one.usage_raw == ['{"prompt_tokens":1000,"completion_tokens":100}']
    finally:
        connection.close()
