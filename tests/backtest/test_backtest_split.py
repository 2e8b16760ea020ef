"""Calls that serve several tenants: moved to each by its part, once, and again as they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.terms.terms_kit import AUGUST, Made, adjusted, make

from tollbook.chargeback.allocate import models_split_operations as operations
from tollbook.chargeback.allocate.models_split import read_weights

if TYPE_CHECKING:
    from tests.periods.finance_kit import World

IN = "uncached_input_tokens"


def lines(world: World, batch: str | None, *calls: Made, tags: str | None = None) -> None:
    """Append lines of a batch, or calls with tags."""
    make(world, [one._replace(batch=batch, tags=tags) for one in calls])


def split(world: World, *, batch: str | None = None, applied: bool = True) -> Any:
    operation = operations.BOOK if applied else operations.PREVIEW
    return world.ask(operation, period="2026-08", batch=batch)


def test_lines_of_a_mixed_batch_go_by_the_tokens_of_known_lines(world: World) -> None:
    lines(world, "b1", Made({IN: 300}), Made({IN: 100}, tenant="globex"),
          Made({IN: 41}, tenant=None, feature=None))  # fmt: skip
    lines(world, "b2", Made({IN: 5}, tenant=None))
    lines(world, "b3", Made({IN: 5}))
    make(world, [Made({IN: 7}, tenant=None)])
    preview = split(world, applied=False)
    assert adjusted(world) == {}
    answer = split(world)
    assert [(row["tenant"], row["amount_usd"]) for row in answer["rows"]] == [
        (row["tenant"], row["amount_usd"]) for row in preview["rows"]
    ]
    assert adjusted(world, "tenant") == {
        ("allocation", None): -410, ("allocation", "acme"): 308, ("allocation", "globex"): 102,
    }  # fmt: skip
    assert answer["runs"] == [{"run_id": "split:2026-08:batch-b1:1", "split": "batch-b1",
                               "entries": 3}]  # fmt: skip
    assert split(world)["booked"] == 0
    # Lines that come late change the shares, and only the difference is booked.
    lines(world, "b1", Made({IN: 400}, tenant="globex", at=AUGUST))
    assert split(world, batch="b1")["runs"][0]["run_id"] == "split:2026-08:batch-b1:2"
    found = adjusted(world, "tenant")
    assert found["allocation", "globex"] == 410 - found["allocation", "acme"] == 256
    assert sum(found.values()) == 0


def test_requests_may_say_whom_they_serve(world: World) -> None:
    lines(world, None, Made({IN: 100}, tenant="acme"), tags='{"tenants":"acme:3,globex:1"}')
    lines(world, None, Made({IN: 9}, tenant=None), tags='{"tenants":"globex,initech"}')
    lines(world, None, Made({IN: 9}), tags='{"tenants":"acme:many"}')
    answer = split(world)
    assert adjusted(world, "tenant") == {
        ("allocation", "acme"): -250, ("allocation", "globex"): 250 + 45,
        ("allocation", "initech"): 45, ("allocation", None): -90,
    }  # fmt: skip
    assert answer["problems"] == ["tag tenants: 'acme:many' is not like acme:3,globex:1"]
    assert world.total() == {(): 1_180}
    # The cost centre of who called stays with who called.
    found = adjusted(world, "tenant", "cost_center", "feature")
    assert found["allocation", "globex", None, "chat"] == 295
    assert found["allocation", "acme", "cc-acme", "chat"] == -250


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("acme:3,globex:1", {"acme": 3, "globex": 1}),
        ("acme, globex ", {"acme": 1, "globex": 1}),
        ("acme:0.5,globex:0.25", {"acme": 2, "globex": 1}),
        ("org:acme:2,b", {"org:acme": 2, "b": 1}),
        ("acme:0", None), ("acme,acme", None), ("", None), ("acme:-1", None), ("acme:nan", None),
        ("acme:1e99", None), ("acme,,b", None), ("unknown", None),
    ],
)  # fmt: skip
def test_weights_in_a_tag(text: str, weights: dict[str, int] | None) -> None:
    assert read_weights(text) == weights


@given(st.text(":,.-+0123456789eE ab", max_size=20))
def test_any_tag_is_weights_or_nothing(text: str) -> None:
    weights = read_weights(text)
    assert weights is None or (sum(weights.values()) > 0 and min(weights.values()) >= 0)
