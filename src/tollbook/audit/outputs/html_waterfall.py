"""The waterfall of one trace: each span with its owner, and the place where the owner is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_charts import span_bar
from tollbook.audit.outputs.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.findings import Bar, Sketch
    from tollbook.audit.outputs.redaction import Names

_DEPTH_MAX: Final = 8
"""Deeper spans are not indented further; there would be no room for their names."""
_OWNER_COLOURS: Final = 8
_NO_OWNER: Final = 0
_NOBODYS: Final = 9
_MARKS: Final = {
    "last-seen": ("last seen here", "good"),
    "first-missing": ("first missing here", "error"),
    "affected": ("affected", "error"),
}


class Palette:
    """The colour of each owner, the same in a whole report."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def colour(self, owner: str) -> int:
        """Return the number of an owner's colour."""
        number = self._numbers.setdefault(owner, len(self._numbers))
        return number % _OWNER_COLOURS + 1


def waterfall(sketch: Sketch, names: Names, palette: Palette, break_words: str) -> Html:
    """Return a trace as a table whose last column is drawn.

    Args:
        sketch: the trace, cut to what matters.
        names: how names are shown.
        palette: colours of owners.
        break_words: what is said where the owner is first missing.
    """
    whole_us = max((one.start_us + one.duration_us for one in sketch.bars), default=0)
    caption = el(
        "caption", "Trace ", el("code", sketch.trace_id), f", {words.duration(whole_us)}. ",
        "A bar has the colour of its owner; a call without one is red.",
        f" {words.count(sketch.left_out, 'span')} left out." if sketch.left_out else None,
    )  # fmt: skip
    head = el("tr", el("th", "Span", scope="col"), el("th", "Time", scope="col"))
    return el(
        "table", caption,
        el("colgroup", el("col", class_="of-name"), el("col", class_="of-time")),
        el("thead", head), el("tbody", _rows(sketch, names, palette, break_words, whole_us)),
        class_="trace fits",
    )  # fmt: skip


def _rows(
    sketch: Sketch, names: Names, palette: Palette, break_words: str, whole_us: int
) -> Iterator[Html]:
    is_broken = False
    for bar in sketch.bars:
        if bar.mark == "first-missing" and not is_broken:
            is_broken = True
            yield el(
                "tr", el("td", f"\N{BLACK SCISSORS} {break_words}", colspan=2),
                class_="break",
            )  # fmt: skip
        yield el(
            "tr", _name_cell(bar, names, palette), _time_cell(bar, palette, whole_us),
            class_=bar.mark if bar.mark in _MARKS else None,
        )  # fmt: skip


def _name_cell(bar: Bar, names: Names, palette: Palette) -> Html:
    told, tone = _MARKS.get(bar.mark, ("", ""))
    owner = None
    if bar.owner is not None:
        dot = el("rect", class_=f"k{palette.colour(bar.owner)}", width=10, height=10, rx=2)
        owner = el(
            "span", el("svg", dot, class_="dot", viewBox="0 0 10 10", aria_hidden="true"),
            names.owner(bar.owner), class_="tag",
        )  # fmt: skip
    elif bar.is_call:
        owner = el("span", "no owner", class_="tag error")
    return el(
        "th", names.text(bar.name) or "(no name)", " ",
        el("span", names.text(bar.service), class_="service") if bar.service else None, " ",
        owner, " ", el("span", told, class_=f"tag {tone}") if told else None,
        scope="row", class_=f"d{min(max(bar.depth, 0), _DEPTH_MAX)}",
    )  # fmt: skip


def _time_cell(bar: Bar, palette: Palette, whole_us: int) -> Html:
    if bar.owner is not None:
        fill = palette.colour(bar.owner)
    else:
        fill = _NO_OWNER if bar.is_call else _NOBODYS
    drawn = span_bar(bar.start_us, bar.duration_us, whole_us, f"k{fill}")
    told = el("span", words.duration(max(bar.duration_us, 0)), class_="muted nowrap")
    return el("td", el("div", drawn, told, class_="timed"))
