"""Calls that serve several tenants: what they cost is moved to each by its part.

Two kinds. Lines of a batch whose owner nobody knows, in a batch whose other lines have owners: by
the tokens of those. A request that says itself whom it serves, in a tag ``tenants`` such as
``acme:3,globex:1``: by those weights, or evenly where it gives none.

Both are allocations: the origin loses what the targets gain, and nothing else changes.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.allocate.shares import integer_weights
from tollbook.chargeback.terms.posting import (
    Booked,
    Posting,
    book_difference,
    booked_runs,
    whole_of,
)
from tollbook.ledger.adjust import AdjustmentType
from tollbook.money import split_pico
from tollbook.reports import dimensions, measures
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

TAG: Final = "tenants"
RUNS: Final = "split:"
"""What the ids of all runs begin with: ``split:MONTH:WHAT:NUMBER``."""
TENANTS_MAX: Final = 1_000
_OWNER: Final = ("tenant", "team", "cost_center", "feature")
_WHAT: Final = ("provider", "model", "price_tier", "region")
_TAG: Final = f"{dimensions.TAG_PREFIX}{TAG}"
_CALLS_ONLY: Final = Filter("adjustment", (None,))
_EXPONENT_MAX: Final = 12

Owner = tuple[str | None, ...]


class Split(NamedTuple):
    """One batch, or all requests with one tag's words, in a month."""

    name: str
    """``batch-ID`` or ``tag``; with month and number the id of its runs."""
    amounts: dict[Posting, int]
    """Sums to zero."""
    reason: str
    problems: tuple[str, ...] = ()


def find_splits(desk: Desk, period: Period, batch_id: str | None = None) -> list[Split]:
    """Return what there is to be moved in a month, from all that is known now.

    Args:
        desk: what is open.
        period: the month of the calls.
        batch_id: that batch alone, without requests that say whom they serve.

    Raises:
        QueryTimeoutError: it took too long.
    """
    found = list(_batches(desk, period, batch_id))
    if batch_id is None:
        found += _tagged(desk, period)
    return found


def book_splits(
    desk: Desk, period: Period, batch_id: str | None = None
) -> list[tuple[Split, str | None, int]]:
    """Book what is to be moved, or the difference to what was booked before.

    Returns:
        Of each its run and how many entries were added; None and 0 where nothing was lacking.

    Raises:
        QueryTimeoutError: it took too long.
    """
    # The lock of the one writer: two runs at a time would both book the difference.
    with desk.store.transaction():
        runs = booked_splits(desk, period)
        splits = {one.name: one for one in find_splits(desk, period, batch_id)}
        if batch_id is None:
            for run_id in runs:
                name = _name_of(run_id, period)
                splits.setdefault(name, Split(name, {}, "nothing is shared any longer"))
        return [
            (one, *book_difference(
                desk, period, f"{RUNS}{period.name}:{one.name}:", runs, one.amounts, one.reason
            ))
            for one in splits.values()
        ]  # fmt: skip


def booked_splits(desk: Desk, period: Period) -> Booked:
    """Return the runs that have booked for a month; see ``booked_runs``."""
    return booked_runs(desk, period, f"{RUNS}{period.name}:", (AdjustmentType.ALLOCATION,))


def booked_of(runs: Booked, period: Period, name: str) -> dict[Posting, int]:
    """Return what is booked of one split."""
    return whole_of({one: runs[one] for one in runs if _name_of(one, period) == name})


def _name_of(run_id: str, period: Period) -> str:
    return run_id.removeprefix(f"{RUNS}{period.name}:").rpartition(":")[0]


def _rows(
    desk: Desk, period: Period, by: tuple[str, ...], where: tuple[Filter, ...]
) -> list[dict[str, Any]]:
    query = SpendQuery(
        since=period.start, until=period.end, by=(*by, *_OWNER, *_WHAT, "day"),
        where=(*where, _CALLS_ONLY), measures=(*TOKEN_KINDS, measures.COST),
    )  # fmt: skip
    rows = list(wide_rows(desk.reader, query))
    return sorted(rows, key=lambda row: tuple(
        (row[name] is not None, str(row[name] or "")) for name in query.by))  # fmt: skip


