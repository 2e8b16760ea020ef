from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.usage import FEE_KINDS, INPUT_KINDS, KINDS, OUTPUT_KINDS, TOKEN_KINDS, Kinds


@settings(deadline=None)
@given(st.builds(Kinds, *[st.integers(min_value=0, max_value=10**9) for _ in KINDS]))
def test_sums_take_every_token_kind_once_and_no_fee(kinds: Kinds) -> None:
    assert kinds.input_tokens == sum(getattr(kinds, kind) for kind in INPUT_KINDS)
    assert kinds.output_tokens == sum(getattr(kinds, kind) for kind in OUTPUT_KINDS)
    assert kinds.input_tokens + kinds.output_tokens == sum(kinds[: len(TOKEN_KINDS)])


def test_kinds_are_disjoint_and_complete() -> None:
    assert Kinds._fields == KINDS == INPUT_KINDS + OUTPUT_KINDS + FEE_KINDS
    assert len(set(KINDS)) == len(KINDS)


def test_a_call_is_one_request_unless_said_otherwise() -> None:
    assert Kinds()._asdict() == dict.fromkeys(KINDS, 0) | {"requests": 1}
