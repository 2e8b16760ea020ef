"""What a report can count: sums of signed entries, nothing else."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.usage import INPUT_KINDS, KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

COST: Final = "cost_usd"
CALLS: Final = "calls"
KNOWN_CALLS: Final = "known_calls"
"""Calls whose cost is known; fetched always, so that unknown is not shown as zero."""
ERRORS: Final = "errors"
OPERATIONS: Final = "operations"
"""Calls that are no further attempt of another: what users asked for."""
UNPRICED_PARTS: Final = "unpriced_parts"
"""Parts of calls whose cost is unknown; fetched with the states, so that none is overlooked."""

FIGURES: Final = ("reported_cost_usd", "saved_cost_usd", "billable_usd")
"""What providers say that calls cost; what answers from the response cache would have cost; what
tenants are charged. None where no entry says it."""

TOKEN_SUMS: Final = MappingProxyType(
    {
        "input_tokens": INPUT_KINDS,
        "output_tokens": OUTPUT_KINDS,
        "cache_write_tokens": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
        **{kind: (kind,) for kind in KINDS},
    }
)
"""Token measure to the disjoint kinds it is the sum of (OpenTelemetry GenAI's sense)."""

COMPONENTS: Final = MappingProxyType({f"{kind}_cost_usd": kind for kind in KINDS})
"""Cost of one kind; the components of a call add up to its cost."""

UNSPLIT: Final = "unsplit"
LAYERS: Final = (*LAYER_TOKENS, *LAYER_COSTS)
"""Tokens and cost by layer of the request. Those of a call add up to its tokens and its cost: what
was booked before requests were split stands among the unsplit."""

NAMES: Final = (
    CALLS, OPERATIONS, ERRORS, *TOKEN_SUMS, COST, *FIGURES, *COMPONENTS, *LAYERS,
)  # fmt: skip
DEFAULT: Final = (
    CALLS,
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    COST,
)


def is_money(name: str) -> bool:
    """Whether a measure is an amount of dollars."""
    return name == COST or name in COMPONENTS or name in FIGURES or name in LAYER_COSTS


def base_columns(measures: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of ``entries`` whose sums the measures need (calls and cost always)."""
    needed = {COST, CALLS}
    for name in measures:
        if name in TOKEN_SUMS:
            needed.update(TOKEN_SUMS[name])
        elif name in COMPONENTS or name in FIGURES or name in LAYERS:
            needed.add(name)
    order = (CALLS, *KINDS, COST, *FIGURES, *COMPONENTS, *LAYERS)
    return tuple(column for column in order if column in needed)
