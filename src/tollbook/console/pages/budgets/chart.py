"""The picture of a budget: what owners have spent, step by step, and the limit they near."""

from __future__ import annotations

from typing import Any, Final

_COUNT: Final = ",.3~s"
_USD: Final = "$,.3~s"


def against_limit(
    time: str, value: str, series: str, limit: str, *, title: str, is_usd: bool
) -> dict[str, Any]:
    """Return cumulative steps over time by owner, with the limit of each as a dashed line.

    Args:
        time: field with an hour or a day as text that sorts.
        value: field of what is spent up to then.
        series: field of the owner.
        limit: field of the owner's limit.
        title: of the vertical axis.
        is_usd: whether amounts are dollars.
    """
    shown = _USD if is_usd else _COUNT
    x = {"field": time, "type": "temporal", "axis": {"title": None, "labelOverlap": True}}
    colour = {"field": series, "type": "nominal", "title": None,
              "legend": {"orient": "top", "columns": 3, "labelLimit": 200}}  # fmt: skip
    axis = {"format": shown, "title": title}
    spent: dict[str, Any] = {
        "mark": {"type": "line", "interpolate": "step-after", "point": {"size": 18}},
        "encoding": {
            "x": x, "y": {"field": value, "type": "quantitative", "axis": axis}, "color": colour,
            "tooltip": [{"field": time, "title": "up to"}, {"field": series, "title": "owner"},
                        {"field": value, "title": "spent"}, {"field": limit, "title": "limit"}],
        },
    }  # fmt: skip
    line: dict[str, Any] = {
        "mark": {"type": "rule", "strokeDash": [6, 4], "opacity": 0.8},
        "encoding": {
            "y": {"field": limit, "type": "quantitative", "aggregate": "max", "axis": axis},
        },
    }
    return {"layer": [spent, line]}
