"""Past calls as a budget would have met them: when, whose, what they held, what they came to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.budgets.rules import UNKNOWN
from tollbook.errors import TollbookError
from tollbook.ledger.budgetsums import COLUMNS, COUNTED
from tollbook.money import pico_from_usd
from tollbook.usage import OUTPUT_KINDS, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.reports.reader import Reader

CALLS_MAX: Final = 3_000_000
"""Most calls of one question; they are replayed in memory."""
_WILD: Final = frozenset("*?[")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OUTPUT_TOKENS: Final = " + ".join(f"coalesce({kind}, 0)" for kind in OUTPUT_KINDS)
_OUTPUT_COST: Final = " + ".join(f"coalesce({kind}_cost_usd, 0)" for kind in OUTPUT_KINDS)
_TOKENS: Final = " + ".join(f"coalesce({kind}, 0)" for kind in TOKEN_KINDS)


class TooManyCallsError(TollbookError):
    """A range that holds more calls than are replayed."""

    def __init__(self) -> None:
        super().__init__(
            f"the range has more than {CALLS_MAX:,} calls of this budget; choose a shorter one"
        )


class PastCall(NamedTuple):
    """One call of the ledger."""

    at_us: int
    """When it was sent, since the epoch."""
    ends_us: int
    owner: tuple[str, ...]
    pico: int | None
    """What it cost; None: its price is not known."""
    tokens: int
    hold_pico: int | None
    """What it held until it ended: its input, and its whole output limit at its own price."""
    hold_tokens: int


class _Row(NamedTuple):
    started_us: int
    duration_ns: int | None
    pico: int
    tokens: int
    output_pico: int
    output_tokens: int
    unpriced: int
    metered: bool
    most_output_tokens: int | None
    model: str | None


_SUMS: Final = (
    "epoch_us(min(called_at))", "max(duration_ns)", "coalesce(sum(cost_usd), 0)",
    f"coalesce(sum({_TOKENS}), 0)", f"coalesce(sum({_OUTPUT_COST}), 0)",
    f"coalesce(sum({_OUTPUT_TOKENS}), 0)",
    "sum(CASE WHEN price_state = 'unpriced' THEN calls ELSE 0 END)",
    "bool_or(metering = 'metered')", "max(max_output_tokens)",
    "any_value(coalesce(model_actual, model_requested))",
)  # fmt: skip


def past_calls(reader: Reader, rule: Rule, since: datetime, until: datetime) -> list[PastCall]:
    """Return the calls that a rule counts, in the order in which they were sent.

    What was refused when it was sent is not among them: nobody knows what it would have cost.

    Raises:
        TooManyCallsError: there are more than :data:`CALLS_MAX`.
        QueryTimeoutError: it took too long.
    """
    each, match = rule.budget.each, rule.budget.match
    names = [*each, *(name for name in match if name not in each)]
    found = reader.fetch(*_query(names, match, since, until))
    if len(found) > CALLS_MAX:
        raise TooManyCallsError
    counted: list[tuple[tuple[str, ...], _Row]] = []
    fields = dict.fromkeys(COLUMNS, UNKNOWN)
    for row in found:
        fields.update(zip(names, row, strict=False))
        owner = rule.owner(fields)
        if owner is not None:
            counted.append((owner, _row(row[len(names) :])))
    prices = _output_prices(row for _, row in counted)
    return [_call(rule, owner, row, prices) for owner, row in counted]


def _query(
    names: Sequence[str], match: dict[Any, str], since: datetime, until: datetime
) -> tuple[str, list[Any]]:
    columns = [f"coalesce({COLUMNS[name]}, '{UNKNOWN}')" for name in names]
    values: list[Any] = [_us(since), _us(until)]
    conditions = ["called_at >= make_timestamp(?)", "called_at < make_timestamp(?)", COUNTED]
    for name, pattern in match.items():
        if not _WILD & set(pattern):  # others are held against the pattern afterwards
            conditions.append(f"coalesce({COLUMNS[name]}, '{UNKNOWN}') = ?")
            values.append(pattern)
    # A call that was booked anew for another owner nets to no call where it was before.
    sql = (
        f"SELECT {', '.join([*columns, *_SUMS])} FROM entries WHERE {' AND '.join(conditions)}"  # noqa: S608 -- our own names
        f" GROUP BY {', '.join([*columns, 'call_id'])} HAVING sum(calls) > 0"
        f" ORDER BY epoch_us(min(called_at)), call_id LIMIT {CALLS_MAX + 1}"
    )
    return sql, values


def _row(values: Sequence[Any]) -> _Row:
    started_us, duration_ns, cost, tokens, output_cost, output_tokens, *rest = values
    return _Row(
        started_us, duration_ns, pico_from_usd(cost), int(tokens), pico_from_usd(output_cost),
        int(output_tokens), int(rest[0]), bool(rest[1]), rest[2], rest[3],
    )  # fmt: skip


def _output_prices(rows: Any) -> dict[str | None, tuple[int, int]]:
    """Return cost and number of the output tokens of each model, for calls that wrote nothing."""
    found: dict[str | None, tuple[int, int]] = {}
    for row in rows:
        cost, tokens = found.get(row.model, (0, 0))
        found[row.model] = (cost + row.output_pico, tokens + row.output_tokens)
    return found


def _call(
    rule: Rule, owner: tuple[str, ...], row: _Row, prices: dict[str | None, tuple[int, int]]
) -> PastCall:
    ends_us = row.started_us + (row.duration_ns or 0) // 1000
    if not row.metered:
        return PastCall(row.started_us, ends_us, owner, 0, 0, 0, 0)
    most = row.most_output_tokens or rule.budget.default_output_tokens
    hold_tokens = row.tokens - row.output_tokens + most
    if row.unpriced:
        return PastCall(row.started_us, ends_us, owner, None, row.tokens, None, hold_tokens)
    cost, tokens = (row.output_pico, row.output_tokens)
    if tokens <= 0:
        cost, tokens = prices.get(row.model, (0, 0))
    output = -(-cost * most // tokens) if tokens > 0 else 0
    hold = max(0, row.pico - row.output_pico + output)
    return PastCall(row.started_us, ends_us, owner, row.pico, row.tokens, hold, hold_tokens)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
