"""The finest grain that all sides tell: what one of them does not tell apart is added up.

A provider's cost report may fold batches into the ordinary tier, name no cache writes by lifetime,
or no kinds at all. Comparing finer than that would find differences that are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.reconcile.keys import Key
from tollbook.usage import FEE_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PARENTS: Final = {
    "cache_read_audio_tokens": "cache_read_tokens",
    "cache_read_image_tokens": "cache_read_tokens",
    "cache_write_1h_tokens": "cache_write_5m_tokens",
    "cache_write_5m_tokens": "uncached_input_tokens",
    "cache_read_tokens": "uncached_input_tokens",
    "input_audio_tokens": "uncached_input_tokens",
    "input_image_tokens": "uncached_input_tokens",
    "input_video_tokens": "uncached_input_tokens",
    "reasoning_tokens": "visible_output_tokens",
    "output_audio_tokens": "visible_output_tokens",
    "output_image_tokens": "visible_output_tokens",
    "citation_tokens": "visible_output_tokens",
}
"""Where the quantity of a kind stands with a provider that does not tell it apart."""


class _Told(NamedTuple):
    """What of a model's lines can be told apart."""

    kinds: tuple[frozenset[str], ...]
    """Of each side of the provider; empty: no side has the model."""
    has_kinds: bool
    has_tier: bool
    has_region: bool
    has_context: bool


class Grain:
    """Folds keys to what all sides tell, model by model.

    Args:
        ledger: keys of the ledger's amounts; a kind of None says that it has no kinds for some.
        sides: keys of the lines of each of the provider's sides: usage reports, money.
    """

    def __init__(self, ledger: Iterable[Key], sides: Iterable[Collection[Key]]) -> None:
        self._ledger = set(ledger)
        self._sides = [set(side) for side in sides if side]
        self._told: dict[str | None, _Told] = {}
        lines = [key for side in self._sides for key in side]
        named = {key.kind for key in lines if key.model is not None}
        self._without_model = {
            key.kind for key in lines if key.model is None and key.kind in FEE_KINDS
        } - named

    def fold(self, key: Key) -> Key:
        """Return the key under which an amount is compared."""
        model = None if key.kind in self._without_model else key.model
        told = self._told.get(model)
        if told is None:
            told = self._told[model] = self._told_of(model)
        kind = _climb(key.kind, told.kinds) if told.has_kinds else None
        return Key(
            model, kind, key.tier if told.has_tier else None,
            key.region if told.has_region else None, key.context if told.has_context else None,
        )  # fmt: skip

    def _told_of(self, model: str | None) -> _Told:
        sides = [
            found for side in self._sides if (found := {key for key in side if key.model == model})
        ]
        mine = {key for key in self._ledger if key.model == model}
        # A model that the provider does not name is folded as its others are.
        like = sides or self._sides
        return _Told(
            kinds=tuple(frozenset(key.kind for key in side if key.kind) for side in like),
            has_kinds=all(key.kind is not None for side in (mine, *sides) for key in side),
            has_tier=bool(like) and all(any(key.tier for key in side) for side in like),
            has_region=_overlap(
                [key.region for key in mine], [[k.region for k in s] for s in like]
            ),
            has_context=_overlap(
                [key.context for key in mine], [[k.context for k in s] for s in like]
            ),
        )


def _climb(kind: str | None, sides: tuple[frozenset[str], ...]) -> str | None:
    while kind in PARENTS and not all(kind in side for side in sides):
        kind = PARENTS[kind]
    return kind


def _overlap(mine: list[str | None], sides: list[list[str | None]]) -> bool:
    """Whether every side tells it, in the ledger's own words: names of regions differ."""
    known = {one for one in mine if one}
    return (
        bool(known)
        and bool(sides)
        and all(
            all(one is not None for one in side) and known.issuperset(one for one in side if one)
            for side in sides
        )
    )