def _batches(desk: Desk, period: Period, batch_id: str | None) -> Iterator[Split]:
    which = Filter("batch_id", (None,), negate=True)
    if batch_id is not None:
        which = Filter("batch_id", (batch_id,))
    batches: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(desk, period, ("batch_id",), (which,)):
        batches.setdefault(row["batch_id"], []).append(row)
    for name, rows in batches.items():
        tokens: dict[Owner, int] = {}
        for row in rows:
            if row["tenant"] is not None:
                owner = tuple(row[field] for field in _OWNER)
                tokens[owner] = tokens.get(owner, 0) + _tokens(row)
        known = {owner: count for owner, count in tokens.items() if count > 0}
        nobodys = [row for row in rows if row["tenant"] is None and row[measures.COST]]
        if known and nobodys:
            amounts: dict[Posting, int] = {}
            for row in nobodys:
                _move(amounts, row, known)
            reason = f"batch {name}: lines without an owner, by the tokens of those with one"
            yield Split(f"batch-{name}", amounts, reason)


def _tokens(row: Mapping[str, Any]) -> int:
    return sum(row[kind] or 0 for kind in TOKEN_KINDS)


def _tagged(desk: Desk, period: Period) -> Iterator[Split]:
    amounts: dict[Posting, int] = {}
    problems: dict[str, None] = {}
    rows = _rows(desk, period, (_TAG,), (Filter(_TAG, (None,), negate=True),))
    for row in rows:
        weights = read_weights(row[_TAG])
        if weights is None:
            problems[f"tag {TAG}: {row[_TAG][:64]!r} is not like acme:3,globex:1"] = None
            continue
        shared = tuple(row[field] for field in _OWNER[1:])
        own = row["tenant"]
        # Team and cost centre are those of the tenant that called; others have them not.
        owners = {
            (tenant, *(shared if tenant == own else (None, None, shared[-1]))): weight
            for tenant, weight in weights.items()
        }
        _move(amounts, row, owners)
    if amounts or problems:
        reason = f"requests that serve several tenants, by the weights of their tag {TAG}"
        kept = {at: amount for at, amount in amounts.items() if amount}
        yield Split("tag", kept, reason, tuple(problems))


def read_weights(text: str) -> dict[str, int] | None:
    """Read ``acme:3,globex:1`` or ``acme,globex``; None where it is neither.

    Weights are decimal numbers; a name without one weighs 1. The last colon tells name and weight.
    """
    found: dict[str, Fraction] = {}
    for part in text.split(","):
        name, colon, number = part.strip().rpartition(":")
        name, number = (name.strip(), number.strip()) if colon else (number.strip(), "1")
        try:
            weight = Decimal(number)
            is_right = weight.is_finite() and weight >= 0
            is_right = is_right and abs(weight.adjusted()) <= _EXPONENT_MAX
        except InvalidOperation:
            return None
        if not is_right or not name or name in found or name == dimensions.UNKNOWN:
            return None
        found[name] = Fraction(weight)
    if not any(found.values()) or len(found) > TENANTS_MAX:
        return None
    return dict(zip(found, integer_weights(list(found.values())), strict=True))


def _move(amounts: dict[Posting, int], row: Mapping[str, Any], owners: Mapping[Owner, int]) -> None:
    """Take a row's cost from where it is and give it to owners by weight."""
    cost = row[measures.COST] or 0
    _add(amounts, row, tuple(row[field] for field in _OWNER), -cost)
    for owner, part in zip(owners, split_pico(cost, list(owners.values())), strict=True):
        _add(amounts, row, owner, part)


def _add(amounts: dict[Posting, int], row: Mapping[str, Any], owner: Owner, amount: int) -> None:
    at = Posting(
        adjustment=AdjustmentType.ALLOCATION.value, day=row["day"].date(),
        **dict(zip(_OWNER, owner, strict=True)), **{name: row[name] for name in _WHAT},
    )  # fmt: skip
    amounts[at] = amounts.get(at, 0) + amount


def sums_by_tenant(amounts: Iterable[tuple[Posting, int]]) -> dict[str | None, int]:
    """Return what is moved from (below zero) and to each tenant."""
    found: dict[str | None, int] = {}
    for at, amount in amounts:
        found[at.tenant] = found.get(at.tenant, 0) + amount
    return found
