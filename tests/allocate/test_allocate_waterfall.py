"""Any policy over any cells: what rules take and give is the same, and the sum never changes."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.chargeback.allocate.cells import Cell, Cells
from tollbook.chargeback.allocate.policy import Policy, PolicyError, grouped_by, read_policy
from tollbook.chargeback.allocate.waterfall import Moved, Outcome, Outside, run_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

TENANTS = [None, "acme", "globex", "initech", "platform"]
FILTERS = ["tenant=", "tenant=platform", "feature=evaluation", "adjustment=idle_commitment",
           "provider!=openai", "tenant=acme,platform"]  # fmt: skip
WEIGHT = st.integers(0, 30).map(str)
NAMES = st.sampled_from(["acme", "globex", "initech", "platform", "new one"])


def _methods() -> st.SearchStrategy[dict[str, Any]]:
    metric = st.sampled_from(["calls", "tokens", "cost", "cost_so_far", "seats"])
    bands = st.lists(WEIGHT, min_size=1, max_size=3).map(
        lambda weights: [
            {"weight": weight} | ({"upto": str(10 * at)} if at < len(weights) else {})
            for at, weight in enumerate(weights, 1)
        ]
    )
    return st.one_of(
        st.just({"type": "even"}),
        st.dictionaries(NAMES, st.integers(1, 20), min_size=1).map(
            lambda found: {"type": "fixed",
                           "shares": {name: str(Decimal(n) / 100) for name, n in found.items()}}
        ),
        st.builds(lambda basis: {"type": "proportional", "basis": basis},
                  st.sampled_from(["direct", "so_far"])),
        st.builds(lambda name, missing: {"type": "metric", "metric": name, "missing": missing},
                  metric, st.sampled_from(["skip", "average", "refuse"])),
        st.builds(lambda weights, of: {"type": "weighted", "weights": weights | {"*": "1"},
                                       "of": of},
                  st.dictionaries(NAMES, WEIGHT), st.none() | metric),
        st.builds(lambda one, other, weight: {"type": "blend", "parts": [
            {"metric": one, "weight": weight}, {"metric": other, "weight": "1"}]},
            metric, metric, WEIGHT),
        st.builds(lambda name, found, graduated: {
            "type": "tiered", "metric": name, "bands": found, "graduated": graduated},
            metric, bands, st.booleans()),
        st.just({"type": "model", "model": "by activity"}),
        st.builds(lambda tenant: {"type": "keep", "tenant": tenant}, st.none() | NAMES),
    )  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules: list[dict[str, Any]] = [
        {
            "name": f"rule-{at}",
            "source": {"where": draw(st.lists(st.sampled_from(FILTERS), min_size=1, max_size=2)),
                       "share": draw(st.sampled_from(["1", "0.5", "0.333", "0"]))},
            "method": draw(_methods()),
            "to": {"by": draw(st.sampled_from([["tenant"], ["tenant", "feature"]])),
                   "exclude": draw(st.lists(NAMES, max_size=1)),
                   "minimum_share": draw(st.sampled_from(["0", "0.05", "0.4"]))},
            "fallback": draw(st.sampled_from(["keep", "even"])),
        }
        for at in range(draw(st.integers(1, 4)))
    ]  # fmt: skip
    for rule in rules:
        if rule["method"]["type"] == "fixed":
            rule["to"]["by"] = ["tenant"]
    body = {"rules": rules, "keep": draw(st.sampled_from([[], ["provider"],
                                                          ["provider", "model"]]))}  # fmt: skip
    return read_policy(msgspec.json.encode(body))


@st.composite
def cells_for(draw: st.DrawFn, policy: Policy) -> Cells:
    names = grouped_by(policy)
    values: dict[str, list[str | None]] = {
        "tenant": TENANTS, "team": [None, "t1"], "cost_center": [None], "adjustment": [
            None, "idle_commitment"], "feature": [None, "chat", "evaluation"],
        "provider": ["openai", "azure", None], "model": ["m"],
    }  # fmt: skip
    keys = draw(st.lists(
        st.tuples(*(st.sampled_from(values[name]) for name in names)), unique=True, max_size=25
    ))  # fmt: skip
    return Cells(names, [
        Cell(key, draw(st.integers(-10**15, 10**18)),
             {"calls": draw(st.integers(0, 99)), "tokens": draw(st.integers(0, 10**9))})
        for key in keys
    ])  # fmt: skip


OUTSIDE = Outside(
    metric=lambda _: {"acme": Fraction(3), "globex": Fraction(1, 3)},
    model=lambda _: {"acme": 7, "initech": 1},
)


@settings(max_examples=60)
@given(st.data())
def test_parts_sum_to_the_whole(data: st.DataObject) -> None:
    policy = data.draw(policies())
    cells = data.draw(cells_for(policy))
    outcome = run_policy(policy, cells, OUTSIDE)
    assert sum(one.amount for one in outcome.moved) == 0
    pools: dict[tuple[Any, ...], list[Moved]] = defaultdict(list)
    for one in outcome.moved:
        pools[one.rule, one.kept].append(one)
    for pool in pools.values():
        assert sum(one.amount for one in pool) == 0
        ratios = [Decimal(one.ratio) for one in pool if one.ratio is not None]
        assert sum(ratios) == 1
    # By whatever the policy keeps, nothing moves either.
    kept: dict[Any, int] = defaultdict(int)
    for one in outcome.moved:
        kept[one.kept] += one.amount
    assert not any(kept.values())
    assert run_policy(policy, cells, OUTSIDE) == outcome


def _run(
    rules: list[dict[str, Any]], cells: Mapping[tuple[str | None, str | None], int],
    outside: Outside = OUTSIDE,
) -> tuple[dict[str | None, int], Outcome]:  # fmt: skip
    """Run over cells of tenant and feature; return what each tenant has then."""
    policy = read_policy(msgspec.json.encode({"rules": rules}))
    names = grouped_by(policy)
    made = [
        Cell(tuple({"tenant": tenant, "feature": feature, "provider": "openai"}.get(name)
                   for name in names), cost, {"calls": 1, "tokens": cost})
        for (tenant, feature), cost in cells.items()
    ]  # fmt: skip
    outcome = run_policy(policy, Cells(names, made), outside)
    after: dict[str | None, int] = defaultdict(int)
    for (tenant, _), cost in cells.items():
        after[tenant] += cost
    for one in outcome.moved:
        after[one.owner[0]] += one.amount
    return {tenant: cost for tenant, cost in after.items() if cost}, outcome


UNATTRIBUTED = {"name": "rest", "source": {"unattributed": True}}
CELLS = {(None, None): 100, ("acme", "chat"): 30, ("globex", "chat"): 10, ("platform", "ops"): 7}


def test_even_spreads_to_those_with_cost_of_their_own() -> None:
    rules = [UNATTRIBUTED | {"method": {"type": "even"}, "to": {"exclude": ["platform"]}}]
    after, _ = _run(rules, CELLS)
    assert after == {"acme": 80, "globex": 60, "platform": 7}


def test_fixed_shares_leave_what_is_lacking_to_one() -> None:
    shares = {"acme": "0.25", "newcomer": "0.5"}
    after, outcome = _run([UNATTRIBUTED | {"method": {"type": "fixed", "shares": shares}}], CELLS)
    assert after == {None: 25, "acme": 55, "globex": 10, "platform": 7, "newcomer": 50}
    assert [one.ratio for one in outcome.moved if one.ratio] == ["0.333333333333", "0.666666666667"]


def test_a_later_rule_spreads_what_an_earlier_one_moved() -> None:
    rules = [
        UNATTRIBUTED | {"method": {"type": "keep", "tenant": "platform"}},
        {"name": "platform", "source": {"where": ["tenant=platform"]},
         "method": {"type": "proportional"}},
    ]  # fmt: skip
    after, _ = _run(rules, CELLS)
    assert after == {"acme": 30 + 80, "globex": 10 + 27}  # 107 by 30:10, largest remainder


def test_so_far_counts_what_was_received() -> None:
    rules = [
        UNATTRIBUTED | {"method": {"type": "fixed", "shares": {"globex": "0.5"}}},
        {"name": "platform", "source": {"where": ["tenant=platform"]},
         "method": {"type": "proportional", "basis": "so_far"},
         "to": {"names": ["acme", "globex"]}},
    ]  # fmt: skip
    after, _ = _run(rules, CELLS | {("platform", "ops"): 9})
    assert after == {None: 50, "acme": 30 + 3, "globex": 60 + 6}


def test_what_is_kept_central_no_later_rule_takes() -> None:
    rules = [
        {"name": "ops", "source": {"where": ["feature=ops"]}, "method": {"type": "keep"}},
        {"name": "platform", "source": {"where": ["tenant=platform"]}, "method": {"type": "even"}},
    ]
    after, outcome = _run(rules, CELLS)
    assert after == {None: 100, "acme": 30, "globex": 10, "platform": 7}
    assert not outcome.moved


@pytest.mark.parametrize(
    ("missing", "expected", "word"),
    [
        ("skip", {"acme": 40, "globex": 90}, "they receive nothing"),
        ("average", {"acme": 85, "globex": 45}, "they receive as the average"),
        ("refuse", {None: 90, "acme": 40}, "nothing is spread"),
    ],
)
def test_a_missing_metric_is_said(missing: str, expected: dict[Any, int], word: str) -> None:
    seats = Outside(metric=lambda _: {"globex": Fraction(2)}, model=OUTSIDE.model)
    rules = [UNATTRIBUTED | {"method": {"type": "metric", "metric": "seats", "missing": missing}}]
    cells: dict[tuple[str | None, str | None], int] = {(None, None): 90, ("acme", None): 40}
    after, outcome = _run(rules, cells, seats)
    assert after == expected
    assert "seats is not known of acme" in outcome.problems[0]
    assert word in outcome.problems[0]


def test_what_is_kept_by_a_tenant_is_the_tenants_whatever_owners_are_else() -> None:
    rules = [UNATTRIBUTED | {"method": {"type": "keep", "tenant": "platform"},
                             "to": {"by": ["team", "feature"]}}]  # fmt: skip
    after, outcome = _run(rules, CELLS)
    assert after == {"acme": 30, "globex": 10, "platform": 107}
    assert [one.owner for one in outcome.moved if one.ratio] == [("platform", None, None, None)]


def test_nobody_to_receive_is_said_and_stays() -> None:
    rules = [UNATTRIBUTED | {"method": {"type": "proportional"}}]
    after, outcome = _run(rules, {(None, None): 5})
    assert after == {None: 5}
    assert outcome.problems == ["rest: there is nobody to receive it; it stays where it is"]


def test_a_credit_is_spread_like_a_cost() -> None:
    rules = [UNATTRIBUTED | {"method": {"type": "proportional"}}]
    after, _ = _run(rules, CELLS | {(None, None): -10})
    assert sum(after.values()) == 37
    assert after == {"acme": 30 - 6, "globex": 10 - 2, "platform": 7 - 2}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"source": {}}, "rule rest: source: expected a filter"),
        ({"source": {"where": ["tennant=x"]}}, "rule rest: there is no 'tennant'"),
        ({"source": {"where": ["day=2026-10-01"]}}, "there is no 'day'"),
        ({"method": {"type": "fixed", "shares": {"a": "0.7", "b": "0.4"}}}, "at most 1"),
        ({"method": {"type": "fixed", "shares": {"a": "1/2"}}}, "'1/2' is not a decimal number"),
        ({"method": {"type": "fixed", "shares": {"a": "NaN"}}}, "'NaN' is not a decimal number"),
        ({"method": {"type": "weighted", "weights": {"a": "0"}}}, "expected one above zero"),
        ({"method": {"type": "tiered", "metric": "calls", "bands": [
            {"upto": "5", "weight": "1"}]}}, "bands: the last has an end"),
        ({"method": {"type": "tiered", "metric": "calls", "bands": [
            {"upto": "5", "weight": "1"}, {"upto": "5", "weight": "1"}, {"weight": "2"}]}},
         "bands: expected to rise"),
        ({"method": {"type": "model", "model": "m"}, "to": {"by": ["team"]}}, "expected tenant in"),
        ({"to": {"by": ["tenant", "team"], "names": ["acme"]}}, "'acme' is not tenant / team"),
        ({"method": {"type": "guess"}}, "Invalid value 'guess'"),
        ({"to": {"by": []}}, "to.by: expected names"),
        ({"name": "Not So"}, "matching regex"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_told_by_its_rule(change: dict[str, Any], problem: str) -> None:
    rule = UNATTRIBUTED | {"method": {"type": "even"}} | change
    with pytest.raises(PolicyError, match=problem.replace("[", r"\[").replace("(", r"\(")):
        read_policy(msgspec.json.encode({"rules": [rule]}))
