"""Insights over the API: each is a question with rows, totals, how it was computed, and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.desk import Operation
from tollbook.desk.permits import Scope
from tollbook.insights.cache_opportunity import CacheRequest, cache_opportunity
from tollbook.insights.change import ChangeRequest, change
from tollbook.insights.forecast import ForecastRequest, run_forecast
from tollbook.insights.kept import Keeper
from tollbook.insights.layers_time import LayersRequest, layers
from tollbook.insights.memory_roi import MemoryRequest, memory_roi
from tollbook.insights.operational import OperationalRequest, operational
from tollbook.insights.prompt_growth import GrowthRequest, prompt_growth
from tollbook.insights.retry_waste import WasteRequest, retry_waste
from tollbook.insights.right_sizing import RightSizingRequest, right_sizing
from tollbook.insights.skew import SkewRequest, skew
from tollbook.insights.tool_tax import ToolTaxRequest, tool_tax
from tollbook.insights.unit_costs import UnitsRequest, units

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
    _insight("units", UnitsRequest, units, "What one request, run or ticket costs."),
    _insight("layers", LayersRequest, layers, "What the layers of requests cost, over time."),
    _insight("tool_tax", ToolTaxRequest, tool_tax, "What definitions and results of tools cost."),
    _insight("memory_roi", MemoryRequest, memory_roi, "What memory and context cost, and change."),
    _insight("prompt_growth", GrowthRequest, prompt_growth, "Stable prefixes by version."),
    _insight(
        "cache_opportunity", CacheRequest, cache_opportunity,
        "Stable prefixes that were paid at the full price.",
    ),
    _insight(
        "right_sizing", RightSizingRequest, right_sizing,
        "Features that use a large model for small outputs.",
    ),
    _insight("retry_waste", WasteRequest, retry_waste, "Dollars of attempts that came to nothing."),
    _insight(
        "operational", OperationalRequest, operational,
        "Burn rate, deviation, the dearest calls, keys near their cap.",
    ),
)  # fmt: skip
