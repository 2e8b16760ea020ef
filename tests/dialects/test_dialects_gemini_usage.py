"""Gemini usage objects: what is in what, by modality, by generation, in contradiction."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.gemini_modalities import Split, split_of, within
from tollbook.dialects.gemini_usage import read_gemini_usage
from tollbook.dialects.registry import dialect_named
from tollbook.usage import Kinds

FLASH = "gemini-2.5-flash"


def read(*objects: dict[str, Any], model: str = FLASH) -> Any:
    return read_gemini_usage([json.dumps(each).encode() for each in objects], model)


def details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


def test_cached_content_is_part_of_the_prompt() -> None:
    """Case B2: 262,960 tokens of prompt, of which 257,955 were cached, and 1,744 of answer."""
    kinds = read(
        {
            "promptTokenCount": 262_960,
            "cachedContentTokenCount": 257_955,
            "candidatesTokenCount": 1_744,
            "totalTokenCount": 264_704,
        }
    ).kinds
    assert (kinds.uncached_input_tokens, kinds.cache_read_tokens) == (5_005, 257_955)
    assert kinds.visible_output_tokens == 1_744


def test_thoughts_are_billed_beside_the_answer() -> None:
    """Case B12: 8,000 tokens of thinking and 150 of answer."""
    reading = read(
        {
            "promptTokenCount": 20,
            "candidatesTokenCount": 150,
            "thoughtsTokenCount": 8_000,
            "totalTokenCount": 8_170,
        }
    )
    assert (reading.kinds.reasoning_tokens, reading.kinds.visible_output_tokens) == (8_000, 150)
    assert reading.problems == ()
    assert reading.lacks == ()


@pytest.mark.parametrize("numbers", [False, True])
def test_each_modality_cached_or_not_is_a_kind_of_its_own(*, numbers: bool) -> None:
    """Case B16, also with the numbers that gRPC clients log."""
    given_, cached = (100, 60, 500, 40), (30, 20, 400, 10)
    names = ("text", "image", "audio", "video")

    def listed(counts: tuple[int, ...]) -> list[dict[str, Any]]:
        found = details(**dict(zip(names, counts, strict=True)))
        if numbers:
            for each, number in zip(found, (1, 2, 4, 3), strict=True):
                each["modality"] = number
        return found

    kinds = read(
        {
            "promptTokenCount": 700,
            "cachedContentTokenCount": 460,
            "candidatesTokenCount": 90,
            "toolUsePromptTokenCount": 7,
            "totalTokenCount": 797,
            "promptTokensDetails": listed(given_),
            "cacheTokensDetails": listed(cached),
            "candidatesTokensDetails": details(audio=50, image=30),
        }
    ).kinds
    assert kinds == Kinds(
        uncached_input_tokens=70 + 7,
        cache_read_tokens=30 + 10,  # cached video has no price of its own
        input_image_tokens=40,
        cache_read_image_tokens=20,
        input_audio_tokens=100,
        cache_read_audio_tokens=400,
        input_video_tokens=30,
        visible_output_tokens=10,
        output_audio_tokens=50,
        output_image_tokens=30,
    )


def test_pages_are_images_and_what_details_leave_out_is_text() -> None:
    kinds = read(
        {
            "promptTokenCount": 1_344,
            "cachedContentTokenCount": 1_274,
            "candidatesTokenCount": 1_518,
            "totalTokenCount": 2_862,
            "promptTokensDetails": details(text=54, document=1_280),
            "cacheTokensDetails": details(text=51, image=1_223),
            "candidatesTokensDetails": details(image=1_120),
        }
    ).kinds
    assert (kinds.input_image_tokens, kinds.cache_read_image_tokens) == (57, 1_223)
    assert (kinds.uncached_input_tokens, kinds.cache_read_tokens) == (13, 51)
    assert (kinds.output_image_tokens, kinds.visible_output_tokens) == (1_120, 398)


def test_cached_tokens_without_modality_are_text_first() -> None:
    kinds = read(
        {
            "promptTokenCount": 300,
            "cachedContentTokenCount": 250,
            "candidatesTokenCount": 1,
            "totalTokenCount": 301,
            "promptTokensDetails": details(text=200, audio=100),
        }
    ).kinds
    assert (kinds.cache_read_tokens, kinds.cache_read_audio_tokens) == (200, 50)
    assert (kinds.uncached_input_tokens, kinds.input_audio_tokens) == (0, 50)


@pytest.mark.parametrize(
    ("usage", "kinds", "word"),
    [
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 40},
            Kinds(10, visible_output_tokens=5, reasoning_tokens=25),
            "hidden reasoning",
        ),
        (
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 40,
            },
            Kinds(10, visible_output_tokens=10, reasoning_tokens=20),
            "in the output",
        ),
        (
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 4,
                "candidatesTokenCount": 30,
                "totalTokenCount": 40,
            },
            Kinds(10, visible_output_tokens=30),
            "is in the prompt",
        ),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 30, "totalTokenCount": 33},
            Kinds(10, visible_output_tokens=30),
            "exceed the total",
        ),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 30, "totalTokenCount": 10},
            Kinds(0, 10),
            "cut to the prompt",
        ),
        (
            {
                "promptTokenCount": 10,
                "totalTokenCount": 10,
                "promptTokensDetails": details(text=8, audio=6),
            },
            Kinds(4, input_audio_tokens=6),
            "by modality exceeds",
        ),
        (
            {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 4,
                "totalTokenCount": 10,
                "cacheTokensDetails": details(audio=4),
            },
            Kinds(6, 4),
            "another modality",
        ),
    ],
)
def test_contradictions_are_read_by_the_total_and_named(
    usage: dict[str, Any], kinds: Kinds, word: str
) -> None:
    reading = read(usage)
    assert reading.kinds == kinds
    assert any(word in problem for problem in reading.problems), reading.problems


def test_a_zero_that_was_left_out_is_told_by_the_total() -> None:
    """Protobuf's JSON leaves zeros out."""
    assert read({"promptTokenCount": 9, "totalTokenCount": 9}).lacks == ()
    only_input = read({"promptTokenCount": 9})
    assert (only_input.kinds, only_input.lacks) == (Kinds(9), ("output",))
    only_output = read({"candidatesTokenCount": 18, "thoughtsTokenCount": 58})
    assert only_output.lacks == ("input",)
    assert only_output.kinds.output_tokens == 76
    missing = read({"promptTokenCount": 9, "totalTokenCount": 30})
    assert (missing.kinds, missing.lacks) == (Kinds(9, visible_output_tokens=21), ())
    assert read({"trafficType": "ON_DEMAND"}).kinds is None
    assert read_gemini_usage([b"[]", b"\xff"], FLASH).kinds is None


