"""Parts of a hundred, screens of long tables, and steps of a waterfall."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tollbook.config import Config
from tollbook.console.pages import reconciliation
from tollbook.console.pages.context import PageContext
from tollbook.console.pages.finance_parts import months, shares_percent, sliced, words
from tollbook.console.pages.snippets import snippets
from tollbook.desk.permits import Role, principal_of
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUSE: Any = None


def context(*pairs: tuple[str, str], wanted: Any = "html") -> PageContext:
    who = principal_of("user:ada", Role.FINANCE)
    return PageContext(HOUSE, who, "/margin", list(pairs), wanted)


@given(st.lists(st.integers(0, 10**24), min_size=1, max_size=50), st.sampled_from([1, -1]))
def test_parts_come_to_exactly_a_hundred(amounts: list[int], sign: int) -> None:
    signed = [sign * one for one in amounts]
    parts = [Decimal(one) for one in shares_percent(signed)]
    whole = sum(amounts)
    assert sum(parts) == (100 if whole else 0)
    for amount, part in zip(amounts, parts, strict=True):
        if whole:
            assert abs(part - Decimal(100 * amount) / whole) < Decimal("0.0001")


@given(st.lists(st.integers(-(10**24), 10**24), min_size=1, max_size=20))
def test_parts_of_amounts_of_both_signs_come_to_a_hundred_too(amounts: list[int]) -> None:
    parts = [Decimal(one) for one in shares_percent(amounts)]
    assert sum(parts) == (100 if sum(amounts) else 0)


@given(st.integers(0, 90), st.integers(1, 30))
def test_screens_show_each_row_once(count: int, size: int) -> None:
    rows = [{"row": number} for number in range(count)]
    seen: list[dict[str, Any]] = []
    at: str | None = "/margin?from=0"
    while at is not None:
        given_at = at.partition("from=")[2] or "0"
        found = sliced(context(("from", given_at)), rows, size=size)
        seen += found.rows
        at = found.next_url
    assert seen == rows
    assert sliced(context(wanted="csv"), rows, size=size).rows == rows


@given(st.text(max_size=20))
def test_a_screen_that_is_none_is_the_first(text: str) -> None:
    found = sliced(context(("from", text)), [{"row": 1}], size=10)
    assert found.previous_url is None or found.rows == []


@given(
    st.integers(0, 10**21),
    st.dictionaries(st.sampled_from(["tax", "bypass", "rounding"]), st.integers(-(10**20), 10**20)),
)
def test_a_waterfall_ends_at_what_is_billed(ledger: int, causes: dict[str, int]) -> None:
    steps = reconciliation._waterfall(ledger, causes).values
    ends = [pico_from_usd(one["end"]) for one in steps]
    assert ends[0] == ledger
    assert ends[-1] == ledger + sum(causes.values())
    assert joined(steps)


def joined(steps: Sequence[dict[str, Any]]) -> bool:
    """Whether each step begins where the one before it ends."""
    inner = steps[1:-1]
    at = steps[0]["end"]
    for one in inner:
        if one["start"] != at:
            return False
        at = one["end"]
    return bool(at == steps[-1]["end"])


def test_months_are_two_years_and_the_one_that_is_asked_for() -> None:
    found = months(context(("period", "2019-03")))
    assert found[-1] == "2019-03"
    assert len(found) == 25
    assert found == sorted(found, reverse=True)


def test_nested_evidence_is_words() -> None:
    told = words({"known_by": "key", "lines": [{"line": 1}, {"line": 2}]})
    assert told == "known by key, lines line 1; line 2"


def test_python_snippets_are_python_and_name_the_gateway() -> None:
    found = dict(snippets(Config()))
    for title in ("OpenAI, Python", "Anthropic, Python", "LangChain"):
        compile(found[title], title, "exec")
    assert 'base_url="http://127.0.0.1:8080/openai/v1"' in found["OpenAI, Python"]
    assert 'base_url="http://127.0.0.1:8080/anthropic"' in found["Anthropic, Python"]
    assert "http://127.0.0.1:4318" in found["OpenTelemetry"]
