"""All recorded usage objects, every provider: none refused, each sum what the provider bills.

The recordings lie beside the repository and are read from there; without them only this module is
skipped.
"""

from __future__ import annotations

from collections import Counter

import pytest
from tools.recorded_extraction import ARGUMENTS, argument, extracted
from tools.recorded_page import EQUAL, EXTRACTION, PAGE, WHY, compared, page
from tools.recorded_usage import CORPUS, REASONS, Recording, recordings

from tollbook.call import Metering, UsageSource
from tollbook.usage import FEE_KINDS

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded usage objects are absent")


def plain(*dialects: str) -> list[Recording]:
    return [one for one in recordings() if one.is_plain and one.dialect in dialects]


def test_every_recording_is_a_call_or_there_is_a_reason() -> None:
    assert len(recordings()) == 4753
    without = [one for one in recordings() if not one.is_plain]
    assert [one for one in without if one.reason not in REASONS] == []
    assert len(without) == 104
    for one in recordings():
        assert one.measured.kinds is not None, one
        if one.measured.source is not UsageSource.REPORTED:
            assert one.measured.problems, one


def test_no_kind_is_negative_and_each_call_is_one_request() -> None:
    for one in recordings():
        assert one.measured.kinds is not None
        assert min(one.measured.kinds) >= 0, one
        assert one.measured.kinds.requests == 1, one
        for part in one.measured.further:
            assert min(part.kinds) >= 0, one


def test_openai_like_totals_are_the_sum_of_the_kinds() -> None:
    apart: Counter[tuple[str, str]] = Counter()
    for one in plain("openai", "azure"):
        kinds, total = one.measured.kinds, one.last.get("total_tokens")
        assert kinds is not None
        if total is not None and kinds.input_tokens + kinds.output_tokens != total:
            assert kinds.audio_ms, one
            apart[one.provider, one.operation] += 1
    assert apart == {("mistral", "transcription"): 3, ("mistral", "chat"): 1}


def test_modalities_are_those_of_the_details() -> None:
    seen: Counter[str] = Counter()
    for one in plain("openai", "azure"):
        kinds, last = one.measured.kinds, one.last
        assert kinds is not None
        if one.measured.problems or kinds.cache_read_tokens:
            continue
        given = last.get("prompt_tokens_details") or last.get("input_tokens_details") or {}
        below = last.get("completion_tokens_details") or last.get("output_tokens_details") or {}
        assert kinds.input_image_tokens == (given.get("image_tokens") or 0), one
        if one.operation != "image":
            assert kinds.output_image_tokens == (below.get("image_tokens") or 0), one
        seen["images in"] += kinds.input_image_tokens > 0
        seen["images out"] += kinds.output_image_tokens > 0
    assert min(seen["images in"], seen["images out"]) > 0


def test_transcripts_and_images_bill_what_they_are() -> None:
    kinds = Counter[str]()
    for one in plain("openai"):
        assert one.measured.kinds is not None
        if one.operation in {"transcription", "image"}:
            billed = [name for name, count in one.measured.kinds._asdict().items() if count]
            kinds[f"{one.provider} {one.operation}: {', '.join(billed)}"] += 1
    assert kinds == {
        "openai transcription: input_audio_tokens, visible_output_tokens, requests": 3,
        "openai transcription: audio_ms, requests": 1,
        "mistral transcription: audio_ms, requests": 3,
        "openrouter transcription: uncached_input_tokens, visible_output_tokens, requests": 1,
        "openai image: uncached_input_tokens, output_image_tokens, requests": 1,
        "openai image: uncached_input_tokens, input_image_tokens, output_image_tokens, requests": 1,
        "openai image: uncached_input_tokens, input_image_tokens, visible_output_tokens,"
        " output_image_tokens, requests": 1,
        "openrouter image: uncached_input_tokens, output_image_tokens, requests": 1,
    }


def test_fees_are_those_that_the_usage_counts() -> None:
    fees: Counter[tuple[str, str]] = Counter()
    for one in plain("openai", "azure"):
        assert one.measured.kinds is not None
        for name in FEE_KINDS:
            if name != "requests" and getattr(one.measured.kinds, name):
                fees[one.provider, name] += 1
    assert fees == {
        ("mistral", "audio_ms"): 4,
        ("openai", "audio_ms"): 1,
        ("openai", "web_search_requests"): 4,  # search models: one for each call
        ("openrouter", "web_search_requests"): 4,
        ("xai", "web_search_requests"): 2,
    }


def test_what_is_free_or_passes_unmetered_is_so_by_its_path() -> None:
    metering = Counter(one.metering for one in recordings())
    assert metering[Metering.METERED] > 4650
    assert all(one.reason for one in recordings() if one.metering is not Metering.METERED)


def test_our_price_is_the_provider_s_figure_but_for_these() -> None:
    outcome = Counter((row.recording.provider, row.why) for row in compared())
    assert {why for _, why in outcome} <= set(WHY)
    assert outcome["xai", EQUAL] == 41
    assert outcome["openrouter", EQUAL] >= 85
    assert outcome["openrouter", "hidden fee"] == 3
    assert sum(outcome.values()) == 158, "Azure, which leaves Grok's ticks at zero, is not there"


def test_each_difference_from_genai_prices_is_argued() -> None:
    told = Counter(argument(one) for one in extracted())
    assert set(told) == {None, *ARGUMENTS}
    assert told[None] > 4500
    assert told["no extractor"] == 73
    assert told.total() - told[None] - told["no extractor"] == 68
    # Where it reads a usage at all, it reads the same but in these.
    unequal = Counter((one.flavor, *one.unequal) for one in extracted() if one.unequal)
    assert unequal == {
        ("azure chat", "cache read"): 19,
        ("azure chat", "image in"): 3,
        ("cohere default", "reasoning"): 7,
        ("google chat", "output", "reasoning"): 2,
        ("google default", "image in"): 1,
        ("google default", "output"): 1,
        ("mistral default", "cache read"): 11,
        ("mistral default", "input", "output"): 3,
        ("openrouter chat", "image out"): 1,
    }


def test_the_page_is_what_the_recordings_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    # Prices move with the installed list; what is read does not.
    assert EXTRACTION in written
    head = written.partition("## Our price")[0]
    assert head == page().partition("## Our price")[0]