def test_the_last_object_of_a_stream_counts() -> None:
    first = {"promptTokenCount": 8, "candidatesTokenCount": 50, "totalTokenCount": 58}
    last = {
        "promptTokenCount": 427,
        "candidatesTokenCount": 40,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 472,
    }
    assert read(first, last).kinds == Kinds(427, visible_output_tokens=40, reasoning_tokens=5)


def test_a_last_object_without_the_output_is_completed_unless_its_total_holds() -> None:
    whole = {"promptTokenCount": 9, "candidatesTokenCount": 21, "totalTokenCount": 30}
    lacking = read(whole, {"promptTokenCount": 9, "totalTokenCount": 30})
    assert lacking.kinds == Kinds(9, visible_output_tokens=21)
    dropped = read(whole, {"promptTokenCount": 9, "totalTokenCount": 9})
    assert dropped.kinds == Kinds(9)
    assert "leaves out 21 candidate tokens" in dropped.problems[0]


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"serviceTier": "standard"}, None),
        ({"serviceTier": "flex"}, "flex"),
        ({"serviceTier": "PRIORITY", "trafficType": "ON_DEMAND"}, "priority"),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"trafficType": 1}, None),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned"),
        ({"trafficType": 2}, "provisioned"),
    ],
)
def test_the_tier_is_in_the_usage(usage: dict[str, Any], tier: str | None) -> None:
    assert read({"promptTokenCount": 1, "totalTokenCount": 1} | usage).tier == tier


