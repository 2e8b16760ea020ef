"""Vega-Lite of the two pictures that only insights have: a Lorenz curve and a fan of days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.console.pages.charts import Spec

_USD: Final = "$,.2~f"


def lorenz(x: str, y: str, *, x_title: str, y_title: str) -> Spec:
    """Return a curve over percent, with the line on which all have the same."""

    def axis(field: str, title: str) -> Spec:
        return {
            "field": field, "type": "quantitative", "scale": {"domain": [0, 100]},
            "axis": {"title": title, "tickCount": 5},
        }  # fmt: skip

    curve: Spec = {
        "mark": {"type": "area", "opacity": 0.35, "line": True},
        "encoding": {
            "x": axis(x, x_title), "y": axis(y, y_title),
            "tooltip": [{"field": x, "title": x_title}, {"field": y, "title": y_title}],
        },
    }  # fmt: skip
    even: Spec = {
        "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1},
        "encoding": {"x": axis(x, x_title), "y": {"field": x, "type": "quantitative"}},
    }
    return {"layer": [curve, even]}


def fan(time: str, actual: str, expected: str, low: str, high: str, *, title: str) -> Spec:
    """Return what was, what is expected, and between which amounts it should lie."""
    x: Spec = {
        "field": time, "type": "temporal", "axis": {"title": None, "labelOverlap": True},
    }  # fmt: skip

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "axis": {"title": title, "tickCount": 5}}

    tooltip = [
        {"field": time, "type": "temporal", "title": "day"},
        *(
            {"field": one, "type": "quantitative", "format": _USD, "title": words}
            for one, words in ((actual, "spent"), (low, "low"), (expected, "expected"),
                               (high, "high"))
        ),
    ]  # fmt: skip
    return {
        "layer": [
            {"mark": {"type": "area", "opacity": 0.25},
             "encoding": {"x": x, "y": y(low), "y2": {"field": high}}},
            {"mark": {"type": "line", "strokeDash": [5, 3]},
             "encoding": {"x": x, "y": y(expected), "tooltip": tooltip}},
            {"mark": {"type": "line", "point": {"size": 14}},
             "encoding": {"x": x, "y": y(actual), "tooltip": tooltip}},
        ],
    }  # fmt: skip
