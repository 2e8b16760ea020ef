"""Vega-Lite specifications of the few kinds of charts that the console uses.

They name fields only; values come with the chart, colours with the theme of the reader. Numbers in
a chart are for the eye: exact ones are in the table beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Spec = dict[str, Any]
_USD: Final = "$,.6~f"
_TIME_AXIS: Final = {
    "title": None, "labelOverlap": "greedy", "labelAngle": 0, "labelSeparation": 12,
    "labelBound": True,
    # Hours bear their date and offset: 11-21T05:00 is enough under a bar.
    "labelExpr": "length(datum.label) > 10 ? substring(datum.label, 5, 16) : datum.label",
    "ticks": False, "domain": False,
}  # fmt: skip
"""Of days and months as text: as many labels as there is room for, never slanted."""


def drawable(spec: Spec, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return values with numbers where the picture needs them: reports have dollars as text.

    They are for the eye alone; the table beside the chart has the exact ones.
    """
    fields = set(_quantities(spec))

    def number(name: str, value: Any) -> Any:
        if name not in fields or not isinstance(value, str):
            return value
        try:
            return float(value)
        except ValueError:
            return None

    return [{name: number(name, value) for name, value in row.items()} for row in values]


def _quantities(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _quantities(one)
    elif isinstance(part, dict):
        if part.get("type") == "quantitative" and isinstance(part.get("field"), str):
            yield part["field"]
        for name, one in part.items():
            if name in ("x2", "y2") and isinstance(one, dict):
                yield one.get("field", "")
            yield from _quantities(one)


def linked(spec: Spec, field: str = "url") -> Spec:
    """Return a chart whose marks lead to the page that a field of their values names."""
    return {
        **spec, "encoding": spec["encoding"] | {"href": {"field": field, "type": "nominal"}},
    }  # fmt: skip


def number_format(kind: Literal["usd", "count", "percent"]) -> str:
    """Return d3's words for a kind of numbers."""
    return {"usd": _USD, "count": ",", "percent": ".3~f"}[kind]


def _labels(kind: Literal["usd", "count", "percent"]) -> str:
    """Return the expression of an axis' labels: d3 calls a billion G, and 0.8 dollars 800m."""
    sign = "$" if kind == "usd" else ""
    small = f"format(datum.value, '{sign},.4~f')"
    if kind == "percent":
        return f"{small} + ' %'"
    large = f"replace(format(datum.value, '{sign},.3~s'), 'G', 'B')"
    return f"abs(datum.value) >= 1000 ? {large} : {small}"


def _y(field: str, title: str, kind: Literal["usd", "count", "percent"], **more: Any) -> Spec:
    axis = {"labelExpr": _labels(kind), "title": title, "tickCount": 5} | more
    return {"field": field, "type": "quantitative", "axis": axis}


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
        "x": {"field": time, "type": "ordinal", "axis": _TIME_AXIS},
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
    name: str, value: str, series: str | None = None, *, title: str,
    kind: Literal["usd", "count", "percent"] = "usd", order: list[str] | None = None,
) -> Spec:  # fmt: skip
    """Return horizontal bars in the order of the values, stacked by a series where given."""
    colour: Spec = (
        {}
        if series is None
        else {"color": {"field": series, "type": "nominal", "title": None, "sort": order,
                        "legend": {"orient": "top", "columns": 4, "labelLimit": 160}}
              | ({} if order is None else {"scale": {"domain": order}})}
    )  # fmt: skip
    return {
        "mark": {"type": "bar", "cornerRadiusEnd": 3},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": None, "axis": {"title": None,
                                                                           "labelLimit": 180}},
            "x": _y(value, title, kind, tickCount=6),
            "tooltip": [{"field": name, "title": "what"},
                        *([] if series is None else [{"field": series, "title": "of it"}]),
                        {"field": value, "type": "quantitative", "title": title,
                         "format": _USD if kind == "usd" else ","}],
            **colour,
        },
    }  # fmt: skip


def lines(
    time: str, value: str, series: str | None = None, *, title: str,
    kind: Literal["usd", "count", "percent"] = "usd", low: str | None = None,
    high: str | None = None,
) -> Spec:  # fmt: skip
    """Return lines over time, with a band between ``low`` and ``high`` where given."""
    x = {"field": time, "type": "ordinal", "axis": _TIME_AXIS}
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


def waterfall(name: str, start: str, end: str, colour: str, *, title: str) -> Spec:
    """Return bars from a start to an end, one below the other: what ran when, and how long.

    Args:
        name: field of the line.
        start: field of where a bar begins, a number.
        end: field of where it ends.
        colour: field of what it is.
        title: of the horizontal axis, with its unit.
    """
    return {
        "mark": {"type": "bar", "cornerRadius": 2, "minBandSize": 3},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": None,
                  "axis": {"title": None, "labelLimit": 150, "labelOverlap": True}},
            "x": {"field": start, "type": "quantitative", "axis": {"title": title}},
            "x2": {"field": end},
            "color": {"field": colour, "type": "nominal", "title": None,
                      "legend": {"orient": "top", "columns": 4, "labelLimit": 160}},
            "tooltip": [{"field": name, "title": "what"}, {"field": colour, "title": "kind"},
                        {"field": start, "type": "quantitative", "title": "from"},
                        {"field": end, "type": "quantitative", "title": "to"}],
        },
    }  # fmt: skip


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
