"""Insights over the API: each is a question with rows, totals, how it was computed, and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.desk import Operation
from tollbook.desk.permits import Scope
from tollbook.insights.change import ChangeRequest, change
from tollbook.insights.forecast import ForecastRequest, run_forecast
from tollbook.insights.kept import Keeper
from tollbook.insights.skew import SkewRequest, skew

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from tollbook.desk import Desk

_keeper: Final = Keeper()


def _insight(
    name: str, request: type[Struct], run: Callable[[Desk, Any], dict[str, Any]], summary: str
) -> Operation:
    full = f"insights.{name}"
    return Operation(
        full, "GET", f"/insights/{name.replace('_', '-')}", request, _keeper.keeping(full, run),
        summary, scope=Scope.SPEND,
    )  # fmt: skip


OPERATIONS: Final = (
    _insight("change", ChangeRequest, change, "Why spend changed: volume, mix, price, cache."),
    _insight("skew", SkewRequest, skew, "How few owners most of the spend is of."),
    _insight("forecast", ForecastRequest, run_forecast, "Spend of days to come, with an interval."),
)
