"""Fifty thousand calls against the provider's own log: tokens and dollars, call by call."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.cli.tieout import LEDGER_KIND
from tollbook.ids import to_text
from tollbook.money import usd_decimal
from tollbook.simulator.bill import NO_TENANT, bill, bill_by_tenant, leaks
from tollbook.simulator.drive_raw import drive_raw
from tollbook.simulator.outcomes import read_client_log
from tollbook.simulator.traffic import Mix, make_plan
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20261121
CALLS = 50_000


@pytest.mark.slow
def test_fifty_thousand_calls_tie_out_with_the_true_bill(make_house: Callable[..., Any]) -> None:
    mix = Mix(stream=0.5, hang_up=0.05, error=0.03, retry=0.02, broken=0.005, usage_absent=0.002)
    plan = make_plan(seed=SEED, calls=CALLS, tenants=200, mix=mix)
    print(f"seed {SEED}")
    house = make_house(workers=2)
    keys = {
        tenant.id: house.key(f"tenant-{tenant.id}", tenant_id=tenant.id)
        for tenant in plan.tenants[:40]
    }
    shared = house.key("product")

    done = drive_raw(
        plan.requests,
        house.url,
        house.data_dir / "product.jsonl",
        api_key=shared,
        virtual_keys=keys,
        concurrency=96,
    )
    house.stop()

    truth = read_truth(house.simulator.log_dir)
    rows = house.records("SELECT * FROM entries")
    arrived = [row for row in rows if row["status"] != "rejected"]
    assert done.total == CALLS
    assert leaks(truth) == {}, "identity reached the provider"
    assert Counter(row["kind"] for row in rows) == {"charge": len(rows)}

    # Every arrival at the provider is one charge, and there is no other charge.
    assert len(arrived) == len(truth)
    by_request = {row["provider_request_id"]: row for row in arrived if row["provider_request_id"]}
    answered = [call for call in truth if call.ended and call.ended.http_status is not None]
    unlinked = len(truth) - len(by_request)
    assert unlinked <= len(truth) - len(answered) + sum(
        call.ended is not None and call.ended.client_hung_up for call in answered
    )

    # Wherever the provider reported usage, tokens and dollars are its own; elsewhere we say so.
    linked_truth = {
        call.ended.provider_request_id: call
        for call in truth
        if call.ended and call.ended.provider_request_id
    }
    states: Counter[str] = Counter()
    for request_id, row in by_request.items():
        call = linked_truth[request_id]
        assert call.ended is not None
        if call.usage_delivered:
            ours = {kind: row[column] for kind, column in LEDGER_KIND.items()}
            assert ours == call.quantities._asdict(), request_id
            assert row["usage_source"] == "reported"
            assert row["cost_usd"] == Decimal(call.ended.cost_usd), request_id
            states["reported"] += 1
        else:
            assert row["usage_source"] == "estimated" or row["status"] == "error", row
            states[row["usage_source"] + " " + row["status"]] += 1
    for row in arrived:
        if row["provider_request_id"] is None:
            assert row["usage_source"] == "estimated" or row["status"] == "error", row

    def is_reported(call: Any) -> bool:
        return bool(call.usage_delivered)

    ours_by_tenant = dict(
        house.rows(
            "SELECT coalesce(tenant_id, 'unknown'), sum(cost_usd) FROM entries"
            " WHERE usage_source = 'reported' GROUP BY 1"
        )
    )
    theirs = bill_by_tenant(truth, plan.tenant_of(), where=is_reported)
    assert NO_TENANT in theirs
    assert {tenant: usd_decimal(one.total_pico) for tenant, one in theirs.items()} == {
        tenant: cost for tenant, cost in ours_by_tenant.items() if tenant in theirs
    }
    assert sum(ours_by_tenant.values()) == usd_decimal(bill(truth, where=is_reported).total_pico)

    # What the product saw is what the ledger knows.
    known = {str(row["call_id"]) for row in rows}
    seen = [record.seen.call_id for record in read_client_log(done.log_path)]
    assert {call_id for call_id in seen if call_id} <= known
    assert to_text(bytes(16)) not in known
    print(f"{len(rows)} calls at {done.calls_per_s}/s, {dict(states)}, {unlinked} unlinked")
