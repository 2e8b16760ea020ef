"""The chart that only finance has: steps from one sum to another."""

from __future__ import annotations

from typing import Any

from tollbook.console.pages.charts import number_format


def money_steps(name: str, start: str, end: str, kind: str, *, title: str) -> dict[str, Any]:
    """Return steps from one amount to another: floating bars from ``start`` to ``end``.

    Args:
        name: field with what a step is, in order.
        start: field where its bar begins.
        end: field where it ends.
        kind: field with ``sum``, ``more`` or ``less``.
        title: of the vertical axis.
    """
    return {
        "mark": {"type": "bar", "cornerRadius": 2},
        "encoding": {
            "x": {"field": name, "type": "nominal", "sort": None,
                  "axis": {"title": None, "labelAngle": -30, "labelLimit": 140}},
            "y": {"field": start, "type": "quantitative",
                  "axis": {"format": number_format("usd"), "title": title},
                  "scale": {"zero": False}},
            "y2": {"field": end},
            "color": {"field": kind, "type": "nominal", "title": None,
                      "scale": {"domain": ["sum", "more", "less"]},
                      "legend": {"orient": "top"}},
            "tooltip": [{"field": name, "title": "what"}, {"field": "amount", "title": title}],
        },
    }  # fmt: skip
