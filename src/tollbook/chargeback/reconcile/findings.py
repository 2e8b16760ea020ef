"""Claims, added up to differences: one for each cause and what it is about."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.reconcile.keys import DAY_NS, Key, day_text
from tollbook.chargeback.reconcile.model import Cause, Difference, Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.chargeback.reconcile.world import World

_ID_CHARS: Final = 16
_ZERO_IS_TOLD: Final = frozenset([Cause.PROVIDER_GAP, Cause.BOUNDARY, Cause.MAPPING])
"""Causes that are worth telling also where the dollars come out even."""


class _Found:
    def __init__(self) -> None:
        self.parts: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        self.days: set[int] = set()
        self.evidence: dict[str, Any] = {}
        self.hours: tuple[int, int] | None = None
        self.amount = 0


class Findings:
    """What rules have claimed of the time itself; claims on the days around it are not kept.

    Args:
        world: the cells.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: dict[tuple[Cause, tuple[str, ...]], _Found] = {}

    def add(
        self, cause: Cause, about: Iterable[str], day: int | None, key: Key, tokens: int,
        amount: int,
    ) -> None:  # fmt: skip
        """Keep a claim.

        Args:
            cause: why.
            about: what tells it from others of the cause, the same in each run.
            day: on which it shows; None: of the time as a whole.
            key: what it is of.
            tokens: provider's less ledger's.
            amount: pico, provider's less ledger's.
        """
        if day is not None and not self._world.is_inside(day):
            return
        one = self._one(cause, about)
        one.amount += amount
        part = one.parts[key._replace(region=None, context=None)]
        part[0] += tokens
        part[1] += amount
        if day is not None:
            one.days.add(day)

    def tell(
        self, cause: Cause, about: Iterable[str], hours: tuple[int, int] | None = None,
        named: dict[str, Any] | None = None, /, **evidence: Any,
    ) -> None:  # fmt: skip
        """Add evidence to what was claimed; of nothing that was claimed there is none.

        ``hours`` since the epoch narrow down where it lies; ``named`` is further evidence.
        """
        found = self._found.get((cause, tuple(about)))
        if found is not None:
            found.evidence.update(evidence | (named or {}))
            found.hours = hours or found.hours

    def total(self) -> int:
        """Return the sum of all claims in pico."""
        return sum(one.amount for one in self._found.values())

    def amount(self, cause: Cause) -> int:
        """Return the sum of the claims of a cause in pico."""
        return sum(one.amount for (of, _), one in self._found.items() if of is cause)

    def of(self, cause: Cause) -> list[tuple[tuple[str, ...], int]]:
        """Return what claims of a cause are about, with their sums in pico."""
        return [(about, one.amount) for (of, about), one in self._found.items() if of is cause]

    def moved(self, cause: Cause, to: Cause, **evidence: Any) -> None:
        """Take claims of one cause for those of another."""
        for of, about in [at for at in self._found if at[0] is cause]:
            one = self._found.pop((of, about))
            self._found[to, (cause.value, *about)] = one
            one.evidence.update(evidence)

    def _one(self, cause: Cause, about: Iterable[str]) -> _Found:
        return self._found.setdefault((cause, tuple(about)), _Found())

    def differences(self, provider: str, period: str) -> list[Difference]:
        """Return the differences, the largest first; those that come to nothing left out."""
        made = [
            self._difference(provider, period, cause, about, one)
            for (cause, about), one in self._found.items()
            if one.amount or (cause in _ZERO_IS_TOLD and one.parts)
        ]
        return sorted(made, key=lambda one: (-abs(one.amount), one.cause, one.fingerprint))

    def _difference(
        self, provider: str, period: str, cause: Cause, about: tuple[str, ...], one: _Found
    ) -> Difference:
        world = self._world
        parts = tuple(
            Part(model=key.model, kind=key.kind, tier=key.tier, tokens=tokens, amount=amount)
            for key, (tokens, amount) in sorted(
                one.parts.items(), key=lambda item: tuple(part or "" for part in item[0])
            )
            if tokens or amount
        )
        days = sorted(one.days)
        first = days[0] if days else world.first_day
        last = days[-1] + 1 if days else world.last_day
        since_ns, until_ns = first * DAY_NS, last * DAY_NS
        if one.hours is not None:
            since_ns, until_ns = (hour * DAY_NS // 24 for hour in one.hours)
        return Difference(
            fingerprint=_fingerprint(provider, period, cause, about), cause=cause,
            provider=provider, period=period, amount=one.amount,
            tokens=sum(part.tokens for part in parts), model=_only(part.model for part in parts),
            kind=_only(part.kind for part in parts), tier=_only(part.tier for part in parts),
            days=tuple(map(day_text, days)), since_ns=since_ns, until_ns=until_ns,
            evidence=one.evidence, parts=parts,
        )  # fmt: skip


def _only(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _fingerprint(provider: str, period: str, cause: Cause, about: tuple[str, ...]) -> str:
    text = "\0".join((provider, period, cause.value, *about))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARS]
