"""A row of any log, and its fields as what they should be; errors name the field."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.times import nanoseconds

if TYPE_CHECKING:
    from datetime import tzinfo

_COUNT_MAX: Final = 10**12
_USD_MAX: Final = 10**7
_TEXT_MAX_CHARS: Final = 256
_SHOWN_MAX_CHARS: Final = 60
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_MISSING: Final = ("", None)
_FLAGS: Final = {
    "true": True, "1": True, "t": True, "yes": True,
    "false": False, "0": False, "f": False, "no": False,
}  # fmt: skip


class Row:
    """One row: names to values, nested ones by a path such as ``metadata.customer.id``.

    A value that is JSON in a text (as in CSV) is read as what it holds. An empty text is missing.
    What was asked for is remembered, so that a refused row can be shown without its content.
    """

    def __init__(self, values: dict[str, Any], zone: tzinfo = UTC) -> None:
        self.values = values
        self.zone = zone
        self.asked: dict[str, str] = {}

    def get(self, *paths: str) -> Any:
        """Return the first of some fields that is there, None if none is."""
        for path in paths:
            value = _at(self.values, path)
            if value not in _MISSING:
                self.asked[path] = _shown(value)
                return value
        return None

    def text(self, *paths: str) -> str | None:
        """Return a text; numbers as their digits.

        Raises:
            RowError: it is a structure, too long, or not printable.
        """
        value = self.get(*paths)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise RowError(self._named(paths), "is not text")
        text = str(value).strip()
        if len(text) > _TEXT_MAX_CHARS:
            raise RowError(self._named(paths), f"has more than {_TEXT_MAX_CHARS} characters")
        if not text.isprintable():
            raise RowError(self._named(paths), "holds a control character")
        return text or None

    def count(self, *paths: str) -> int | None:
        """Return a count of tokens, milliseconds or the like.

        Raises:
            RowError: it is not a whole number from 0 to 10^12.
        """
        value = self.get(*paths)
        if value is None:
            return None
        number = _number(value)
        if number is None or number != int(number) or not 0 <= number <= _COUNT_MAX:
            raise RowError(self._named(paths), "is not a count")
        return int(number)

    def number(self, *paths: str) -> Decimal | None:
        """Return a number of seconds, milliseconds or the like that may have a fraction.

        Raises:
            RowError: it is not a number from 0 to 10^12.
        """
        value = self.get(*paths)
        if value is None:
            return None
        number = _number(value)
        if number is None or not 0 <= number <= _COUNT_MAX:
            raise RowError(self._named(paths), "is not a number")
        return number

    def usd(self, *paths: str) -> Decimal | None:
        """Return an amount of dollars, exactly as it is written.

        Raises:
            RowError: it is no amount, negative, or beyond ten million.
        """
        value = self.get(*paths)
        if value is None:
            return None
        number = _number(value)
        if number is None or not 0 <= number <= _USD_MAX:
            raise RowError(self._named(paths), "is not an amount of money")
        return number

    def time_ns(self, *paths: str, form: str = "auto") -> int | None:
        """Return a time in nanoseconds since the epoch.

        Raises:
            RowError: it is no time.
        """
        value = self.get(*paths)
        if value is None:
            return None
        found = nanoseconds(value, self.zone, form)
        if found is None:
            raise RowError(self._named(paths), "is not a time")
        return found

    def flag(self, *paths: str) -> bool | None:
        """Return a yes or no; None where it is missing or neither."""
        value = self.get(*paths)
        if isinstance(value, str):
            return _FLAGS.get(value.lower())
        return bool(value) if isinstance(value, (bool, int)) else None

    def mapping(self, *paths: str) -> dict[str, Any]:
        """Return an object, empty where there is none."""
        for path in paths:
            value = _read(_at(self.values, path))
            if isinstance(value, dict):
                return value
        return {}

    def items(self, *paths: str) -> list[Any]:
        """Return a list, empty where there is none."""
        for path in paths:
            value = _read(_at(self.values, path))
            if isinstance(value, list):
                return value
        return []

    def required(self, found: Any, field: str) -> Any:
        """Return what was found.

        Raises:
            RowError: nothing was.
        """
        if found is None:
            raise RowError(field, "is missing")
        return found

    def _named(self, paths: tuple[str, ...]) -> str:
        return next((path for path in paths if _at(self.values, path) not in _MISSING), paths[0])


def json_text(value: Any) -> str:
    """Return a structure as JSON text, numbers as they were."""
    return _encode(value).decode()


def _at(values: Any, path: str) -> Any:
    if isinstance(values, dict) and path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    while dot:
        if isinstance(values, dict) and head in values:
            return _at(_read(values[head]), rest)
        further, dot, rest = rest.partition(".")
        head = f"{head}.{further}"
    return None


def _read(value: Any) -> Any:
    """Return what a text holds as JSON; twice, for dumps of JSON columns quote it once more."""
    for _ in range(2):
        if not (isinstance(value, str) and value[:1] in {"{", "[", '"'}):
            return value
        try:
            value = _decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError, ArithmeticError):
            return value
    return value


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):  # of Parquet; its shortest text is what was meant
        value = repr(value)
    if not isinstance(value, (int, str, Decimal)):
        return None
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() > -40 else None  # noqa: PLR2004 -- digits of any double


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "(structure)" if isinstance(value, (dict, list)) else str(value)[:_SHOWN_MAX_CHARS]
