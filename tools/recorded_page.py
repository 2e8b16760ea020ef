"""Write docs/accuracy-recorded.md: recorded usage of real providers, what was made of it.

``python tools/recorded_page.py`` reads the recordings beside the repository and the list prices
that are installed.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.recorded_extraction import ARGUMENTS, argument, extracted  # noqa: E402
from tools.recorded_usage import REASONS, UNKNOWN_DAY, Recording, recordings  # noqa: E402

from tollbook.money import usd_text  # noqa: E402 -- from the root
from tollbook.prices.book import PriceBook  # noqa: E402
from tollbook.prices.rating import rate  # noqa: E402

PAGE: Final = ROOT / "docs" / "accuracy-recorded.md"
_LISTS: Final = {"openrouter": "openrouter", "xai": "x-ai", "perplexity": "perplexity"}
_PPM: Final = 5000
"""Half a percent: providers print their figure rounded."""
_NS: Final = 1_000_000_000

EXTRACTION: Final = "## Against the extraction of genai-prices"
_READ_TWICE: Final = """genai-prices describes where each provider's counts stand. The same usage
object, read by that description and by our dialect (input, output, cache reads and writes, audio,
images, reasoning); a server that it does not know is read as OpenAI:"""
EQUAL: Final = "equal"
WHY: Final = {
    EQUAL: "our price is the provider's figure, within half a percent",
    "no list price": "the list has no price for the model (or the recording does not name it)",
    "web search": "the provider's figure holds a fee for searches, which the list does not price",
    "hidden fee": "the provider's figure is more than what it says of input and output: a plug-in,"
    " an adviser model or a search whose count is not told",
    "search context": "the list's fee for a request is that of a large search context, these asked"
    " for a small one (the tier says `search-low`)",
    "undated": "the recording has no date and a price or host of another day than it is priced at",
    "host": "the reseller chose a host, or charged a price, that differs from the one listed",
}
_HEAD: Final = """# Recorded usage

4,753 usage objects of real providers, recorded by the test suites of thirteen public projects, go
through Tollbook's dialects as calls would: usage object, disjoint kinds, price. This page is
written by `tools/recorded_page.py`; `tests/dialects/test_dialects_corpus.py` holds what it says.
"""


class Compared(NamedTuple):
    """A recording whose provider said what it cost."""

    recording: Recording
    ours_pico: int | None
    why: str


def compared() -> list[Compared]:
    """Return our price beside the provider's figure, for every recording that has one."""
    book = PriceBook([], "recordings", _LISTS)
    return [
        _compare(one, book) for one in recordings() if one.measured.reported_cost_pico is not None
    ]


def _compare(one: Recording, book: PriceBook) -> Compared:
    measured = one.measured
    card = book.resolve(one.provider, one.model, int(one.at.timestamp()) * _NS, measured.tier)
    if card is None or measured.kinds is None or measured.reported_cost_pico is None:
        return Compared(one, None, "no list price")
    ours = rate(card, measured.kinds).total
    return Compared(one, ours, _why(one, ours, measured.reported_cost_pico))


def _why(one: Recording, ours: int, theirs: int) -> str:
    kinds = one.measured.kinds
    if abs(ours - theirs) * 1_000_000 <= _PPM * max(ours, theirs):
        return EQUAL
    if kinds is not None and kinds.web_search_requests:
        return "web search"
    if one.provider == "perplexity":
        return "search context"
    details = one.last.get("cost_details") or {}
    told = [details.get(f"upstream_inference_{part}_cost") or 0 for part in (
        "prompt", "completions", "input", "output",
    )]  # fmt: skip
    if sum(told) * 10**12 * 2 < theirs:
        return "hidden fee"
    return "undated" if one.at == UNKNOWN_DAY else "host"


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_coverage(), *_extraction(), *_costs(), *_problems()])


def _coverage() -> list[str]:
    by_provider: dict[str, Counter[str]] = {}
    for one in recordings():
        counts = by_provider.setdefault(one.provider.partition(":")[0], Counter())
        counts["all"] += 1
        counts["plain"] += one.is_plain
    reasons = Counter(one.reason for one in recordings() if not one.is_plain)
    lines = [
        "## What is read",
        "",
        "| provider | recordings | metered, usage reported | other |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, counts in sorted(by_provider.items()):
        lines.append(
            f"| {name} | {counts['all']} | {counts['plain']} | {counts['all'] - counts['plain']} |"
        )
    whole = sum(counts["all"] for counts in by_provider.values())
    plain = sum(counts["plain"] for counts in by_provider.values())
    lines += [f"| **all** | {whole} | {plain} | {whole - plain} |", "", "The others, and why:", ""]
    lines += [f"- {count}: {REASONS[name or '']}" for name, count in reasons.most_common()]
    return [*lines, ""]


def _extraction() -> list[str]:
    rows = [(one, argument(one)) for one in extracted()]
    told: Counter[tuple[str, str]] = Counter()
    same: Counter[str] = Counter()
    for one, why in rows:
        if why is None:
            same[one.flavor] += 1
        else:
            told[one.flavor, why] += 1
    flavors = sorted({one.flavor for one, _ in rows})
    differs = {flavor: sum(n for (of, _), n in told.items() if of == flavor) for flavor in flavors}
    lines = [
        EXTRACTION,
        "",
        _READ_TWICE,
        "",
        "| its extractor | the same | different |",
        "| --- | ---: | ---: |",
        *(f"| {flavor} | {same[flavor]} | {differs[flavor]} |" for flavor in flavors),
        f"| **all** | {same.total()} | {told.total()} |",
        "",
        "Every difference, and why ours is what is billed:",
        "",
    ]
    for why, words in ARGUMENTS.items():
        where = [f"{flavor} {n}" for (flavor, of), n in sorted(told.items()) if of == why]
        lines.append(f"- **{why}** ({', '.join(where)}): {words}.")
    return [*lines, ""]


def _costs() -> list[str]:
    rows = compared()
    lines = [
        "## Our price against what the provider said",
        "",
        "OpenRouter, xAI and Perplexity say what a call cost. With list prices alone:",
        "",
        "| provider | recordings | outcome |",
        "| --- | ---: | --- |",
    ]
    counts = Counter((row.recording.provider, row.why) for row in rows)
    lines += [
        f"| {provider} | {count} | {WHY[why]} |"
        for (provider, why), count in sorted(counts.items())
    ]
    lines += [
        "",
        "Every difference:",
        "",
        "| provider | model | day | ours (USD) | theirs (USD) | why |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        one = row.recording
        if row.why != EQUAL:
            ours = "" if row.ours_pico is None else usd_text(row.ours_pico)
            day = "" if one.at == UNKNOWN_DAY else one.at.date().isoformat()
            theirs = usd_text(one.measured.reported_cost_pico or 0)
            lines.append(
                f"| {one.provider} | {one.model or ''} | {day} | {ours} | {theirs} | {row.why} |"
            )
    lines += [
        "",
        "The provider's figure is kept beside ours, and is the cost where `reported_cost` says so.",
        "",
    ]
    return lines


def _problems() -> list[str]:
    words: Counter[tuple[str, str]] = Counter()
    for one in recordings():
        for problem in one.measured.problems:
            plain = "".join("#" if char.isdigit() else char for char in problem)
            while "##" in plain:
                plain = plain.replace("##", "#")
            words[one.provider.partition(":")[0], plain] += 1
    lines = [
        "## Contradictions in the providers' numbers",
        "",
        "| provider | recordings | how it was read |",
        "| --- | ---: | --- |",
    ]
    for (provider, text), count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"| {provider} | {count} | {text} |")
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
