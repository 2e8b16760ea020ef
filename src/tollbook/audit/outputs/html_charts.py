"""Charts as inline SVG: the gauge of the score, bars, and stacks. Numbers stand beside them.

Geometry is in whole units, so nothing depends on how a machine writes floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from tollbook.audit.outputs.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 1000
"""Of a bar, in units of its own; it is drawn as wide as there is room."""
COLOURS: Final = 9
_LINE_MIN: Final = 4
"""Less would not be seen: what is there is drawn so wide at least."""
_GOOD_MILLIS: Final = 900
_WARN_MILLIS: Final = 600
_ARC: Final = "M 20 110 A 90 90 0 0 1 200 110"


def tone(score_millis: int) -> Literal["good", "warn", "bad"]:
    """Return how a score is coloured: good from 90, a warning from 60."""
    if score_millis >= _GOOD_MILLIS:
        return "good"
    return "warn" if score_millis >= _WARN_MILLIS else "bad"


def gauge(score_millis: int, label: str) -> Html:
    """Return a half circle that is filled as far as the score; ``label`` says it in words."""
    filled = max(0, min(1000, score_millis))
    drawn = {"d": _ARC, "pathLength": "1000", "stroke-dasharray": f"{filled} 2000"}
    value = el("path", class_=tone(score_millis), **drawn) if filled else None
    track = el("path", d=_ARC, class_="track")
    return el(
        "svg", track, value, viewBox="0 0 220 124", class_="gauge", role="img", aria_label=label
    )


def bar(part: int, whole: int, fill: str = "fill") -> Html:
    """Return a bar that is filled by a share; its numbers stand beside it."""
    width = _width(part, whole)
    return _svg(
        el("rect", class_="track", width=WIDTH, height=10, rx=3),
        el("rect", class_=fill, width=width, height=10, rx=3) if width else None,
    )


def span_bar(start: int, length: int, whole: int, fill: str) -> Html:
    """Return a bar from a start on, of a whole that both are measured by."""
    width = max(_LINE_MIN, length * WIDTH // whole) if whole > 0 else WIDTH
    at = start * WIDTH // whole if whole > 0 else 0
    at = max(0, min(at, WIDTH - _LINE_MIN))
    return _svg(
        el("rect", class_="track", y=4, width=WIDTH, height=2),
        el("rect", class_=fill, x=at, width=max(_LINE_MIN, min(width, WIDTH - at)), height=10),
    )


def stack(parts: Sequence[int], label: str) -> Html:
    """Return parts of a whole one after the other; ``label`` says them in words."""
    whole, done = sum(parts), 0
    drawn: list[Html] = []
    for number, part in enumerate(parts):
        start, done = done, done + part
        left, right = _scaled(start, whole), _scaled(done, whole)
        if right > left:
            drawn.append(
                el("rect", class_=f"k{colour(number)}", x=left, width=right - left, height=10)
            )
    track = el("rect", class_="track", width=WIDTH, height=10)
    return _svg(track, *drawn, class_="bar stack", role="img", aria_label=label, aria_hidden=None)


def dot(number: int) -> Html:
    """Return the colour of a part, for its line in the table."""
    square = el("rect", class_=f"k{colour(number)}", width=10, height=10, rx=2)
    return el("svg", square, class_="dot", viewBox="0 0 10 10", aria_hidden="true")


def colour(number: int) -> int:
    """Return the class of a part's colour, from 1 on; what comes after the last is grey."""
    return min(number + 1, COLOURS)


def arrow() -> Html:
    """Return an arrow that is broken in the middle."""
    line = el("path", d="M 1 10 H 20 M 36 10 H 52 M 46 4 L 53 10 L 46 16")
    cross = el("path", d="M 23 4 L 33 16 M 33 4 L 23 16")
    return el("svg", line, cross, viewBox="0 0 56 20", aria_hidden="true")


def _width(part: int, whole: int) -> int:
    if part <= 0 or whole <= 0:
        return 0
    return max(_LINE_MIN, min(WIDTH, part * WIDTH // whole))


def _scaled(part: int, whole: int) -> int:
    return part * WIDTH // whole if whole > 0 else 0


def _svg(*children: Html | None, **attributes: str | None) -> Html:
    given: dict[str, str | None] = {
        "class_": "bar", "viewBox": f"0 0 {WIDTH} 10", "preserveAspectRatio": "none",
        "aria_hidden": "true",
    }  # fmt: skip
    return el("svg", *children, **(given | attributes))
