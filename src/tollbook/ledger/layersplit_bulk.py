"""The layers of many calls at once; see :mod:`tollbook.ledger.layersplit` for the rules.

The weights of the calls of a slice are laid out as a table, filled up with zeros, and every rule
becomes a few operations on whole arrays. A call whose numbers leave the 64 bits in which this is
exact, or whose request has very many sections, is split alone.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS, LAYERS, Section
from tollbook.ledger.exact import money_array, money_columns, money_from_int64
from tollbook.ledger.layersplit import (
    INPUTS,
    LAYER_AT,
    OUTPUTS,
    PROMPT_AT,
    RESPONSE,
    UNSPLIT,
    split_layers,
)
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tollbook.ledger.charge import Charge
    from tollbook.ledger.layersplit import Weights

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

_NUMBERS_MAX: Final = 64
"""Twice the sections of a request that are laid out beside the others."""
_EXACT: Final = 2**31
"""A product of two smaller numbers fits into 64 bits."""
_LAYER_AT: Final = np.array(LAYER_AT, np.int64)
_ORDER: Final = np.array(PROMPT_AT, np.int64)
_INPUTS: Final = np.arange(len(KINDS))[INPUTS]
_ZEROS: Final = (0,) * len(LAYERS)


class LayerTable:
    """Tokens and cost of some calls by layer.

    Args:
        weights: of each call, None where they are not known.
        kinds: calls by :data:`tollbook.usage.KINDS`, zeros where they are not known.
        rates: likewise, pico for one of each kind.
        parts: likewise, the components of the cost.
        alone: the calls whose components are no products of their rates.
    """

    def __init__(
        self, weights: Sequence[Weights], kinds: Ints, rates: Ints, parts: Ints,
        alone: Sequence[int],
    ) -> None:  # fmt: skip
        self.tokens = np.zeros((len(kinds), len(LAYERS)), np.int64)
        self.costs = np.zeros_like(self.tokens)
        self.tokens[:, RESPONSE] = kinds[:, OUTPUTS].sum(axis=1)
        self.tokens[:, UNSPLIT] = kinds[:, INPUTS].sum(axis=1)
        self.costs[:, RESPONSE] = parts[:, OUTPUTS].sum(axis=1)
        self.costs[:, UNSPLIT] = parts.sum(axis=1) - self.costs[:, RESPONSE]
        if any(weights):
            slow = self._split(weights, kinds, rates)
            slow += [at for at in alone if weights[at] and parts[at, INPUTS].any()]
            for at in slow:
                # fmt: off
                tokens, costs = split_layers(weights[at], kinds[at].tolist(), parts[at].tolist())
                # fmt: on
                self.tokens[at], self.costs[at] = tokens or _ZEROS, costs or _ZEROS

    def _split(self, weights: Sequence[Weights], kinds: Ints, rates: Ints) -> list[int]:
        """Split the calls that have weights; return those that are to be split alone."""
        rows = [at for at, one in enumerate(weights) if one and len(one) <= _NUMBERS_MAX]
        slow = [at for at, one in enumerate(weights) if one and len(one) > _NUMBERS_MAX]
        if not rows:
            return slow
        try:
            given, table = _laid_out([weights[at] or () for at in rows])
        except OverflowError:
            return rows + slow
        inputs = self.tokens[rows, UNSPLIT]
        section, weight = table[:, ::2], table[:, 1::2]
        # Before they are added up: weights so large could overflow in their sum.
        is_fit = (weight >= 0).all(axis=1) & (weight < _EXACT // _NUMBERS_MAX).all(axis=1)
        is_fit &= (given % 2 == 0) & (inputs < _EXACT) & weight.any(axis=1)
        if not is_fit.all():
            slow += [at for at, is_good in zip(rows, is_fit.tolist(), strict=True) if not is_good]
            rows = [at for at, is_good in zip(rows, is_fit.tolist(), strict=True) if is_good]
            if not rows:
                return slow
            inputs, section, weight = inputs[is_fit], section[is_fit], weight[is_fit]
        self._lay(np.array(rows), _scaled(inputs, weight), section, kinds, rates)
        return slow

    def _lay(self, rows: Ints, tokens: Ints, section: Ints, kinds: Ints, rates: Ints) -> None:
        """Lay the kinds of input along the sections, and add up what is in each layer."""
        is_known = (section >= 0) & (section < len(Section))
        layer = _LAYER_AT[np.where(is_known, section, Section.OTHER)]
        in_layer = (layer[:, :, None] == np.arange(len(LAYERS))).astype(np.int64)
        used = _ORDER[(kinds[rows][:, _ORDER] != 0).any(axis=0)]
        counts, prices = kinds[rows[:, None], used], rates[rows[:, None], used]
        # How much of each section lies within the first so many tokens of the prompt.
        start = tokens.cumsum(axis=1) - tokens
        ends = counts.cumsum(axis=1)[:, :, None]
        within = np.minimum(np.maximum(ends - start[:, None, :], 0), tokens[:, None, :])
        within[:, 1:] -= within[:, :-1].copy()
        by_layer = within @ in_layer  # calls, kinds, layers
        self.tokens[rows, UNSPLIT] = 0
        self.tokens[rows] += by_layer.sum(axis=1)
        self.costs[rows, UNSPLIT] -= (counts * prices).sum(axis=1)
        self.costs[rows] += (by_layer * prices[:, :, None]).sum(axis=1)

    def columns(self, unknown: Bools | None, missing: Bools | None) -> dict[str, Any]:
        """Return the columns of ``entries``; those of nothing but zeros are left out.

        Args:
            unknown: calls whose kinds are not known; None for no such call.
            missing: calls whose cost is not known; None for no such call.
        """
        columns: dict[str, Any] = {}
        for at, name in enumerate(LAYER_TOKENS):
            if unknown is not None or self.tokens[:, at].any():
                columns[name] = pa.array(np.ascontiguousarray(self.tokens[:, at]), mask=unknown)
        used = np.flatnonzero((self.costs != 0).any(axis=0)).tolist()
        if missing is not None:
            nothing = money_from_int64(np.zeros(len(self.costs), np.int64), missing)
            columns |= dict.fromkeys(LAYER_COSTS, nothing)
        if used:
            money = money_columns(self.costs[:, used], missing)
            columns |= zip([LAYER_COSTS[at] for at in used], money, strict=True)
        return columns


def _laid_out(weights: Sequence[tuple[int, ...]]) -> tuple[Ints, Ints]:
    """Return how many numbers each has, and the numbers as a table filled up with zeros.

    Raises:
        OverflowError: a number of more than 64 bits.
    """
    given = np.fromiter(map(len, weights), np.int64, len(weights))
    width = int(given.max(initial=0))
    width += width % 2
    table = np.zeros((len(weights), width), np.int64)
    numbers = np.fromiter(chain.from_iterable(weights), np.int64, int(given.sum()))
    table[np.arange(width) < given[:, None]] = numbers
    return given, table


def _scaled(inputs: Ints, weight: Ints) -> Ints:
    """Return the tokens of each section: largest remainder, ties to the first."""
    whole = weight.sum(axis=1)[:, None]
    tokens, remainder = np.divmod(inputs[:, None] * weight, whole)
    missing = inputs - tokens.sum(axis=1)
    order = np.argsort(-remainder, axis=1, kind="stable")
    is_lucky = np.arange(weight.shape[1]) < missing[:, None]
    extra = np.zeros_like(tokens)
    np.put_along_axis(extra, order, is_lucky.astype(np.int64), axis=1)
    return tokens + extra


def layer_columns(charges: Sequence[Charge], weights: Sequence[Weights]) -> dict[str, Any]:
    """Return the columns of charges of any size, split one by one."""
    split = [
        split_layers(given, charge.kinds, charge.components)
        for charge, given in zip(charges, weights, strict=True)
    ]
    tokens = [one.tokens or (None,) * len(LAYERS) for one in split]
    costs = [one.costs or (None,) * len(LAYERS) for one in split]
    columns: dict[str, Any] = {
        name: pa.array([one[at] for one in tokens], pa.int64())
        for at, name in enumerate(LAYER_TOKENS)
    }
    return columns | {
        name: money_array([one[at] for one in costs]) for at, name in enumerate(LAYER_COSTS)
    }
