"""The tables of rollups: which columns of ``entries`` they have, and at what grain."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.usage import KINDS


class Rollup(NamedTuple):
    """Sums of entries by some dimensions and a stretch of UTC time."""

    table: str
    grain: Literal["hour", "day"]
    columns: tuple[str, ...]
    """The dimensions' columns of ``entries`` beside :data:`KEPT`."""
    has_tenants: bool
    """False: of the tenant it is only known whether there is one."""


KEPT: Final = ("tenant_id", "kind", "part", "retry_of", "status", "usage_source", "price_state")
"""Columns that every report looks at, see :mod:`tollbook.reports.build`."""
_MONEY: Final = (
    "reported_cost_usd", "saved_cost_usd", "billable_usd", "cost_usd",
    *(f"{kind}_cost_usd" for kind in KINDS), *LAYER_COSTS,
)  # fmt: skip
_COUNTS: Final = ("calls", *KINDS, *LAYER_TOKENS)
SUMMED: Final = (*_COUNTS, *_MONEY)
HOURS: Final = Rollup(
    "rollup_hours", "hour",
    ("provider", "model_requested", "model_actual", "operation", "feature", "environment"),
    has_tenants=False,
)  # fmt: skip
DAYS: Final = Rollup("rollup_days", "day", (), has_tenants=True)
ROLLUPS: Final = (HOURS, DAYS)


_TYPES: Final = {"part": "INTEGER", "retry_of": "UUID"}


def _ddl(rollup: Rollup) -> str:
    keys = (*KEPT, *rollup.columns)
    columns = [
        "upto_entry BIGINT NOT NULL", "called_at TIMESTAMP NOT NULL",
        *(f"{name} {_TYPES.get(name, 'VARCHAR')}" for name in keys),
        *(f"{name} BIGINT" for name in _COUNTS),
        *(f"{name} DECIMAL(38,12)" for name in _MONEY),
    ]  # fmt: skip
    return f"CREATE TABLE {rollup.table} ({', '.join(columns)})"


ROLLUP_TABLES: Final = (
    *(_ddl(rollup) for rollup in ROLLUPS),
    # up to which entry each is; that its rows are many fewer than entries is why it is used
    """CREATE TABLE rollups (
        name VARCHAR NOT NULL, upto_entry BIGINT NOT NULL, rows BIGINT NOT NULL)""",
    *(f"INSERT INTO rollups VALUES ('{rollup.table}', 0, 0)" for rollup in ROLLUPS),  # noqa: S608 -- constants
)
