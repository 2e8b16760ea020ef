"""Raw usage to disjoint kinds, case by case, and estimates where it is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.dialects.registry import dialect_named
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.dialects.base import Measured


def measure(
    *usage: Any,
    dialect: str = "openai",
    metering: Metering = Metering.METERED,
    input_chars: int = 0,
    **closed: Any,
) -> Measured:
    raw = tuple(u if isinstance(u, bytes) else json.dumps(u).encode() for u in usage)
    how: dict[str, Any] = {"usage_complete": bool(raw), "status": Status.OK} | closed
    call = Call(
        CallOpened(
            call_id=b"0" * 16,
            started_at_ns=1,
            identity=Identity(),
            provider="p",
            dialect=dialect,
            operation="chat",
            metering=metering,
            method="POST",
            path="/",
            input_chars=input_chars,
        ),
        CallClosed(call_id=b"0" * 16, closed_at_ns=2, usage=raw, **how),
        Evidence("w", 0, 0, "1"),
    )
    return dialect_named(dialect).measure(call)


def chat(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    whole = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": whole, **more}


OPENAI_CASES = [
    pytest.param(chat(20, 10), Kinds(20, visible_output_tokens=10), 0, id="plain"),
    pytest.param(chat(0, 0), Kinds(), 0, id="explicit zero is zero"),
    pytest.param(
        chat(2006, 300, prompt_tokens_details={"cached_tokens": 1920}),
        Kinds(86, 1920, visible_output_tokens=300),
        0,
        id="cached is part of the prompt",
    ),
    pytest.param(
        chat(10, 60, completion_tokens_details={"reasoning_tokens": 48}),
        Kinds(10, visible_output_tokens=12, reasoning_tokens=48),
        0,
        id="reasoning is part of the completion",
    ),
    pytest.param(
        chat(
            120,
            90,
            prompt_tokens_details={"audio_tokens": 100},
            completion_tokens_details={"audio_tokens": 70},
        ),
        Kinds(20, input_audio_tokens=100, visible_output_tokens=20, output_audio_tokens=70),
        0,
        id="audio both ways",
    ),
    pytest.param(
        chat(120, 1, prompt_tokens_details={"audio_tokens": 100, "cached_tokens": 50}),
        Kinds(0, 50, input_audio_tokens=70, visible_output_tokens=1),
        1,
        id="cached audio",
    ),
    pytest.param(
        chat(
            5,
            9,
            completion_tokens_details={
                "accepted_prediction_tokens": 4,
                "rejected_prediction_tokens": 3,
            },
        ),
        Kinds(5, visible_output_tokens=9),
        0,
        id="predictions are inside the completion",
    ),
    pytest.param(
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 600},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 1050,
        },
        Kinds(100, 300, 600, visible_output_tokens=30, reasoning_tokens=20),
        0,
        id="responses with a cache write",
    ),
    pytest.param({"prompt_tokens": 8, "total_tokens": 8}, Kinds(8), 0, id="embeddings"),
    pytest.param({"total_tokens": 12}, Kinds(12), 0, id="a total only"),
    pytest.param(
        chat(100, 5, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        Kinds(36, 64, visible_output_tokens=5),
        0,
        id="deepseek",
    ),
    pytest.param(
        chat(64, 6, num_cached_tokens=32), Kinds(32, 32, visible_output_tokens=6), 0, id="mistral"
    ),
    pytest.param(
        chat(208, 27, prompt_tokens_details={"cached_tokens": 314}),
        Kinds(0, 208, visible_output_tokens=27),
        1,
        id="more cached than sent",
    ),
    pytest.param(
        chat(10, 5, cache_read_input_tokens=100, cache_creation_input_tokens=20),
        Kinds(10, 100, 20, visible_output_tokens=5),
        1,
        id="cache counts beside the prompt",
    ),
    pytest.param(
        chat(200, 5, cache_read_input_tokens=100, cache_creation_input_tokens=20),
        Kinds(80, 100, 20, visible_output_tokens=5),
        0,
        id="cache counts inside the prompt",
    ),
    pytest.param(
        chat(10, 2, 74, completion_tokens_details={"reasoning_tokens": 62}),
        Kinds(10, visible_output_tokens=2, reasoning_tokens=62),
        1,
        id="reasoning beside the completion",
    ),
    pytest.param(
        chat(9, 201, 585, prompt_tokens_details={"audio_tokens": 375}),
        Kinds(9, input_audio_tokens=375, visible_output_tokens=201),
        1,
        id="audio beside the prompt",
    ),
    pytest.param(
        chat(35, 12, 109),
        Kinds(35, visible_output_tokens=12, reasoning_tokens=62),
        1,
        id="hidden thoughts in the total",
    ),
    pytest.param(chat(35, 12, 20), Kinds(35, visible_output_tokens=12), 1, id="a total too small"),
    pytest.param(
        chat(1, 5, completion_tokens_details={"reasoning_tokens": 9}),
        Kinds(1, reasoning_tokens=5),
        1,
        id="more reasoning than output",
    ),
    pytest.param(
        chat(5, 5, server_tool_use_details={"web_search_requests": 2}),
        Kinds(5, visible_output_tokens=5, web_search_requests=2),
        0,
        id="web searches at openrouter",
    ),
    pytest.param(
        chat(5, 5, server_side_tool_usage_details={"web_search_calls": 3}),
        Kinds(5, visible_output_tokens=5, web_search_requests=3),
        0,
        id="web searches at xai",
    ),
    pytest.param(
        chat(5, 5, prompt_tokens_details=None, completion_tokens_details=None),
        Kinds(5, visible_output_tokens=5),
        0,
        id="details may be null",
    ),
    pytest.param(
        {"prompt_tokens": 5.0, "completion_tokens": "7", "total_tokens": 5},
        Kinds(5),
        1,
        id="odd types",
    ),
    pytest.param(
        {"prompt_tokens": -5, "completion_tokens": 7},
        None,
        1,
        id="a negative count is none",
    ),
]


@pytest.mark.parametrize(("usage", "kinds", "problems"), OPENAI_CASES)
def test_openai(usage: dict[str, Any], kinds: Kinds | None, problems: int) -> None:
    measured = measure(usage)
    if kinds is None:
        assert measured.source is UsageSource.ESTIMATED
    else:
        assert (measured.kinds, measured.source) == (kinds, UsageSource.REPORTED)
        assert len(measured.problems) == problems


def anthropic(inp: int, out: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": inp, "output_tokens": out, **more}


def split(five: int, hour: int) -> dict[str, int]:
    return {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}


ANTHROPIC_CASES = [
    pytest.param([anthropic(7, 3)], Kinds(7, visible_output_tokens=3), 0, id="plain"),
    pytest.param(
        [anthropic(6, 3, cache_read_input_tokens=50, cache_creation_input_tokens=9)],
        Kinds(6, 50, 9, visible_output_tokens=3),
        0,
        id="input excludes the caches",
    ),
    pytest.param(
        [anthropic(6, 3, cache_creation_input_tokens=3000, cache_creation=split(1000, 2000))],
        Kinds(6, 0, 1000, 2000, visible_output_tokens=3),
        0,
        id="writes by lifetime",
    ),
    pytest.param(
        [anthropic(6, 3, cache_creation_input_tokens=3500, cache_creation=split(1000, 2000))],
        Kinds(6, 0, 1500, 2000, visible_output_tokens=3),
        1,
        id="the rest is five minutes",
    ),
    pytest.param(
        [anthropic(6, 3, cache_creation_input_tokens=2500, cache_creation=split(1000, 2000))],
        Kinds(6, 0, 500, 2000, visible_output_tokens=3),
        1,
        id="the split exceeds the total",
    ),
    pytest.param(
        [anthropic(6, 3, cache_creation=split(0, 20))],
        Kinds(6, 0, 0, 20, visible_output_tokens=3),
        0,
        id="a split without a total",
    ),
    pytest.param(
        [anthropic(6, 30, output_tokens_details={"thinking_tokens": 20})],
        Kinds(6, visible_output_tokens=10, reasoning_tokens=20),
        0,
        id="thinking is part of the output",
    ),
    pytest.param(
        [anthropic(6, 3, server_tool_use={"web_search_requests": 4})],
        Kinds(6, visible_output_tokens=3, web_search_requests=4),
        0,
        id="web searches",
    ),
    pytest.param(
        [
            anthropic(2060, 1, cache_read_input_tokens=0, cache_creation_input_tokens=0),
            anthropic(2088, 80, cache_read_input_tokens=46134, cache_creation_input_tokens=14789),
        ],
        Kinds(2088, 46134, 14789, visible_output_tokens=80),
        0,
        id="the end of a stream goes over its start",
    ),
    pytest.param(
        [
            anthropic(5, 1, cache_creation_input_tokens=40, cache_creation=split(10, 30)),
            {"output_tokens": 8},
        ],
        Kinds(5, 0, 10, 30, visible_output_tokens=8),
        0,
        id="the split of the start stays",
    ),
    pytest.param(
        [anthropic(5, 1, cache_read_input_tokens=40), anthropic(0, 8, cache_read_input_tokens=0)],
        Kinds(5, 40, visible_output_tokens=8),
        0,
        id="zeros of a server that counts output only",
    ),
    pytest.param(
        [anthropic(100, 1), anthropic(0, 8, cache_read_input_tokens=100)],
        Kinds(0, 100, visible_output_tokens=8),
        0,
        id="a zero beside other input counts",
    ),
]


@pytest.mark.parametrize(("usage", "kinds", "problems"), ANTHROPIC_CASES)
def test_anthropic(usage: list[dict[str, Any]], kinds: Kinds, problems: int) -> None:
    measured = measure(*usage, dialect="anthropic")
    assert (measured.kinds, measured.source) == (kinds, UsageSource.REPORTED)
    assert len(measured.problems) == problems


def test_growing_usage_is_merged_and_a_late_zero_erases_nothing() -> None:
    measured = measure(
        {"prompt_tokens": 193, "completion_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}},
        {"prompt_tokens": 0, "completion_tokens": 14, "total_tokens": 207},
    )
    assert measured.kinds == Kinds(190, 3, visible_output_tokens=14)


def test_the_tool_usage_of_a_response_is_part_of_it() -> None:
    measured = measure({"input_tokens": 4, "output_tokens": 5}, {"web_search": {"num_requests": 2}})
    assert measured.kinds == Kinds(4, visible_output_tokens=5, web_search_requests=2)


def test_missing_usage_is_estimated_and_says_so() -> None:
    measured = measure(input_chars=401, output_chars=39)
    assert measured.source is UsageSource.ESTIMATED
    assert measured.kinds == Kinds(101, visible_output_tokens=10)
    assert "no usage" in measured.problems[0]
    assert measure(output_chars=4, output_events=9).kinds == Kinds(0, visible_output_tokens=9)


def test_usage_without_counts_is_estimated() -> None:
    for usage in (b"{}", b'{"cost":1}', b"[]", b"not json", b"\xff"):
        for dialect in ("openai", "anthropic"):
            measured = measure(usage, dialect=dialect, input_chars=8)
            assert (measured.kinds, measured.source) == (Kinds(2), UsageSource.ESTIMATED)


def test_an_interrupted_call_knows_its_input_only() -> None:
    measured = measure(input_chars=40, status=Status.INTERRUPTED, output_chars=0)
    assert (measured.kinds, measured.source) == (Kinds(10), UsageSource.ESTIMATED)
    assert "gateway" in measured.problems[0]


def test_a_cut_stream_has_reported_input_and_estimated_output() -> None:
    start = anthropic(9, 1, cache_read_input_tokens=100)
    cut = measure(start, dialect="anthropic", usage_complete=False, output_chars=40)
    assert (cut.kinds, cut.source) == (
        Kinds(9, 100, visible_output_tokens=10),
        UsageSource.ESTIMATED,
    )
    grown = measure(anthropic(9, 50), dialect="anthropic", usage_complete=False, output_chars=40)
    assert grown.kinds == Kinds(9, visible_output_tokens=50)
    output_only = measure(
        {"prompt_tokens": 0, "completion_tokens": 3}, usage_complete=False, input_chars=8
    )
    assert output_only.kinds == Kinds(2, visible_output_tokens=3)


@pytest.mark.parametrize(
    "how",
    [
        {"is_billable": False},
        {"status": Status.REJECTED},
        {"metering": Metering.FREE},
        {"metering": Metering.UNMETERED},
    ],
)
def test_what_is_not_billed_has_no_usage(how: dict[str, Any]) -> None:
    measured = measure(chat(5, 5), input_chars=40, **how)
    assert (measured.kinds, measured.source) == (None, UsageSource.NONE)


_count = st.none() | st.integers(min_value=0, max_value=10_000)
_detail_names = ("cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens")
_details = st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(_detail_names, _count))
_names = (
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens",
    "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens",
    "cache_creation_input_tokens",
)  # fmt: skip
_usage = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(_names, _count)
    | {f"{side}_tokens_details": _details for side in ("prompt", "completion", "input", "output")},
)
_odd = st.dictionaries(
    st.sampled_from([*_names, "prompt_tokens_details", "cache_creation", "iterations"]),
    st.none()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
    | st.floats(),
)


@settings(deadline=None)
@given(st.lists(_usage, min_size=1, max_size=4))
@example([{"prompt_tokens": 0, "input_tokens": 1}])
def test_openai_kinds_are_never_negative_and_keep_the_sums(usages: list[dict[str, Any]]) -> None:
    measured = measure(*usages)
    assert measured.kinds is not None
    assert min(measured.kinds) >= 0
    if measured.source is UsageSource.REPORTED and not measured.problems and len(usages) == 1:
        (usage,) = usages
        # Of two names one may always be zero.
        given_in = usage.get("prompt_tokens") or usage.get("input_tokens")
        if given_in is None:
            given_in = usage.get("prompt_tokens")
        if given_in is not None:
            assert measured.kinds.input_tokens == given_in


@settings(deadline=None)
@given(st.lists(_odd, min_size=1, max_size=3), st.sampled_from(["openai", "anthropic"]))
def test_no_usage_raises(usages: list[dict[str, Any]], dialect: str) -> None:
    measured = measure(*usages, dialect=dialect)
    assert measured.kinds is not None
    assert min(measured.kinds) >= 0


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=60), min_size=1, max_size=3),
    st.sampled_from(["openai", "anthropic"]),
)
def test_no_bytes_raise(usages: list[bytes], dialect: str) -> None:
    assert measure(*usages, dialect=dialect).source is UsageSource.ESTIMATED


_split = st.fixed_dictionaries(
    {}, optional={"ephemeral_5m_input_tokens": _count, "ephemeral_1h_input_tokens": _count}
)
_anthropic = st.fixed_dictionaries(
    {"output_tokens": st.integers(min_value=0, max_value=9999)},
    optional={
        "input_tokens": _count,
        "cache_read_input_tokens": _count,
        "cache_creation_input_tokens": _count,
        "cache_creation": st.none() | _split,
        "output_tokens_details": st.none()
        | st.fixed_dictionaries({}, optional={"thinking_tokens": _count}),
    },
)


@settings(deadline=None)
@given(_anthropic)
def test_anthropic_sums(usage: dict[str, Any]) -> None:
    kinds = measure(usage, dialect="anthropic").kinds
    assert kinds is not None
    assert min(kinds) >= 0
    assert kinds.output_tokens == usage["output_tokens"]
    assert kinds.uncached_input_tokens == (usage.get("input_tokens") or 0)
    if usage.get("cache_creation_input_tokens") is not None:
        written = kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens
        assert written == usage["cache_creation_input_tokens"]
