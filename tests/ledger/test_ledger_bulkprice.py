"""Pricing many calls at once says of each what pricing it alone says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.ledger.bulkprice import price_calls
from tollbook.ledger.charge import charge_of
from tollbook.ledger.columns import charge_columns
from tollbook.ledger.store import entry_table
from tollbook.money import Rate
from tollbook.prices.card import RateCard, Step, make_card
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATE = st.none() | st.builds(
    Rate, st.sampled_from([0, 1, 75_000, 2_500_000, 10**10, 10**14]), st.sampled_from([1, 1, 3])
)
_RATES = st.lists(_RATE, min_size=len(KINDS), max_size=len(KINDS)).map(tuple)
_CARD = st.builds(
    lambda rates, steps: make_card(
        provider="p", model="m", source="contract", rates=rates, steps=tuple(steps)
    ),
    _RATES,
    st.lists(st.builds(Step, st.integers(0, 40), _RATES, st.booleans()), max_size=2),
)
_COUNT = st.sampled_from([0, 0, 1, 7, 20, 40, 10**12])
_OPENAI = (
    b'{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},'
    b'"completion_tokens_details":{"reasoning_tokens":%d}}'
)
_USAGE = st.tuples(_COUNT, _COUNT, _COUNT, _COUNT).map(lambda counts: (_OPENAI % counts,)) | (
    st.sampled_from([(), (b"nonsense",), (b'{"prompt_tokens":1}', b'{"completion_tokens":2}')])
)


@st.composite
def _calls(draw: st.DrawFn) -> Call:
    opened = CallOpened(
        bytes(16), 1_790_000_000_000_000_123, Identity(), "p", "openai", "chat",
        draw(st.sampled_from([*[Metering.METERED] * 5, Metering.FREE, Metering.UNMETERED])),
        "POST", "/", draw(st.sampled_from(["0", "1", "2", "none"])), input_chars=50,
    )  # fmt: skip
    closed = CallClosed(
        bytes(16), 0, draw(st.sampled_from([*[Status.OK] * 5, *Status])), usage=draw(_USAGE),
        usage_complete=draw(st.booleans()), is_billable=draw(st.sampled_from([True, True, False])),
    )  # fmt: skip
    return Call(opened, closed, Evidence("w", 1, 0, "1"))


@settings(deadline=None, max_examples=200)
@given(st.lists(_calls(), min_size=1, max_size=12), st.lists(_CARD, min_size=3, max_size=3))
def test_many_at_once_is_each_alone(calls: list[Call], cards: Sequence[RateCard]) -> None:
    def resolve(
        _: str, model: str | None, __: int, ___: str | None, ____: str | None
    ) -> RateCard | None:
        return None if model == "none" else cards[int(model or 0)]

    charges = [charge_of(call, resolve) for call in calls]
    priced = price_calls(calls, resolve)
    alone = charge_columns(charges)
    assert entry_table(priced.columns, len(calls)) == entry_table(alone, len(calls))
    assert priced.card_ids == {one.card_id for one in charges if one.card_id is not None}
