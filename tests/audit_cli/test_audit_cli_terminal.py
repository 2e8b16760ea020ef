"""The report for a terminal."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tollbook.audit.findings import SpanRef
from tollbook.audit.outputs.hops import hop_words, plain, span_words
from tollbook.audit.outputs.style import Style, style_of
from tollbook.audit.outputs.terminal import headline, terminal_text

if TYPE_CHECKING:
    from tollbook.audit.report import Audit

PLAIN = Style(width=80)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_first_lines_say_it_all(sample: Audit) -> None:
    told = terminal_text(sample, PLAIN).split("\n")
    assert told[0] == "Tollbook audit   50 calls in 31 traces   3 findings"
    assert "  41.2 of 100   defensible" in told[:6]
    (money,) = [line for line in told if line.startswith("Dollars at risk")]
    assert money == "Dollars at risk   $12.34 of $20.00 (61.7 %), 3 calls without a price"
    (cause,) = [line for line in told if line.strip().startswith("Identity headers stripped")]
    assert "█" in cause
    assert "$12.34 + 3 unpriced calls" in cause


def test_a_finding_names_its_hop_its_spans_and_its_fix(sample: Audit) -> None:
    told = " ".join(terminal_text(sample, PLAIN).split())
    assert (
        "web (fastapi) POST /ask --http--> agents (openai_v2) agent chat: tenant seen on the first,"
        " missing from the second"
    ) in told
    assert "span 2222222222222222 agents (openai_v2) agent chat traces/with space.jsonl:14" in told
    assert "40 calls in 30 traces, $12.34 + 3 unpriced calls" in told
    assert "Fix Let baggage travel" in told
    assert "| OTEL_PROPAGATORS=tracecontext,baggage" in told
    assert "Score after it: 81.5." in told
    assert "sums are 2 times what is true" in told


def test_what_was_read_and_what_was_not_is_said(sample: Audit) -> None:
    told = terminal_text(sample, PLAIN)
    assert "traces/with space.jsonl  otlp-jsonl gzip, 2.0 KiB, 100 spans" in told
    assert "Content was dropped. Dropped: 7 attributes." in told
    assert "Could not be read: 9 places" in told
    assert "traces/with space.jsonl:3: not JSON" in told
    assert "-: at byte" not in told
    assert "- at byte 77: cut off" in told
    assert "Rules not used: A20." in told


def test_names_cannot_write_over_the_report(sample: Audit) -> None:
    told = terminal_text(sample, PLAIN, full=True)
    assert "\x1b" not in told
    assert "\r" not in told
    assert "\u202e" not in told
    assert "evil" in told


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_window_but_snippets(sample: Audit, width: int) -> None:
    told = terminal_text(sample, Style(width=width), full=True)
    wide = [
        line
        for line in told.split("\n")
        if len(line) > width and not line.lstrip().startswith(("|", "span"))
    ]
    assert wide == []


def test_long_titles_are_cut_in_the_list(sample: Audit) -> None:
    long = replace(sample.findings[1], title="word " * 60)
    told = terminal_text(replace(sample, findings=sample.findings[:1] * 3 + (long,)), PLAIN)
    (line,) = [line for line in told.split("\n") if line.startswith(" 4 WARNING")]
    assert len(line) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" in line


def test_only_the_worst_are_shown_at_length_unless_all_is_asked_for(sample: Audit) -> None:
    many = replace(sample, findings=sample.findings[:1] * 20)
    short, full = terminal_text(many, PLAIN), terminal_text(many, PLAIN, full=True)
    assert short.count("Fix Let baggage travel") == 3
    assert "and 5 more findings" in short
    assert full.count("Fix Let baggage travel") == 20
    assert full.count("or with Tollbook:") == 20
    assert "more finding" not in full


def test_without_spans_it_says_what_is_expected(empty: Audit) -> None:
    told = terminal_text(empty, PLAIN)
    assert "No spans were read." in told
    assert "OTLP JSON" in told
    assert "of 100" not in told


def test_without_calls_it_says_what_a_call_looks_like(without_calls: Audit) -> None:
    told = " ".join(terminal_text(without_calls, PLAIN).split())
    assert "No call of a model was found." in told
    assert "gen_ai.operation.name" in told
    assert "Services seen: web." in told


def test_where_nothing_was_found_it_says_so(sample: Audit) -> None:
    told = sample.defensibility
    whole = tuple(replace(one, calls=told.calls) for one in told.criteria)
    clean = replace(sample, findings=(), defensibility=replace(told, criteria=whole))
    assert "Nothing was found." in terminal_text(clean, PLAIN)


def test_where_no_rule_found_anything_it_says_what_charges_lack(sample: Audit) -> None:
    told = sample.defensibility
    one = next(one for one in told.criteria if one.name == "owner")
    owned = replace(one, calls=told.calls)
    no_id = replace(one, name="request_id", calls=told.calls - 25)
    for criteria, words in (
        ((owned, no_id), "No call lost its owner. What charges lack all the same, by their share"),
        ((replace(one, calls=0), no_id), "No rule found anything. What charges lack"),
    ):
        made = replace(sample, findings=(), defensibility=replace(told, criteria=criteria))
        shown = " ".join(terminal_text(made, PLAIN).split())
        assert words in shown
        assert "the provider's id is not told (50 %)" in shown
        assert "Nothing was found" not in shown


def test_the_headline_is_one_sentence(sample: Audit) -> None:
    assert headline(sample) == (
        "Score 41.2 of 100, $12.34 of $20.00 at risk, 3 findings in 50 calls"
    )


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, sample: Audit) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert style_of(Terminal()).has_colour
    assert "\x1b[" in terminal_text(sample, style_of(Terminal()))
    assert not style_of(io.StringIO()).has_colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_of(Terminal()).has_colour
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not style_of(Terminal()).has_colour
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert style_of(io.StringIO()).has_colour


def test_without_colours_the_words_are_the_same(sample: Audit) -> None:
    coloured = terminal_text(sample, Style(width=80, has_colour=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == terminal_text(sample, PLAIN).split()


@pytest.mark.parametrize(("columns", "width"), [("20", 80), ("95", 95), ("500", 120), ("x", 100)])
def test_the_width_is_that_of_the_window_within_bounds(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert style_of(io.StringIO()).width == width


def test_bars_need_no_unicode() -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert style_of(ascii_only).bar(1, 2, 10) == "#####"


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.integers(1, 60))
def test_a_bar_fits_and_shows_whatever_is_not_zero(part: int, whole: int, width: int) -> None:
    for style in (Style(), Style(has_blocks=False)):
        bar = style.bar(part, whole, width)
        assert len(bar) <= width
        assert bool(bar) == (part > 0 and whole > 0)


@given(st.text())
def test_plain_text_is_one_line_of_visible_characters(text: str) -> None:
    told = plain(text)
    assert len(told) == len(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", told)
    told.encode()


def test_a_span_is_service_instrumentation_and_name() -> None:
    told = SpanRef("1" * 32, "2" * 16, "", "", "opentelemetry.instrumentation.celery")
    assert span_words(told) == "(celery) 2222222222222222"


def test_a_hop_without_a_beginning_says_so(sample: Audit) -> None:
    hop = sample.findings[0].hop
    assert hop is not None
    lost = replace(hop, last_seen=None)
    assert hop_words(lost).endswith("agent chat: no tenant here, and none anywhere before it")
    assert hop_words(lost, is_cause=False) == "at agents (openai_v2) agent chat"
