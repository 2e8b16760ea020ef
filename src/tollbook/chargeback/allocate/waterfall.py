"""Run a policy over the cells of a period: exact, and without asking anybody for anything.

What a rule takes from an origin it gives to receivers, pool by pool, so the sum of all cells never
changes. A pool is what of a rule's source has the same of what the policy keeps (by default the
provider).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.allocate import cells as ledger_cells
from tollbook.chargeback.allocate.cells import Cell, Cells, matches, owner_of
from tollbook.chargeback.allocate.methods import NoShares, Shares, shares_of
from tollbook.chargeback.allocate.policy import (
    OWNER_FIELDS,
    Fixed,
    Keep,
    filters,
    fraction,
    owner_parts,
    source_filters,
)
from tollbook.chargeback.allocate.shares import integer_weights, ratio_texts
from tollbook.money import split_pico

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.chargeback.allocate.cells import Key, Owner
    from tollbook.chargeback.allocate.policy import Policy, Rule

_ADJUSTMENT: Final = "adjustment"
_ALLOCATION: Final = "allocation"


Owner4 = tuple[str | None, str | None, str | None, str | None]
"""Tenant, team, cost centre, feature."""


class Moved(NamedTuple):
    """An amount that a rule takes from an origin (without a ratio), or gives to a receiver."""

    rule: str
    method: str
    kept: Key
    """Values of the policy's ``keep``, in its order."""
    owner: Owner4
    amount: int
    ratio: str | None = None
    """Of a receiver: its part of the pool; those of a pool add up to exactly 1."""
    unit: str | None = None
    quantity: str | None = None
    """What was counted of it, where the method counts something."""

    @property
    def is_origin(self) -> bool:
        """Whether it is what was taken."""
        return self.ratio is None


class Outcome(NamedTuple):
    """What a policy makes of a period."""

    moved: list[Moved]
    problems: list[str]
    """What could not be done as the policy has it, by rule; the cost stays where it was."""


class Outside(NamedTuple):
    """What is not in the cells: imported metrics and attribution models."""

    metric: Callable[[str], Mapping[str, Fraction]]
    """By owner's name (several fields with ``/`` between)."""
    model: Callable[[str], Mapping[str, int]]
    """Weight by tenant."""


def run_policy(policy: Policy, cells: Cells, outside: Outside) -> Outcome:
    """Return what a policy moves.

    Raises:
        TollbookError: of ``outside``, for a metric or a model that does not exist.
    """
    return _Run(policy, cells, outside).run()


