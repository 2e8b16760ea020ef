"""The causes add up to the difference to the last digit, whatever the two sides say."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.chargeback.reconcile.keys import Key
from tollbook.chargeback.reconcile.ledgerside import LedgerCell, LedgerSide, Term
from tollbook.chargeback.reconcile.lines import Line, Other, Who
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.reconcile.providerside import ProviderSide
from tollbook.chargeback.reconcile.rule_invoice import SUBUNIT, rounding_tolerance
from tollbook.chargeback.reconcile.rules import explain
from tollbook.chargeback.reconcile.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, DAYS = 20_000, 6
_days = st.integers(FIRST - 1, FIRST + DAYS)
_keys = st.builds(
    Key,
    model=st.sampled_from(["a", "b", "c", None]),
    kind=st.sampled_from([
        "uncached_input_tokens", "cache_read_tokens", "visible_output_tokens",
        "reasoning_tokens", "web_search_requests", None,
    ]),
    tier=st.sampled_from([None, "batch"]),
    region=st.sampled_from([None, "eu"]),
    context=st.sampled_from([None, "0-200k"]),
)  # fmt: skip
_tokens = st.integers(0, 5000)
_money = st.integers(-(10**13), 10**13)
_cells = st.builds(
    LedgerCell, tokens=_tokens, cost=st.integers(0, 10**13), estimated=st.sampled_from([0, 50]),
    unpriced=st.just(0),
)  # fmt: skip
_lines = st.builds(
    Line,
    day=_days, offset_ns=st.sampled_from([0, 7_200 * 10**9]), days=st.sampled_from([1, 1, 1, 4]),
    key=_keys, who=st.builds(Who, st.sampled_from([None, "p"]), st.sampled_from([None, "k", "l"])),
    quantity=st.one_of(st.none(), _tokens), amount=_money, lines=st.integers(1, 3),
)  # fmt: skip
_others = st.builds(
    Other,
    cause=st.sampled_from([
        Cause.TAX, Cause.CREDIT, Cause.FEE, Cause.COMMITMENT, Cause.MINIMUM, Cause.ROUNDING,
    ]),
    description=st.sampled_from(["one", "two"]), amount=_money, name=st.just("st:2"),
)  # fmt: skip
_terms = st.builds(
    Term,
    adjustment=st.sampled_from([
        "volume_tier", "free_quota", "minimum", "commitment", "idle_commitment", "credit",
    ]),
    key=_keys, amount=_money,
)  # fmt: skip


def _ledger(
    cells: dict[tuple[int, Key], LedgerCell], calls: Mapping[tuple[int, str | None], int],
    terms: list[Term],
) -> LedgerSide:  # fmt: skip
    def hours(first: int, last: int) -> dict[tuple[int, Key], LedgerCell]:
        # Everything of a day in its first hour.
        return {
            (day * 24, key): one for (day, key), one in cells.items() if first <= day * 24 < last
        }

    inside = sum(one.cost for (day, _), one in cells.items() if FIRST <= day < FIRST + DAYS)
    return LedgerSide(
        cells=cells, calls=dict.fromkeys(("a", "b"), 7), silent=dict(calls),
        not_billed=dict(calls), terms=terms, cost=inside + sum(one.amount for one in terms),
        trued_up=0, hours=hours,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    cells=st.dictionaries(st.tuples(_days, _keys), _cells, max_size=14),
    usage=st.lists(_lines, max_size=14),
    money=st.lists(_lines, max_size=14),
    others=st.lists(_others, max_size=4),
    terms=st.lists(_terms, max_size=4),
    silent=st.dictionaries(
        st.tuples(_days, st.sampled_from(["a", "b", "c"])), st.integers(1, 3), max_size=4
    ),
    payable=st.one_of(st.none(), _money),
    own_keys=st.sampled_from([(), ("k",)]),
    currency=st.sampled_from(["USD", "EUR"]),
)
def test_causes_add_up(
    cells: dict[tuple[int, Key], LedgerCell], usage: list[Line], money: list[Line],
    others: list[Other], terms: list[Term], silent: dict[tuple[int, str | None], int],
    payable: int | None, own_keys: tuple[str, ...], currency: str,
) -> None:  # fmt: skip
    ledger = _ledger(cells, silent, terms)
    usage = [line._replace(amount=None) for line in usage]
    total = None if payable is None else payable + sum(one.amount for one in others)
    provider = ProviderSide(
        usage=usage, money=money, others=others if payable is not None else [],
        usage_total=payable, total=total, is_invoiced=True, currency=currency, unit=1, rows=3,
        is_final=True, bill=None, statements=(), words=(),
    )  # fmt: skip
    world = World(ledger, provider, FIRST, FIRST + DAYS, lambda _key, _day: Fraction(3, 7))
    findings = explain(world, own_keys)
    found = findings.differences("p", "2024-10")
    assert sum(one.amount for one in found) == findings.total()
    if total is not None:
        assert findings.total() == total - ledger.cost
    for one in found:
        assert sum(part.amount for part in one.parts) == one.amount
        assert sum(part.tokens for part in one.parts) == one.tokens
    assert len({one.fingerprint for one in found}) == len(found)


def test_rounding_tolerance_is_that_of_focus() -> None:
    assert rounding_tolerance(0) == 100 * SUBUNIT
    assert rounding_tolerance(40_000) == 100 * SUBUNIT
    assert rounding_tolerance(1_000_000) == 500 * SUBUNIT
