"""What every reader of a format uses: buckets of pages, fields of rows, lines."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.chargeback.statements.amounts import NotANumberError, number, pico, whole
from tollbook.chargeback.statements.model import Category, StatementLine
from tollbook.chargeback.statements.moments import NotATimeError, at_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from decimal import Decimal

    from tollbook.chargeback.statements.model import Basis
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading, Told

TAGS_MAX: Final = 32
_TAG_CHARS: Final = 200
_TEXT_CHARS: Final = 500


class Format(NamedTuple):
    """One form of statement."""

    source: str
    """Name of what it is made from, such as ``openai.usage``; of the statement too."""
    basis: Basis
    marks: tuple[frozenset[str], ...]
    """Any of these sets of fields tells it from every other form, as :func:`plain_name` has them;
    or what ``object`` says of a result."""
    read: Callable[[Iterable[Row], Reading], Iterator[Told]]
    has_quantities: bool = False
    """A statement of cost that also says how much was used, which serves where no statement of
    usage does."""


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Return a column's name without case and marks: ``lineItem/UsageType``, ``Date`` ..."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def plain_names(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row by plain names; of two columns of one name, the first that is not empty."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        key = plain_name(name)
        if plain.get(key) is None or plain[key] == "":
            plain[key] = value
    return plain


def text(value: Any) -> str | None:
    """Return a field as text, None where it is empty."""
    if value is None or value == "":
        return None
    return str(value).strip()[:_TEXT_CHARS] or None


def tags_of(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return tags that have a value, bounded in number and length."""
    kept: dict[str, str] = {}
    for name, value in pairs:
        shown = text(value)
        if shown is not None and len(kept) < TAGS_MAX:
            kept[name[:_TAG_CHARS]] = shown[:_TAG_CHARS]
    return kept


def json_object(value: Any) -> dict[str, Any]:
    """Return an object that stands in a cell: JSON, a map of Parquet, or nothing."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):  # a map: pairs, or {key, value}
        pairs = [
            (one.get("key"), one.get("value")) if isinstance(one, dict) else tuple(one)[:2]
            for one in value
            if isinstance(one, (dict, tuple, list)) and len(one) >= 1
        ]
        return {str(pair[0]): pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004 -- pairs
    if not isinstance(value, str) or not value.strip():
        return {}
    source = value.strip()
    if source[0] not in "{[":
        source = "{" + source + "}"  # Azure's enterprise exports leave the braces out
    try:
        found = msgspec.json.decode(source)
    except msgspec.DecodeError:
        return {}
    return json_object(found) if isinstance(found, (dict, list)) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, nothing of what is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def an_object(value: Any) -> dict[str, Any]:
    """Return an object, an empty one for what is none."""
    return value if isinstance(value, dict) else {}


class Cells:
    """One row whose cells are read by kind; what cannot be read is noted, and is None."""

    def __init__(self, row: int, values: dict[str, Any], reading: Reading) -> None:
        self.row, self.values, self._reading = row, values, reading

    def first(self, *names: str) -> Any:
        """Return the first of several fields that has a value."""
        for name in names:
            value = self.values.get(name)
            if value is not None and value != "":
                return value
        return None

    def text(self, *names: str) -> str | None:
        """Return a field as text."""
        return text(self.first(*names))

    def whole(self, *names: str, unit: Decimal | int = 1) -> int | None:
        """Return a quantity in ones."""
        try:
            return whole(self.first(*names), unit=unit)
        except NotANumberError as error:
            self._reading.problem(self.row, names[0], str(error))
            return None

    def pico(self, *names: str, unit: Decimal | int = 1) -> int | None:
        """Return an amount in 10^-12 of its currency."""
        try:
            return pico(self.first(*names), unit=unit)
        except NotANumberError as error:
            self._reading.problem(self.row, names[0], str(error))
            return None

    def number(self, *names: str) -> Decimal | None:
        """Return a number as it is written."""
        try:
            return number(self.first(*names))
        except NotANumberError as error:
            self._reading.problem(self.row, names[0], str(error))
            return None

    def at(self, *names: str) -> int | None:
        """Return a time in nanoseconds; its absence is a problem too."""
        value = self.first(*names)
        if value is None:
            self._reading.problem(self.row, names[0], "is missing")
            return None
        try:
            return at_ns(value)
        except NotATimeError as error:
            self._reading.problem(self.row, names[0], str(error))
            return None


def line(
    *, start_ns: int, end_ns: int, provider: str, category: Category = Category.USAGE, **known: Any
) -> StatementLine:
    """Return a line that is not numbered yet."""
    return StatementLine(
        statement_id="", line=0, start_ns=start_ns, end_ns=end_ns, provider=provider,
        category=category, **known,
    )  # fmt: skip


def readable(rows: Iterable[Row], reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and values of rows that can be read, and note the others."""
    for number_, values, problem in rows:
        if values is None:
            reading.problem(number_, "", problem)
        elif "has_more" in values and "results" not in values and number_ == 0:
            reading.is_cut_off = bool(values["has_more"])
        else:
            yield number_, values


def buckets(
    rows: Iterable[Row], reading: Reading, start: str, end: str
) -> Iterator[tuple[int, int, int, list[dict[str, Any]]]]:
    """Yield row number, span and results of the time buckets of a page.

    A row without ``results`` is a flat one, as the consoles' CSV downloads have them: a bucket of
    its own.

    Args:
        rows: of the file.
        reading: takes what cannot be read.
        start: name of the bucket's first moment.
        end: name of the first moment after it.
    """
    for at, values in readable(rows, reading):
        cells = Cells(at, values, reading)
        start_ns, end_ns = cells.at(start), cells.at(end)
        if start_ns is None or end_ns is None:
            continue
        if end_ns <= start_ns:
            reading.problem(at, end, f"is not after {start}")
            continue
        results = values.get("results")
        if isinstance(results, list):
            yield at, start_ns, end_ns, [one for one in results if isinstance(one, dict)]
        elif results is None:
            yield at, start_ns, end_ns, [values]
        else:
            reading.problem(at, "results", "is no list")
