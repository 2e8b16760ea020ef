"""Vega-Lite specifications of the few kinds of charts that the console uses.

They name fields only; values come with the chart, colours with the theme of the reader. Numbers in
a chart are for the eye: exact ones are in the table beside it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

Spec = dict[str, Any]
_USD: Final = "$,.2~f"
_COUNT: Final = ",.3~s"


def number_format(kind: Literal["usd", "count", "percent"]) -> str:
    """Return d3's words for a kind of numbers."""
    return {"usd": "$,.3~s", "count": _COUNT, "percent": ".3~f"}[kind]


def _y(field: str, title: str, kind: Literal["usd", "count", "percent"], **more: Any) -> Spec:
    axis = {"format": number_format(kind), "title": title}
    return {"field": field, "type": "quantitative", "axis": axis} | more


def stacked_bars(
    time: str, value: str, series: str | None = None, *, title: str,
    kind: Literal["usd", "count", "percent"] = "usd", order: list[str] | None = None,
) -> Spec:  # fmt: skip
    """Return bars over time, stacked by a series; ``order`` is that of the legend and stack.

    Args:
        time: field with a day, hour or month as text that sorts.
        value: field of the height.
        series: field that the bars are divided by.
        title: of the vertical axis.
        kind: of the value.
        order: names of the series, the largest first.
    """
    encoding: Spec = {
        "x": {"field": time, "type": "ordinal", "axis": {"title": None, "labelOverlap": True}},
        "y": _y(value, title, kind),
        "tooltip": [
            {"field": time, "title": "when"},
            {"field": value, "type": "quantitative", "title": title,
             "format": _USD if kind == "usd" else ","},
        ],
    }  # fmt: skip
    if series is not None:
        scale = {} if order is None else {"scale": {"domain": order}}
        encoding["color"] = {
            "field": series, "type": "nominal", "sort": order, "title": None,
            "legend": {"orient": "top", "columns": 4, "labelLimit": 160}, **scale,
        }  # fmt: skip
        encoding["tooltip"].insert(1, {"field": series, "title": "what"})
    return {"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": encoding}


def ranked_bars(
    name: str, value: str, *, title: str, kind: Literal["usd", "count", "percent"] = "usd"
) -> Spec:
    """Return horizontal bars, the longest on top."""
    return {
        "mark": {"type": "bar", "cornerRadiusEnd": 3},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": None, "axis": {"title": None,
                                                                           "labelLimit": 180}},
            "x": _y(value, title, kind),
            "tooltip": [{"field": name, "title": "what"},
                        {"field": value, "type": "quantitative", "title": title,
                         "format": _USD if kind == "usd" else ","}],
        },
    }  # fmt: skip


def lines(
    time: str, value: str, series: str | None = None, *, title: str,
    kind: Literal["usd", "count", "percent"] = "usd", low: str | None = None,
    high: str | None = None,
) -> Spec:  # fmt: skip
    """Return lines over time, with a band between ``low`` and ``high`` where given."""
    x = {"field": time, "type": "ordinal", "axis": {"title": None, "labelOverlap": True}}
    colour: Spec = (
        {}
        if series is None
        else {"color": {"field": series, "type": "nominal", "title": None,
                        "legend": {"orient": "top", "labelLimit": 160}}}
    )  # fmt: skip
    line: Spec = {
        "mark": {"type": "line", "point": {"size": 18}},
        "encoding": {"x": x, "y": _y(value, title, kind)} | colour,
    }
    if low is None or high is None:
        return line
    band: Spec = {
        "mark": {"type": "area", "opacity": 0.2},
        "encoding": {"x": x, "y": _y(low, title, kind), "y2": {"field": high}} | colour,
    }
    return {"layer": [band, line]}


def points(x: str, y: str, label: str, *, x_title: str, y_title: str) -> Spec:
    """Return a scatter of dollars over dollars."""
    return {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.75},
        "encoding": {
            "x": _y(x, x_title, "usd"), "y": _y(y, y_title, "usd"),
            "tooltip": [{"field": label, "title": "what"}, {"field": x, "type": "quantitative"},
                        {"field": y, "type": "quantitative"}],
        },
    }  # fmt: skip


def heat_map(x: str, y: str, value: str, *, title: str) -> Spec:
    """Return cells coloured by a value, such as hour by weekday."""
    return {
        "mark": "rect",
        "encoding": {
            "x": {"field": x, "type": "ordinal", "sort": None, "axis": {"title": None}},
            "y": {"field": y, "type": "ordinal", "sort": None, "axis": {"title": None}},
            "color": {"field": value, "type": "quantitative", "title": title,
                      "scale": {"scheme": "blues"}},
            "tooltip": [{"field": x}, {"field": y},
                        {"field": value, "type": "quantitative", "title": title}],
        },
    }  # fmt: skip
