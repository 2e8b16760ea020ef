"""A cell: what ledger and provider have of one day and key, and what of it is explained.

Amounts are decomposed exactly: tokens that only the provider has are worth what it bills for such
tokens in the cell, tokens that only the ledger has what the ledger booked for them, and what is
left over belongs to the price of the tokens that both have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.reports.exact_ratio import rounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from tollbook.chargeback.reconcile.keys import Key
    from tollbook.chargeback.reconcile.ledgerside import LedgerCell


class Left(NamedTuple):
    """What no claim has explained."""

    tokens: int
    volume: int
    """Pico: the worth of those tokens."""
    price: int
    """Pico: on the tokens that both sides have."""
    common_cost: int
    """Pico: what the ledger has for the tokens that both have."""


class Cell:
    """One day and key.

    Args:
        day: days since the epoch.
        key: what it is of.
        ledger: the ledger's side.
        provided: the provider's quantity; None where it tells none.
        billed: the provider's dollars (pico); None where it tells none of this cell.
        lines: how many lines of money they come from.
        value: pico for a token of this key by the ledger's own price, for what is not billed here.
    """

    def __init__(
        self, day: int, key: Key, ledger: LedgerCell, provided: int | None, billed: int | None,
        lines: int, value: Callable[[Key], Fraction],
    ) -> None:  # fmt: skip
        self.day = day
        self.key = key
        self.ledger = ledger
        self.provided = provided
        self.billed = billed
        self.lines = lines
        self._value = value
        self.tokens_left = 0 if provided is None else provided - ledger.tokens
        self._only_ledger = 0
        self._claimed = 0

    @property
    def claimed(self) -> int:
        """Pico that claims explain."""
        return self._claimed

    def forget_provided(self) -> None:
        """Take the provider's quantity for not told: its report lacks the day."""
        self.provided = None
        self.tokens_left = 0

    def claim(self, tokens: int, amount: int | None = None) -> int:
        """Explain tokens that one side has, and return their worth in pico.

        Args:
            tokens: positive: the provider's; negative: the ledger's.
            amount: what they are worth, where it is known better than by the cell's average.
        """
        if amount is None:
            amount = self._worth(tokens, self.tokens_left)
        self.tokens_left -= tokens
        self._claimed += amount
        if amount < 0:
            self._only_ledger -= amount
        return amount

    def claim_all(self) -> tuple[int, int]:
        """Explain everything that is left of the cell, and return its tokens and pico."""
        left = self.left()
        amount = left.volume + left.price
        self._claimed += amount
        tokens, self.tokens_left = self.tokens_left, 0
        return tokens, amount

    def left(self) -> Left:
        """Return what is not explained."""
        volume = self._worth(self.tokens_left, self.tokens_left)
        only = self._only_ledger - min(volume, 0)
        if self.billed is None:
            return Left(self.tokens_left, volume, 0, self.ledger.cost - only)
        price = self.billed - self.ledger.cost - self._claimed - volume
        return Left(self.tokens_left, volume, price, self.ledger.cost - only)

    def total_billed(self) -> int:
        """Return the provider's dollars; where it tells none, the ledger's and what is claimed."""
        if self.billed is not None:
            return self.billed
        return self.ledger.cost + self._claimed + self.left().volume

    def _worth(self, tokens: int, of: int) -> int:
        if tokens == 0:
            return 0
        if tokens < 0:
            held = self.ledger
            if tokens == of and not self.provided and self.billed in {None, 0}:
                # Nothing but the ledger has anything here, so that no price can differ.
                return -held.cost - self._claimed
            return rounded(held.cost * tokens, held.tokens) if held.tokens else 0
        if self.billed is None or not self.provided:
            value = self._value(self.key)
            return rounded(value.numerator * tokens, value.denominator)
        if tokens == of and not self.ledger.tokens and not self.ledger.cost:
            return self.billed - self._claimed
        return rounded(self.billed * tokens, self.provided)
