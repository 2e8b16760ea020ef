"""A tie-out sees every difference, and opposite ones do not cancel."""

from __future__ import annotations

from typing import Any

from tollbook.cli import tieout
from tollbook.simulator.bill import Amount, Bill, LineKey
from tollbook.usage import KINDS


def a_bill(**tokens: tuple[int, int]) -> Bill:
    return Bill(
        {
            LineKey("2026-11-21", "openai", "gpt-4o", kind): Amount(*amount)
            for kind, amount in tokens.items()
        },
        1,
        0,
    )


def a_row(**amounts: tuple[int, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"provider": "openai", "model": "gpt-4o"}
    for kind in KINDS:
        row[kind], row[f"{kind}_cost_usd"] = amounts.get(kind, (0, None))
    return row


def test_equal_lines_hold() -> None:
    found = tieout.by_model_and_kind(
        [a_row(uncached_input_tokens=(10, "0.000025"), visible_output_tokens=(2, "0.00002"))],
        a_bill(uncached_input=(10, 25_000_000), visible_output=(2, 20_000_000)),
    )

    assert found.holds
    assert found.lines == 2
    assert found.line() == "tie-out difference: 0.000000000000 USD"


def test_opposite_differences_do_not_cancel() -> None:
    found = tieout.by_model_and_kind(
        [a_row(uncached_input_tokens=(10, "0.000026"), visible_output_tokens=(2, "0.000019"))],
        a_bill(uncached_input=(10, 25_000_000), visible_output=(2, 20_000_000)),
    )

    assert not found.holds
    assert found.ledger_pico == found.bill_pico
    assert found.line() == "tie-out difference: 0.000002000000 USD"


def test_equal_dollars_of_different_tokens_do_not_hold() -> None:
    found = tieout.by_model_and_kind(
        [a_row(uncached_input_tokens=(11, "0.000025"))], a_bill(uncached_input=(10, 25_000_000))
    )

    assert not found.holds


def test_a_line_on_one_side_only_is_a_difference() -> None:
    ours = tieout.by_model_and_kind([a_row(reasoning_tokens=(1, "0.00001"))], a_bill())
    theirs = tieout.by_tenant([], {"acme": a_bill(uncached_input=(10, 25_000_000))})

    assert [one.what[-1] for one in ours.differences] == ["reasoning_tokens"]
    assert [one.what for one in theirs.differences] == [("acme",)]
    assert theirs.line() == "tie-out difference: 0.000025000000 USD"