@pytest.mark.parametrize(
    ("model", "grounding", "searches"),
    [
        ("gemini-2.5-flash", {"webSearchQueries": 3, "webResults": 1}, 1),
        ("models/gemini-2.0-flash-001", {"webSearchQueries": 2}, 1),
        ("gemini-1.5-pro", {"webResults": 1}, 1),
        ("gemini-live-2.5-flash", {"webSearchQueries": 2}, 1),
        ("gemini-3-flash-preview", {"webSearchQueries": 3, "webResults": 1}, 3),
        ("gemini-3.8-flash", {"webResults": 1}, 1),
        ("gemini-nano-banana-2.1", {"webSearchQueries": 2}, 2),
        ("gemini-4-argon", {"webSearchQueries": 4}, 4),
        ("gemini-2.5-flash", {"maps": 1}, 0),
    ],
)
def test_searches_by_generation(model: str, grounding: dict[str, int], searches: int) -> None:
    reading = read(
        {"promptTokenCount": 1, "totalTokenCount": 1}, {"grounding": grounding}, model=model
    )
    assert reading.kinds.web_search_requests == searches
    assert bool(reading.problems) == ("maps" in grounding)


def test_an_interaction_counts_under_other_names() -> None:
    reading = read(
        {
            "total_tokens": 326,
            "total_input_tokens": 266,
            "input_tokens_by_modality": [
                {"modality": "text", "tokens": 8},
                {"modality": "image", "tokens": 258},
            ],
            "total_cached_tokens": 0,
            "total_output_tokens": 3,
            "total_tool_use_tokens": 0,
            "total_thought_tokens": 57,
            "grounding_tool_count": [{"type": "google_search", "count": 2}],
        },
        model="gemini-3-pro-preview",
    )
    assert reading.kinds == Kinds(
        8,
        input_image_tokens=258,
        visible_output_tokens=3,
        reasoning_tokens=57,
        web_search_requests=2,
    )
    assert reading.problems == ()
    loose = read({"total_input_tokens": 4, "total_output_tokens": "many", "total_tokens": 4})
    assert (loose.kinds, len(loose.problems)) == (Kinds(4), 1)


def test_images_that_could_not_be_read_are_those_asked_for() -> None:
    """Case E3: what an image costs is told by the answer, else by the request."""
    opened = CallOpened(
        bytes(16), 0, Identity(), "p", "gemini", "image", Metering.METERED, "POST",
        "/v1beta/models/imagen-4.0-generate-001:predict", "imagen-4.0-generate-001",
        asked={"images": 3},
    )  # fmt: skip

    def measured(*usage: bytes) -> Any:
        closed = CallClosed(bytes(16), 0, Status.OK, usage=usage, usage_complete=bool(usage))
        return dialect_named("gemini").measure(Call(opened, closed, Evidence("w", 1, 0, "v")))

    told = measured(b'{"images":2}')
    assert (told.kinds, told.source) == (Kinds(images=2), "reported")
    asked = measured()
    assert (asked.kinds, asked.source) == (Kinds(images=3), "estimated")


