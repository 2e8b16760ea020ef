"""The product's traffic: the same from the same seed, skewed, and of every sort."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import unquote

import pytest

from tollbook.simulator.bodies import prepare
from tollbook.simulator.carriers import CARRIERS, Owner, carry, fits
from tollbook.simulator.pricelist import MODELS
from tollbook.simulator.provider.sizing import quantities_of
from tollbook.simulator.traffic import Mix, Plan, make_plan

CALLS = 4000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(seed=11, calls=CALLS, tenants=100)


def test_a_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first, again = (make_plan(seed=4, calls=300) for _ in range(2))
    assert first == again
    assert make_plan(seed=5, calls=300).requests != first.requests


@pytest.mark.parametrize(("seed", "tenants"), [(1, 40), (2, 100), (3, 200)])
def test_the_top_five_percent_of_tenants_spend_more_than_half(seed: int, tenants: int) -> None:
    made = make_plan(seed=seed, calls=CALLS, tenants=tenants)
    spend = made.expected_pico_by_tenant()
    spend.pop(None)
    assert len(made.tenants) == tenants
    ranked = sorted(spend.values(), reverse=True)
    assert sum(ranked[: tenants // 20]) * 2 > sum(ranked)


def test_shares(plan: Plan) -> None:
    requests = plan.requests
    assert len(requests) == CALLS
    assert len({request.id for request in requests}) == CALLS
    assert 0.45 < sum(request.is_stream for request in requests) / CALLS < 0.55
    left = [request for request in requests if request.hang_up_after is not None]
    assert 0.035 < len(left) / CALLS < 0.065
    assert all(request.is_stream and request.size.pause_ms for request in left)
    retried = [request for request in requests if request.max_retries]
    assert 0.012 < len(retried) / CALLS < 0.028
    assert all("times=1" in str(request.fault) for request in retried)
    unknown = [request for request in requests if request.owner.tenant_id is None]
    assert 0.003 < len(unknown) / CALLS < 0.03
    assert {request.carrier for request in unknown} == {"none"}
    repeated = [request for request in requests if request.retry_of]
    by_id = {request.id: request for request in requests}
    assert repeated
    assert all(by_id[str(request.retry_of)].fault and not request.fault for request in repeated)


def test_every_sort_of_call_is_there(plan: Plan) -> None:
    requests = plan.requests
    assert {request.api for request in requests} == {
        "chat", "responses", "completions", "embeddings", "messages",
    }  # fmt: skip
    assert {request.carrier for request in requests} == set(CARRIERS)
    assert {request.owner.origin for request in requests} == {"user", "scheduled", "system"}
    kinds = {
        kind
        for request in requests
        for kind, quantity in quantities_of(request.size)._asdict().items()
        if quantity
    }
    assert kinds == {
        "uncached_input", "cache_read", "cache_write_5m", "cache_write_1h", "visible_output",
        "reasoning",
    }  # fmt: skip
    assert {tenant.plan for tenant in plan.tenants} == {"enterprise", "business", "team", "free"}
    assert len({user for tenant in plan.tenants for user in tenant.users}) > 200


def test_sizes_fit_the_models(plan: Plan) -> None:
    for request in plan.requests:
        model = MODELS[request.model]
        assert request.provider == model.provider
        assert request.api in model.apis
        assert 0 < request.size.input <= model.max_input
        quantities = quantities_of(request.size)
        assert all(
            kind in model.usd_per_mtok
            for kind, quantity in quantities._asdict().items()
            if quantity
        )


def test_agent_runs_have_one_owner_and_a_context_that_grows(plan: Plan) -> None:
    runs: dict[str, list[Any]] = {}
    for request in plan.requests:
        if request.owner.run_id and request.retry_of is None:
            runs.setdefault(request.owner.run_id, []).append(request)
    assert len(runs) > 20
    for steps in runs.values():
        assert len({step.owner._replace(step=None) for step in steps}) == 1
        sizes = [step.size.input for step in steps]
        assert sizes == sorted(sizes)
        assert steps[0].owner.step == "plan"


def test_the_runaway_runs_away(plan: Plan) -> None:
    loops = Counter(
        request.owner.run_id for request in plan.requests if request.owner.run_id
    ).most_common(1)
    (run_id, steps) = loops[0]
    assert steps >= 40
    owners = {r.owner.tenant_id for r in plan.requests if r.owner.run_id == run_id}
    assert owners == {plan.runaway_tenant}
    half = len(plan.requests) // 2
    before, after = (
        sum(request.owner.tenant_id == plan.runaway_tenant for request in part)
        for part in (plan.requests[:half], plan.requests[half:])
    )
    assert after > 3 * before


def test_too_many_tenants() -> None:
    with pytest.raises(ValueError, match="1 to 240"):
        make_plan(seed=1, calls=1, tenants=241)


def test_a_mix_without_accidents() -> None:
    quiet = Mix(hang_up=0, error=0, retry=0, broken=0, odd_usage=0, no_tenant=0, stream=0)
    for request in make_plan(seed=1, calls=500, mix=quiet).requests:
        assert request.fault is None
        assert request.hang_up_after is None
        assert not request.is_stream
        assert request.owner.tenant_id


OWNER = Owner("acme", "u 1", "chat", "req-1", "user", "run-1", "plan")


def test_carriers_tell_what_they_should() -> None:
    baggage = dict(
        member.split("=", 1) for member in carry("baggage", OWNER).headers["baggage"].split(",")
    )
    assert {name: unquote(value) for name, value in baggage.items()} == {
        "tenant.id": "acme",
        "user.id": "u 1",
        "feature": "chat",
        "agent.run.id": "run-1",
        "workflow.step": "plan",
        "request.origin": "user",
        "request.id": "req-1",
    }
    assert carry("tollbook_headers", OWNER).headers["x-tollbook-tenant"] == "acme"
    assert "x-tollbook-tenant" not in carry("virtual_key", OWNER).headers
    portkey = json.loads(carry("portkey", OWNER).headers["x-portkey-metadata"])
    assert (portkey["tenant_id"], portkey["_user"]) == ("acme", "u 1")
    helicone = carry("helicone", OWNER).headers
    assert helicone["Helicone-Property-Tenant-Id"] == "acme"
    assert helicone["Helicone-Session-Id"] == "run-1"
    assert "tenant_id:acme" in carry("litellm", OWNER).headers["x-litellm-tags"].split(",")
    native = carry("openai_metadata", OWNER)
    assert native.headers == {}
    assert native.body["metadata"]["tenant_id"] == "acme"
    anthropic = carry("anthropic_user", OWNER)
    assert anthropic.body == {"metadata": {"user_id": "u 1"}}
    assert anthropic.headers["x-tollbook-tenant"] == "acme"
    assert carry("none", OWNER) == ({}, {})
    assert not fits("openai_metadata", "openai", "embeddings")


def test_a_virtual_key_is_used_where_the_tenant_has_one(plan: Plan) -> None:
    planned = next(r for r in plan.requests if r.carrier == "virtual_key")
    tenant = str(planned.owner.tenant_id)
    with_key = prepare(planned, "sk-sim-own", {tenant: "tb-key"}, 10)
    assert with_key.api_key == "tb-key"
    assert "x-tollbook-tenant" not in with_key.headers
    without = prepare(planned, "sk-sim-own", {}, 10)
    assert without.api_key == "sk-sim-own"
    assert without.headers["x-tollbook-tenant"] == tenant
