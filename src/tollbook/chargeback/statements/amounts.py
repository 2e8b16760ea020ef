"""Numbers of statements, exactly: decimal text to integers, never through a float."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, Final

from tollbook.money import PICO_PER_USD

_PLAIN: Final = re.compile(r"[+-]?(\d{1,30}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")
_MAX: Final = Decimal(10) ** 24
"""Nobody is billed so much; it bounds the digits of what is computed."""
_PRECISION: Final = 80


class NotANumberError(ValueError):
    """A cell that is no number in plain or E notation; the text says so."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{str(value)[:40]!r} is not a number such as 1234.56")


def number(value: Any) -> Decimal | None:
    """Return a number as it is written; None for nothing (empty, ``null``).

    Thousands separators and decimal commas are refused: which of the two a mark is would be a
    guess.

    Raises:
        NotANumberError: anything else, infinity included.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise NotANumberError(value)
    if isinstance(value, (int, Decimal)):
        found = Decimal(value)
    elif isinstance(value, float):
        # Of Parquet's DOUBLE columns: the shortest text that is this float, which is what was said.
        found = Decimal(repr(value))
    else:
        text = str(value).strip()
        if not text or text.lower() == "null":
            return None
        if not _PLAIN.fullmatch(text):
            raise NotANumberError(value)
        try:
            found = Decimal(text)
        except InvalidOperation as error:  # not reached: the pattern is narrower
            raise NotANumberError(value) from error
    if not found.is_finite() or abs(found) > _MAX:
        raise NotANumberError(value)
    return found


def pico(value: Any, *, unit: Decimal | int = 1) -> int | None:
    """Return an amount in 10^-12 of its currency, half to even beyond that.

    Args:
        value: the amount.
        unit: how much of the currency one is (``Decimal("0.01")`` for cents).

    Raises:
        NotANumberError: it is no number.
    """
    found = number(value)
    if found is None:
        return None
    with localcontext(prec=_PRECISION):
        return int((found * unit * PICO_PER_USD).to_integral_value())


def whole(value: Any, *, unit: Decimal | int = 1) -> int | None:
    """Return a quantity in ones; None where there is none.

    Raises:
        NotANumberError: it is no number.
    """
    found = number(value)
    if found is None:
        return None
    with localcontext(prec=_PRECISION):
        return int((found * unit).to_integral_value())
