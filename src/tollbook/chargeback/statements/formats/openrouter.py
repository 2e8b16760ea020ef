"""OpenRouter: activity of the last 30 completed UTC days, by model and host.

https://openrouter.ai/docs/api-reference/analytics/get-activity. ``usage`` is what was taken from
the credits; ``byok_usage_inference`` is what the own key's provider charges beside it, and is no
part of OpenRouter's bill. The fee for buying credits is on the invoice only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.base import Cells, Format, line, readable, tags_of
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.moments import day_span
from tollbook.chargeback.statements.told import Group, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

PROVIDER: Final = "openrouter"
_KNOWN: Final = frozenset({
    "date", "model", "usage", "requests", "prompt_tokens", "completion_tokens", "reasoning_tokens",
})  # fmt: skip


def read_activity(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield a line of money for each row, and lines of its quantities in a statement of usage."""
    provider = reading.provider or PROVIDER
    money = Group(provider, reading.account, "cost", Basis.COST)
    usage = Group(provider, reading.account, "usage", Basis.USAGE)
    for at, values in readable(rows, reading):
        cells = Cells(at, values, reading)
        day_ns = cells.at("date")
        if day_ns is None:
            continue
        start_ns, end_ns = day_span(day_ns)
        reading.cover(start_ns, end_ns)
        common: dict[str, Any] = {
            "start_ns": start_ns, "end_ns": end_ns, "provider": provider,
            "model": cells.text("model"), "description": "usage",
            "tags": tags_of((n, v) for n, v in values.items() if n not in _KNOWN),
        }  # fmt: skip
        yield Told(money, line(**common, amount=cells.pico("usage")))
        for kind, quantity in _quantities(cells).items():
            if quantity:
                requests = quantity if kind == "requests" else None
                yield Told(usage, line(**common, kind=kind, quantity=quantity, requests=requests))


def _quantities(cells: Cells) -> dict[str, int]:
    out = cells.whole("completion_tokens") or 0
    thought = cells.whole("reasoning_tokens") or 0
    return {
        "uncached_input_tokens": cells.whole("prompt_tokens") or 0,
        "visible_output_tokens": max(0, out - thought),
        "reasoning_tokens": thought,
        "requests": cells.whole("requests") or 0,
    }


ACTIVITY: Final = Format(
    "openrouter.activity", Basis.COST,
    (frozenset({"date", "model", "usage", "prompttokens"}),), read_activity,
)  # fmt: skip