class _Run:
    """The scene that methods see, and the state that rules change."""

    def __init__(self, policy: Policy, cells: Cells, outside: Outside) -> None:
        self._policy, self._outside, self._names = policy, outside, cells.names
        self._state: dict[Key, int] = {}
        for cell in cells.cells:
            self._state[cell.key] = self._state.get(cell.key, 0) + cell.cost
        sources = [source_filters(rule.source, rule.name) for rule in policy.rules]
        self._direct = [
            cell for cell in cells.cells
            if not any(matches(cells.names, cell.key, source) for source in sources)
        ]  # fmt: skip
        self._kept: set[Key] = set()
        self._moved: list[Moved] = []
        self._problems: list[str] = []

    def run(self) -> Outcome:
        for rule in self._policy.rules:
            taken = self._taken(rule)
            if isinstance(rule.method, Keep) and rule.method.tenant is None:
                self._kept.update(taken)
            elif taken:
                self._apply(rule, taken)
        return Outcome(self._moved, self._problems)

    def quantities(
        self, metric: str, fields: Sequence[str], where: Sequence[str] = ()
    ) -> Mapping[Owner, Fraction]:
        """Return what each owner has of a metric; of the direct cells where the ledger knows it."""
        if metric == ledger_cells.COST_SO_FAR:
            now = [Cell(key, cost, {}) for key, cost in self._state.items()]
            return self._total(now, fields, where, ledger_cells.COST)
        if metric == ledger_cells.COST or metric in ledger_cells.QUANTITIES:
            return self._total(self._direct, fields, where, metric)
        found = self._outside.metric(metric)
        owners = {name: tuple(owner_parts(name, len(fields))) for name in found}
        return {owner: found[name] for name, owner in owners.items() if len(owner) == len(fields)}

    def model_weights(self, model: str) -> Mapping[str, int]:
        """Return the weights of an attribution model, by tenant."""
        return self._outside.model(model)

    def _total(
        self, cells: Sequence[Cell], fields: Sequence[str], where: Sequence[str], metric: str
    ) -> Mapping[Owner, Fraction]:
        wanted = filters(list(where), metric)
        some = [cell for cell in cells if matches(self._names, cell.key, wanted)]
        return ledger_cells.total(some, self._names, fields, metric)

    def _taken(self, rule: Rule) -> dict[Key, int]:
        where = source_filters(rule.source, rule.name)
        share = fraction(rule.source.share, rule.name)
        return {
            key: _part(cost, share)
            for key, cost in self._state.items()
            if cost and key not in self._kept and matches(self._names, key, where)
        }

    def _apply(self, rule: Rule, taken: Mapping[Key, int]) -> None:
        owners, shares = self._receivers(rule)
        if isinstance(shares, NoShares):
            self._problems.append(f"{rule.name}: {shares.problem}; it stays where it is")
            return
        self._problems += [f"{rule.name}: {problem}" for problem in shares.problems]
        if shares.spread < 1:
            taken = {key: _part(cost, shares.spread) for key, cost in taken.items()}
        method = rule.method.__struct_config__.tag
        weights = integer_weights(shares.shares)
        receiving = [at for at, weight in enumerate(weights) if weight]
        ratios = ratio_texts([weights[at] for at in receiving])
        fields = ("tenant",) if isinstance(rule.method, Keep) else rule.to.by
        pools: dict[Key, list[tuple[Key, int]]] = {}
        for key, amount in taken.items():
            if amount:
                kept = tuple(key[self._names.index(name)] for name in self._policy.keep)
                pools.setdefault(kept, []).append((key, amount))
        for kept, origins in pools.items():
            self._give(rule.name, str(method), kept, origins)
            pool = sum(amount for _, amount in origins)
            parts = split_pico(pool, [weights[at] for at in receiving])
            for at, part, ratio in zip(receiving, parts, ratios, strict=True):
                identity: dict[str, str] = dict(zip(fields, owners[at], strict=True))
                key = self._key(identity, kept)
                self._state[key] = self._state.get(key, 0) + part
                self._moved.append(
                    Moved(
                        rule.name, str(method), kept, _owner(identity), part, ratio, shares.unit,
                        _quantity(shares, at),
                    )
                )  # fmt: skip

    def _give(self, rule: str, method: str, kept: Key, origins: Sequence[tuple[Key, int]]) -> None:
        """Take from the origins, added up by owner."""
        by_owner: dict[Owner4, int] = {}
        for key, amount in origins:
            self._state[key] -= amount
            owner = _owner({name: key[self._names.index(name)] for name in OWNER_FIELDS})
            by_owner[owner] = by_owner.get(owner, 0) + amount
        self._moved += [
            Moved(rule, method, kept, owner, -amount) for owner, amount in by_owner.items()
        ]

    def _receivers(self, rule: Rule) -> tuple[list[Owner], Shares | NoShares]:
        owners = self._candidates(rule)
        if isinstance(rule.method, Keep):
            assert rule.method.tenant is not None
            return [(rule.method.tenant,)], Shares([Fraction(1)], Fraction(1))
        shares = shares_of(rule, owners, self)
        if isinstance(shares, NoShares) and owners and rule.fallback == "even":
            if shares.is_refused:
                return owners, shares
            self._problems.append(f"{rule.name}: {shares.problem}; it is spread evenly")
            return owners, Shares([Fraction(1, len(owners))] * len(owners), Fraction(1))
        return owners, shares

    def _candidates(self, rule: Rule) -> list[Owner]:
        to = rule.to
        names = list(to.names)
        if not names and isinstance(rule.method, Fixed):
            names = list(rule.method.shares)
        if names:
            found = {tuple(owner_parts(name, len(to.by))) for name in names}
        else:
            where = filters(to.where, rule.name)
            some = [cell for cell in self._direct if matches(self._names, cell.key, where)]
            found = {
                owner for cell in some
                if (owner := owner_of(self._names, cell.key, to.by)) is not None
            }  # fmt: skip
            metric = getattr(rule.method, "metric", None)
            if metric is not None and not where:
                found |= set(self.quantities(metric, to.by))
        excluded = set(to.exclude)
        return sorted(owner for owner in found if "/".join(owner) not in excluded)

    def _key(self, identity: Mapping[str, str], kept: Key) -> Key:
        values: dict[str, str | None] = {_ADJUSTMENT: _ALLOCATION, **identity}
        values.update(zip(self._policy.keep, kept, strict=True))
        return tuple(values.get(name) for name in self._names)


def _part(cost: int, share: Fraction) -> int:
    """Return a share of an amount; what is not of it stays."""
    if share == 1:
        return cost
    return split_pico(cost, [share.numerator, share.denominator - share.numerator])[0]


def _owner(identity: Mapping[str, str | None]) -> Owner4:
    tenant, team, cost_center, feature = (identity.get(name) for name in OWNER_FIELDS)
    return tenant, team, cost_center, feature


def _quantity(shares: Shares, at: int) -> str | None:
    if not shares.used:
        return None
    used = shares.used[at]
    if shares.unit == "USD":
        used /= 10**12
    return _decimal(used)


def _decimal(value: Fraction) -> str:
    """Return a quantity as decimal text, cut at 12 digits after the point."""
    scaled = abs(value) * 10**12
    whole, part = divmod(scaled.numerator // scaled.denominator, 10**12)
    digits = f"{part:012d}".rstrip("0")
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