counts = st.integers(0, 10**6)
modalities = st.lists(
    st.fixed_dictionaries(
        {
            "modality": st.sampled_from(["TEXT", "IMAGE", "AUDIO", "VIDEO", "DOCUMENT", 1, 4, "?"]),
            "tokenCount": counts,
        }
    ),
    max_size=4,
)
usages = st.fixed_dictionaries(
    {},
    optional={
        "promptTokenCount": counts,
        "candidatesTokenCount": counts,
        "thoughtsTokenCount": counts,
        "toolUsePromptTokenCount": counts,
        "cachedContentTokenCount": counts,
        "totalTokenCount": counts,
        "promptTokensDetails": modalities,
        "cacheTokensDetails": modalities,
        "candidatesTokensDetails": modalities,
        "toolUsePromptTokensDetails": modalities,
    },
)


@given(st.lists(usages, min_size=1, max_size=3))
def test_kinds_are_never_negative(objects: list[dict[str, Any]]) -> None:
    kinds = read(*objects).kinds
    assert kinds is None or min(kinds) >= 0


@given(st.tuples(*[counts] * 5), st.tuples(*[modalities] * 3))
def test_a_consistent_usage_adds_up_to_its_total(
    numbers: tuple[int, ...], lists: tuple[list[dict[str, Any]], ...]
) -> None:
    prompt, out, thoughts, tools, cached = numbers
    kinds = read(
        {
            "promptTokenCount": prompt,
            "candidatesTokenCount": out,
            "thoughtsTokenCount": thoughts,
            "toolUsePromptTokenCount": tools,
            "cachedContentTokenCount": cached,
            "totalTokenCount": prompt + out + thoughts + tools,
            "promptTokensDetails": lists[0],
            "cacheTokensDetails": lists[1],
            "candidatesTokensDetails": lists[2],
        }
    ).kinds
    assert kinds.input_tokens == prompt + tools
    assert kinds.output_tokens == out + thoughts
    read_from_cache = (
        kinds.cache_read_tokens + kinds.cache_read_audio_tokens + kinds.cache_read_image_tokens
    )
    assert read_from_cache == min(cached, prompt)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(
                        st.sampled_from(["promptTokenCount", "promptTokensDetails", "modality",
                                         "tokenCount", "totalTokenCount", "grounding", "images",
                                         "total_input_tokens", "statistics", "token_count"]),
                        inner)))  # fmt: skip
def test_any_document_is_read(document: object) -> None:
    reading = read_gemini_usage([json.dumps(document).encode()], None)
    assert reading.kinds is None or min(reading.kinds) >= 0


@given(st.tuples(*[counts] * 4), st.tuples(*[counts] * 4))
def test_a_part_fits_into_the_whole(part: tuple[int, ...], whole: tuple[int, ...]) -> None:
    fitted = within(Split(*part), Split(*whole), [])
    assert all(a <= b for a, b in zip(fitted, whole, strict=True))
    assert sum(fitted) == min(sum(part), sum(whole)) or sum(part) > sum(whole)


def test_no_details_are_all_text() -> None:
    assert split_of(None, 7, "prompt", []) == split_of([], 7, "prompt", []) == Split(7)


def test_a_stream_that_broke_off_has_the_counts_of_its_last_chunk() -> None:
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    opened = CallOpened(
        bytes(16), 0, Identity(), "p", "gemini", "generate_content", Metering.METERED, "POST", path,
        input_chars=80,
    )  # fmt: skip

    def measured(usage: bytes) -> Any:
        closed = CallClosed(bytes(16), 0, Status.ERROR, usage=(usage,), output_chars=400)
        return dialect_named("gemini").measure(Call(opened, closed, Evidence("w", 1, 0, "v")))

    counted = measured(
        b'{"promptTokenCount":9,"candidatesTokenCount":30,"thoughtsTokenCount":5,"totalTokenCount":44}'
    )
    assert counted.kinds == Kinds(9, visible_output_tokens=30, reasoning_tokens=5)
    assert counted.source == "estimated"
    uncounted = measured(b'{"promptTokenCount":9,"totalTokenCount":9}')
    assert uncounted.kinds == Kinds(9, visible_output_tokens=100)
