"""Whose calls a difference is about: the weights by which its amount is shared out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.reconcile.grain import PARENTS
from tollbook.chargeback.reconcile.keys import ModelNames
from tollbook.chargeback.reconcile.ledgerside import CALLS, as_datetime
from tollbook.chargeback.reconcile.model import Cause
from tollbook.prices.tiers import tier_of
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.model import Difference, Part, Reconciliation
    from tollbook.desk import Desk


class Owner(NamedTuple):
    """To whom an amount is booked; all None is nobody."""

    tenant_id: str | None = None
    team_id: str | None = None
    cost_center: str | None = None

    def identity(self) -> dict[str, str]:
        """Return what is known of it."""
        return {name: value for name, value in self._asdict().items() if value is not None}


NOBODY: Final = Owner()
_ONLY: Final = {
    Cause.ESTIMATE: Filter("usage_source", ("estimated",)),
    Cause.MISSING_USAGE: Filter("usage_source", ("none",)),
    Cause.RETRIED: Filter("price_state", ("not_billed",)),
}
"""Calls that a cause is about, where it is not about all."""
_BY_CALLS: Final = frozenset([Cause.MISSING_USAGE, Cause.RETRIED])
"""Causes about calls that have no cost."""
_BY: Final = ("tenant", "team", "cost_center", "model", "price_tier")

_Row = dict[str, Any]


class Owners:
    """Finds owners from the ledger; each stretch of time is read once.

    Args:
        desk: the ledger.
        run: what is shared out.
    """

    def __init__(self, desk: Desk, run: Reconciliation) -> None:
        self._desk = desk
        self._run = run
        self._names = ModelNames(desk.config, run.provider)
        self._read: dict[tuple[int, int, Cause | None], list[_Row]] = {}

    def weights(self, difference: Difference, part: Part) -> dict[Owner, int]:
        """Return by what weights a part is shared; the less exact the less is known.

        By the cost of its kind, then by its tokens, then by the cost of its model, then by all
        that the provider's calls cost in the time. Empty: no call could be charged.
        """
        rows = self._rows(difference)
        kinds = [kind for kind in KINDS if part.kind is None or _is_part_of(kind, part.kind)]
        model = part.model
        if difference.cause is Cause.MAPPING:
            # The provider's name of it stands in no call.
            model = difference.evidence.get("ledger_model", model)
        mine = [
            row for row in rows
            if model in {None, row["model"]} and part.tier in {None, row["price_tier"]}
        ]  # fmt: skip
        if difference.cause in _BY_CALLS:
            return _summed(mine, ["calls"])
        return (
            _summed(mine, [f"{kind}_cost_usd" for kind in kinds])
            or _summed(mine, kinds)
            or _summed(mine, ["cost_usd"])
            or _summed(rows, ["cost_usd"])
        )

    def _rows(self, difference: Difference) -> list[_Row]:
        only = difference.cause if difference.cause in _ONLY else None
        at = (difference.since_ns, difference.until_ns, only)
        if at not in self._read:
            where = [Filter("provider", (self._run.provider,)), CALLS]
            if only is not None:
                where.append(_ONLY[only])
            query = SpendQuery(
                since=as_datetime(at[0]), until=as_datetime(at[1]), by=_BY, where=tuple(where),
                measures=("calls", "cost_usd", *KINDS, *(f"{kind}_cost_usd" for kind in KINDS)),
            )  # fmt: skip
            self._read[at] = [
                row | {
                    "model": self._names.of(row["model"], at[0]),
                    "price_tier": tier_of(row["price_tier"]),
                }
                for row in wide_rows(self._desk.reader, query)
            ]  # fmt: skip
        return self._read[at]


def _is_part_of(kind: str, whole: str) -> bool:
    at: str | None = kind
    while at is not None and at != whole:
        at = PARENTS.get(at)
    return at is not None


def _summed(rows: list[_Row], columns: list[str]) -> dict[Owner, int]:
    sums: dict[Owner, int] = defaultdict(int)
    for row in rows:
        weight = sum(row[column] or 0 for column in columns)
        if weight:
            sums[Owner(row["tenant"], row["team"], row["cost_center"])] += weight
    return {
        owner: weight
        for owner, weight in sorted(sums.items(), key=lambda item: [one or "" for one in item[0]])
        if weight > 0
    }
