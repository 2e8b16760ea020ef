"""What is read in one step is what the long way reads."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.openai_cost import NO_COST, reported_cost
from tollbook.dialects.openai_fees import has_fees
from tollbook.dialects.openai_plain_usage import plain_kinds
from tollbook.dialects.openai_usage import kinds_of, merged_usage, read_openai_usage
from tollbook.usage import Kinds, kinds_from

_COUNTS = st.one_of(st.none(), st.integers(-1, 12), st.sampled_from([0.5, "3", 10**13]))
_FEW = st.one_of(st.none(), st.integers(0, 4))
_INPUT = st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]), _FEW
)
_OUTPUT = st.dictionaries(
    st.sampled_from(["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "other"]),
    _FEW,
)
_USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"], _COUNTS
        ),
        "total_tokens": _COUNTS,
        "prompt_tokens_details": st.one_of(st.none(), _INPUT),
        "input_tokens_details": st.one_of(st.none(), _INPUT),
        "completion_tokens_details": st.one_of(st.none(), _OUTPUT),
        "output_tokens_details": st.one_of(st.none(), _OUTPUT),
        "cost": st.just(0.5),
        "num_sources_used": st.just(2),
    },
)


@st.composite
def _agreeing(draw: st.DrawFn) -> dict[str, object]:
    """Return a usage as the API sends it, perhaps with a member more or of the other API."""
    given_names = draw(st.sampled_from([("prompt", "completion"), ("input", "output")]))
    one, other = draw(st.integers(0, 12)), draw(st.integers(0, 12))
    usage: dict[str, object] = {
        f"{given_names[0]}_tokens": one,
        f"{given_names[1]}_tokens": other,
        "total_tokens": one + other,
        f"{given_names[0]}_tokens_details": draw(_INPUT),
        f"{given_names[1]}_tokens_details": draw(_OUTPUT),
    }
    if draw(st.booleans()):
        usage |= draw(_USAGE)
    return usage


@given(st.one_of(_USAGE, _agreeing()))
def test_what_is_read_at_once_is_what_the_long_way_reads(members: dict[str, object]) -> None:
    raw = msgspec.json.encode(members)
    kinds = plain_kinds(raw)
    if kinds is None:
        return
    usage, problems = merged_usage((raw,))
    assert usage is not None
    assert problems == ()
    assert kinds_of(usage) == (kinds, (), ())
    assert not has_fees(usage)
    assert reported_cost((raw,)) == NO_COST


@pytest.mark.parametrize(
    ("raw", "kinds"),
    [
        (
            (b'{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,"prompt_tokens_details":'
            b'{"cached_tokens":4,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens"'
            b':2,"audio_tokens":1,"accepted_prediction_tokens":1,"rejected_prediction_tokens":0}}'),
            Kinds(
                5, 4, input_audio_tokens=1, visible_output_tokens=4, reasoning_tokens=2,
                output_audio_tokens=1,
            ),
        ),
        (
            (b'{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},'
            b'"output_tokens":7,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":17}'),
            Kinds(3, 4, 3, visible_output_tokens=5, reasoning_tokens=2),
        ),
    ],
)  # fmt: skip
def test_the_usual_usage_is_read_at_once(raw: bytes, kinds: Kinds) -> None:
    assert plain_kinds(raw) == kinds
    assert read_openai_usage((raw,)).kinds == kinds


@pytest.mark.parametrize(
    "raw",
    [
        b'{"prompt_tokens":10,"completion_tokens":7,"cost":0.1}',
        b'{"prompt_tokens":10,"completion_tokens":7,"total_tokens":18}',
        b'{"prompt_tokens":10,"completion_tokens":7,"input_tokens":10}',
        b'{"input_tokens":10,"output_tokens":7,"completion_tokens":7}',
        b'{"prompt_tokens":1,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}',
        b'{"prompt_tokens":10}',
        b'{"prompt_tokens":"ten","completion_tokens":7}',
        b"nothing",
        b"\xff",
    ],
)
def test_anything_else_takes_the_long_way(raw: bytes) -> None:
    assert plain_kinds(raw) is None


def test_kinds_from_all_quantities_in_order() -> None:
    kinds = kinds_from(tuple(range(len(Kinds._fields))))
    assert kinds == Kinds(*range(len(Kinds._fields)))
    assert type(kinds) is Kinds
    assert kinds.characters == 20
