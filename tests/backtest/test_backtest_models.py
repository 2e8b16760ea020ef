"""Models over a ledger: what they spread, how far off that is, and what weights would fit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.periods.finance_kit import World, usd
from tests.terms.terms_kit import Made, make

from tollbook.books.documents import Subject, documents_at
from tollbook.chargeback.allocate import models_operations as operations
from tollbook.chargeback.allocate import operations as allocation
from tollbook.chargeback.allocate.metrics import MetricError
from tollbook.chargeback.allocate.models import model_shares
from tollbook.chargeback.allocate.models_document import ModelError, read_model

if TYPE_CHECKING:
    from collections.abc import Mapping

IN, OUT = "uncached_input_tokens", "visible_output_tokens"
SINCE, UNTIL = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)


def fill(world: World) -> None:
    """Acme makes many small calls of a cheap model, globex a few great ones of a dear one."""
    calls = [Made({IN: 100, OUT: 20}, rate=1_000, model="mini") for _ in range(6)]
    calls += [
        Made({IN: 400, OUT: 200}, rate=9_000, model="big", tenant="globex", feature="agent")
        for _ in range(2)
    ]
    calls += [
        Made({IN: 50}, rate=5_000, tenant="initech", provider="anthropic"),
        Made({IN: 10_000}, rate=5_000, tenant=None),
    ]
    make(world, calls)


def keep(world: World, name: str, method: Mapping[str, Any], **more: Any) -> None:
    body = {"method": method, **more}
    world.ask(operations.IMPORT, name=name, body=body, effective_from="2026-01", reason="trial")


def run(world: World, models: str = "", *, suggest: bool = False) -> Any:
    return world.ask(operations.BACKTEST, period="2026-08", models=models, suggest=suggest)


def modelled(answer: Any, model: str) -> dict[str, int]:
    return {row["tenant"]: usd(row["model_usd"]) for row in answer["rows"] if row["model"] == model}


DIRECT = {"acme": 720_000, "globex": 10_800_000, "initech": 250_000}


def test_models_spread_each_providers_cost_and_are_held_against_direct(world: World) -> None:
    fill(world)
    keep(world, "truth", {"type": "direct"})
    answer = run(world)
    assert [one["model"] for one in answer["models"]] == ["calls", "tokens", "prices", "truth"]
    assert modelled(answer, "truth") == DIRECT
    # 8 calls of openai, 6 of acme; anthropic has one tenant.
    assert modelled(answer, "calls") == {
        "acme": 8_640_000, "globex": 2_880_000, "initech": 250_000,
    }  # fmt: skip
    # 720 tokens to 1,200.
    assert modelled(answer, "tokens") == {
        "acme": 4_320_000, "globex": 7_200_000, "initech": 250_000,
    }  # fmt: skip
    assert modelled(answer, "prices") == DIRECT
    calls = answer["models"][0]
    assert calls["misplaced_usd"] == "0.000007920000"
    assert calls["total_variation"] == "0.672897"
    assert calls["rank_changes"] == 2
    assert calls["overcharged"] == [{"tenant": "acme", "divergence_usd": "0.000007920000"}]
    assert calls["undercharged"] == [{"tenant": "globex", "divergence_usd": "-0.000007920000"}]
    # The root of two thirds of 7.92 squared.
    assert calls["rmse_usd"] == "0.000006466652"
    row = next(one for one in answer["rows"] if one["model"] == "calls" and one["tenant"] == "acme")
    assert row["divergence_percent"] == "1100.00"
    assert (row["rank_direct"], row["rank_model"], row["rank_change"]) == (2, 1, 1)


def test_weights_features_and_metrics_are_activities_too(world: World) -> None:
    fill(world)
    keep(world, "ratio", {"type": "weighted", "weights": [
        {"model": "big", "weight": "9"}, {"kind": "*output*", "weight": "0.5"}],
        "default": "1"}, pools=[])  # fmt: skip
    keep(world, "use", {"type": "features", "weights": {"agent": "3", "*": "1"}})
    keep(world, "output", {"type": "tokens", "measure": "output_tokens"})
    text = "tenant,date,quantity\nacme,2026-08-01,1\nglobex,2026-08-01,2\numbrella,2026-08-01,1\n"
    world.ask(allocation.IMPORT_METRIC, name="documents", csv=text, reason="trial")
    keep(world, "documents", {"type": "metric", "metric": "documents"}, pools=[])
    answer = run(world, "ratio,use,output,documents")
    whole = sum(DIRECT.values())
    assert sum(modelled(answer, "ratio").values()) == whole
    # 660 + 10,800 + 50 weights share all of the cost.
    assert modelled(answer, "ratio")["initech"] == round(whole * 50 / 11_510)
    assert modelled(answer, "use") == {"acme": 5_760_000, "globex": 5_760_000, "initech": 250_000}
    # Nobody has output of anthropic: that is said, and not spread.
    summary = {one["model"]: one for one in answer["models"]}
    assert summary["output"]["unassigned_usd"] == "0.000000250000"
    assert modelled(answer, "documents") == {
        "acme": whole // 4, "globex": whole // 2, "umbrella": whole // 4, "initech": 0,
    }  # fmt: skip
    row = next(one for one in answer["rows"] if one["tenant"] == "umbrella")
    assert row["divergence_percent"] is None


def test_only_some_activity_counts_while_all_cost_is_spread(world: World) -> None:
    fill(world)
    keep(world, "agents", {"type": "calls"}, where=["feature=agent"])
    answer = run(world, "agents")
    assert modelled(answer, "agents") == {"globex": 11_520_000, "acme": 0, "initech": 0}
    assert answer["models"][0]["unassigned_usd"] == "0.000000250000"


def test_suggested_weights_find_the_rates_that_were_charged(world: World) -> None:
    make(world, [
        Made({IN: 100 * at + 7, OUT: 11 * at * at}, rate=rate, model=model, tenant=f"t{at}",
             feature=model)
        for at in range(1, 9) for model, rate in (("mini", 1_000), ("big", 9_000))
        if at % 3 or model == "mini"
    ])  # fmt: skip
    answer = run(world, "calls", suggest=True)
    weights, features = answer["suggestions"]
    assert {
        (one["model"], one["kind"]): one["weight"] for one in weights["body"]["method"]["weights"]
    } == {
        ("mini", IN): "0.001", ("mini", OUT): "0.001", ("big", IN): "0.009", ("big", OUT): "0.009",
    }  # fmt: skip
    summary = {one["model"]: one for one in answer["models"]}
    assert summary["suggested-weights"]["total_variation"] == "0.000000"
    off = [Decimal(summary[name]["total_variation"]) for name in ("calls", "suggested-features")]
    assert 0 < off[1] < off[0]
    # What is suggested can be imported as it is, and does the same.
    world.ask(operations.IMPORT, name="fit", body=features["body"], effective_from="2026-01",
              reason="of August")  # fmt: skip
    again = run(world, "fit")
    assert modelled(again, "fit") == modelled(answer, "suggested-features")


def test_a_policy_spreads_what_nobody_owns_by_a_model(world: World) -> None:
    fill(world)
    keep(world, "use", {"type": "calls"})
    held = documents_at(world.books, Subject.ATTRIBUTION_MODEL, 1786000000 * 10**9)["use"]
    shares = model_shares(world.desk(), held, SINCE, UNTIL)
    assert {who: share * 11_770_000 // sum(shares.values()) for who, share in shares.items()} == {
        "acme": 8_640_000, "globex": 2_880_000, "initech": 250_000,
    }  # fmt: skip
    rule = {"name": "rest", "source": {"unattributed": True},
            "method": {"type": "model", "model": "use"}}  # fmt: skip
    world.ask(allocation.IMPORT_POLICY, body={"rules": [rule]}, effective_from="2026-01",
              reason="trial")  # fmt: skip
    world.ask(allocation.RUN, period="2026-08")
    found = world.total("tenant", period="2026-08")
    assert found.keys() == {("acme",), ("globex",), ("initech",)}
    assert sum(found.values()) == 61_770_000
    assert found["acme",] == 720_000 + round(50_000_000 * 8_640_000 / 11_770_000)


def test_nothing_known_is_nothing_spread(world: World) -> None:
    answer = run(world, suggest=True)
    assert (answer["rows"], answer["suggestions"]) == ([], [])
    assert answer["models"][0]["total_variation"] is None


def test_models_that_are_not_there_are_told(world: World) -> None:
    with pytest.raises(ModelError, match="'mine': is not in force in 2026-08; known: calls"):
        run(world, "mine")
    keep(world, "gone", {"type": "metric", "metric": "nowhere"})
    fill(world)
    with pytest.raises(MetricError, match="nowhere"):
        run(world, "gone")
    listed = world.ask(operations.MODELS)["rows"]
    assert [(one["name"], one["version"]) for one in listed] == [("gone", 1)]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"method": {"type": "tokens", "measure": "cost_usd"}}, "measure: 'cost_usd' is no token"),
        ({"method": {"type": "features", "weights": {}}}, "expected one above zero"),
        ({"method": {"type": "weighted", "weights": [{"weight": "x"}]}}, "'x' is not a number"),
        ({"method": {"type": "calls"}, "pools": ["model", "model"]}, "is there twice"),
        ({"method": {"type": "calls"}, "where": ["colour=red"]}, "colour"),
        ({"method": {"type": "guess"}}, "guess"),
    ],
)
def test_a_wrong_model_is_told(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(ModelError, match=f"attribution model 'm': .*{problem}"):
        read_model("m", msgspec.json.encode(body))
