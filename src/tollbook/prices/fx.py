"""Exchange rates by day: how a price in another currency becomes dollars. Exact, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

USD: Final = "USD"
CURRENCY: Final = re.compile(r"[A-Z]{3}")
"""ISO 4217."""
USD_PER_UNIT_MAX: Final = 1000
"""No currency is worth more; what is more was written the other way round, or in cents."""
_DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FxTextError(TollbookError):
    """Kept exchange rates that cannot be read."""

    def __init__(self, currency: str, problem: str) -> None:
        super().__init__(f"exchange rates of {currency}: {problem}; restore the books")


class FxBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The rates of one currency in one year: the body of a document."""

    currency: str
    rates: dict[str, Decimal]
    """US dollars for one unit, by UTC date."""
    carried: tuple[str, ...] = ()
    """Dates without a quote of their own that were given the one before, as was asked for."""


class FxRate(NamedTuple):
    """The rate of one day."""

    currency: str
    day: date
    usd: Fraction
    """For one unit of the currency."""
    is_carried: bool = False

    @property
    def window(self) -> tuple[int, int]:
        """The first moment of the day, and the first of the next."""
        start_ns = (self.day - _EPOCH.date()).days * _DAY_NS
        return start_ns, start_ns + _DAY_NS

    @property
    def words(self) -> str:
        """How a card says it: ``EUR at 1.0845 USD of 2026-11-05``."""
        shown = decimal_text(self.usd)
        carried = " (the last quote before)" if self.is_carried else ""
        return f"{self.currency} at {shown} USD of {self.day.isoformat()}{carried}"


class FxTable:
    """The rates of all currencies.

    Args:
        bodies: of any currencies and years.
    """

    def __init__(self, bodies: Iterable[FxBody] = ()) -> None:
        self._rates: dict[str, dict[str, Decimal]] = {}
        self._carried: dict[str, set[str]] = {}
        for one in bodies:
            self._rates.setdefault(one.currency, {}).update(one.rates)
            self._carried.setdefault(one.currency, set()).update(one.carried)

    def rate(self, currency: str, at_ns: int) -> FxRate | None:
        """Return the rate of the UTC day of a moment, None where there is none."""
        day = day_of(at_ns)
        usd = self._rates.get(currency, {}).get(day.isoformat())
        if usd is None:
            return None
        return FxRate(currency, day, Fraction(usd), day.isoformat() in self._carried[currency])

    def rates(self, currency: str) -> Mapping[str, Decimal]:
        """Return the rates of a currency by date."""
        return self._rates.get(currency, {})

    def carried(self, currency: str) -> Collection[str]:
        """Return the dates that were given the quote before."""
        return self._carried.get(currency, ())


def read_fx(currency: str, text: str) -> FxBody:
    """Read the body of a document.

    Raises:
        FxTextError: not what was written.
    """
    try:
        return msgspec.json.decode(text, type=FxBody)
    except msgspec.DecodeError as error:
        raise FxTextError(currency, str(error)) from error


def day_of(at_ns: int) -> date:
    """Return the UTC date of a moment."""
    return (_EPOCH + timedelta(days=at_ns // _DAY_NS)).date()


def day_window(at_ns: int) -> tuple[int, int]:
    """Return the first moment of the UTC day of a moment, and the first of the next."""
    start_ns = at_ns - at_ns % _DAY_NS
    return start_ns, start_ns + _DAY_NS


def decimal_text(value: Fraction) -> str:
    """Return the decimal digits of a fraction that has so many, else the fraction."""
    digits = 0
    while digits <= _DIGITS_MAX:
        scaled = value * 10**digits
        if scaled.denominator == 1:
            sign = "-" if scaled < 0 else ""
            text = f"{abs(scaled.numerator):0{digits + 1}d}"
            return sign + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)
        digits += 1
    return f"{value.numerator}/{value.denominator}"


_DIGITS_MAX: Final = 24
