"""Price cards as people write them: TOML, JSON or CSV, each complaint with its place."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import tomllib
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from tollbook.errors import TollbookError
from tollbook.prices.bookcard import BookCard, StepRates

TEXT_CHARS_MAX: Final = 3_500_000
CARDS_MAX: Final = 5_000
FORMATS: Final = ("toml", "json", "csv")
_TABLE: Final = "prices"
_FORMULA_STARTS: Final = frozenset("=+-@")
_STEP_COLUMN: Final = re.compile(r"(?P<field>[a-z_0-9]+)_above_(?P<above>\d{1,9})")
_HEADER: Final = re.compile(r"\s*\[\[\s*prices\s*\]\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_WHERE: Final = re.compile(r"(?P<what>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_WORDS: Final = {"str": "text", "int": "a whole number", "bool": "true or false",
                 "array": "a list", "decimal": "a decimal number", "object": "a table"}  # fmt: skip


class PriceFileError(TollbookError):
    """A file of prices that cannot be imported; nothing of it is."""

    def __init__(self, file: str, where: str, problem: str) -> None:
        text = f"{file}: {where}: {problem}" if where else f"{file}: {problem}"
        super().__init__(_one_line(text))


def _one_line(text: str) -> str:
    """Return text of strangers as a terminal may have it."""
    return "".join(char if char.isprintable() else " " for char in text)


class Written(NamedTuple):
    """One card as it stands in a file."""

    where: str
    """``line 14 (model gpt-4o)`` or ``card 2 (model gpt-4o)``."""
    card: BookCard


def format_of(file: str, given: str | None) -> str:
    """Return the format that is given, else the one that the file's name ends with.

    Raises:
        PriceFileError: neither says it.
    """
    chosen = given or file.rpartition(".")[2].lower()
    if chosen not in FORMATS:
        raise PriceFileError(file, "", "expected a name that ends with .toml, .json or .csv")
    return chosen


def read_file(file: str, text: str, file_format: str | None = None) -> list[Written]:
    """Return the cards of a file.

    TOML has ``[[prices]]`` tables, JSON a list of objects or ``{"prices": [...]}``, CSV a heading
    and one card a row: ``discounts_percent`` with semicolons between, the rate of a context step
    in a column such as ``input_above_200000``.

    Args:
        file: its name, for errors.
        text: its text.
        file_format: one of :data:`FORMATS`; None: by the name.

    Raises:
        PriceFileError: naming the file, the line or card, and the field.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise PriceFileError(file, "", f"is longer than {TEXT_CHARS_MAX:,} characters")
    text = text.removeprefix("\ufeff")
    reader = {"toml": _toml, "json": _json, "csv": _csv}[format_of(file, file_format)]
    rows = reader(file, text)
    if not rows:
        raise PriceFileError(file, "", "has no price card; expected [[prices]]")
    if len(rows) > CARDS_MAX:
        raise PriceFileError(file, "", f"has more than {CARDS_MAX:,} cards")
    return [_written(file, where, row) for where, row in rows]


_Rows = list[tuple[str, dict[str, Any]]]


def _toml(file: str, text: str) -> _Rows:
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PriceFileError(file, "", f"is no TOML: {error}") from error
    cards = _list_in(file, tables)
    lines = [at for at, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    places = [f"line {at}" for at in lines] if len(lines) == len(cards) else _numbered(cards)
    return list(zip(places, cards, strict=True))


def _json(file: str, text: str) -> _Rows:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
            raise PriceFileError(file, "", f"{twice[:64]!r} is given twice in one object")
        return found

    try:
        given = json.loads(text, parse_float=Decimal, object_pairs_hook=once, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise PriceFileError(file, "", f"is no JSON: {error}") from error
    cards = given if isinstance(given, list) else _list_in(file, given)
    return list(zip(_numbered(cards), cards, strict=True))


def _list_in(file: str, given: Any) -> list[Any]:
    if not isinstance(given, dict) or set(given) - {_TABLE}:
        others = sorted(set(given) - {_TABLE})[:1] if isinstance(given, dict) else []
        what = f"{others[0][:64]!r} is not known here; " if others else ""
        raise PriceFileError(file, "", f"{what}expected nothing but prices")
    cards = given.get(_TABLE, [])
    if not isinstance(cards, list):
        raise PriceFileError(file, _TABLE, "expected a list of cards")
    return cards


def _numbered(cards: list[Any]) -> list[str]:
    return [f"card {at}" for at in range(1, len(cards) + 1)]


def _csv(file: str, text: str) -> _Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: _Rows = []
    heading: list[str] | None = None
    try:
        for cells in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if heading is None:
                heading = _heading(file, where, cells)
            elif len(cells) != len(heading):
                raise PriceFileError(
                    file, where, f"has {len(cells)} cells; the heading has {len(heading)}"
                )
            else:
                named = dict(zip(heading, map(_plain, cells), strict=True))
                rows.append((where, _from_cells(file, where, named)))
    except csv.Error as error:
        raise PriceFileError(file, f"line {reader.line_num}", f"is no CSV: {error}") from error
    return rows


def _plain(cell: str) -> str:
    """Return a cell without the apostrophe that keeps a spreadsheet from running it."""
    text = cell.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA_STARTS else text


def _heading(file: str, where: str, cells: list[str]) -> list[str]:
    heading = [cell.strip() for cell in cells]
    known = set(BookCard.__struct_fields__) - {"steps"}
    for name in heading:
        step = _STEP_COLUMN.fullmatch(name)
        if heading.count(name) > 1:
            raise PriceFileError(file, f"{where}.{name}", "is there twice")
        if name not in known and (step is None or step["field"] not in _STEP_FIELDS):
            raise PriceFileError(file, f"{where}.{name}", _no_such(name, known))
    return heading


_STEP_FIELDS: Final = frozenset(StepRates.__struct_fields__) - {"above"}


def _from_cells(file: str, where: str, cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    for name, cell in cells.items():
        if not cell:
            continue
        step = _STEP_COLUMN.fullmatch(name)
        if step is not None and name not in BookCard.__struct_fields__:
            steps.setdefault(int(step["above"]), {})[step["field"]] = cell
        elif name == "discounts_percent":
            row[name] = [one.strip() for one in cell.split(";")]
        elif name == "withdrawn":
            if cell.lower() not in {"true", "false"}:
                raise PriceFileError(file, f"{where}.{name}", "expected true or false")
            row[name] = cell.lower() == "true"
        else:
            row[name] = cell
    if steps:
        row["steps"] = [{"above": above, **rates} for above, rates in sorted(steps.items())]
    return row


def _written(file: str, where: str, row: Any) -> Written:
    if not isinstance(row, dict):
        raise PriceFileError(file, where, "expected a table of fields")
    model = row.get("model")
    named = f"{where} (model {_one_line(model[:64])})" if isinstance(model, str) else where
    plain = {
        name: value.isoformat() if isinstance(value, (date, datetime)) else value
        for name, value in row.items()
    }
    try:
        return Written(named, msgspec.convert(plain, BookCard))
    except msgspec.ValidationError as error:
        raise _explained(file, named, str(error)) from error


def _explained(file: str, where: str, text: str) -> PriceFileError:
    match = _WHERE.fullmatch(text)
    what, path = (match["what"], match["path"]) if match else (text, "")
    field = f".{path}" if path else ""
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown["name"]
        known = _STEP_FIELDS | {"above"} if path else set(BookCard.__struct_fields__)
        return PriceFileError(file, f"{where}{field}.{name[:64]}", _no_such(name, known))
    if missing := _MISSING.fullmatch(what):
        return PriceFileError(file, f"{where}{field}.{missing['name']}", "is missing")
    if "decimal" in what.lower():
        return PriceFileError(file, f"{where}{field}", "expected a decimal number")
    plain = re.sub(r"`([^`]*)`", lambda one: _WORDS.get(one[1].split(" | ")[0], one[1]), what)
    return PriceFileError(file, f"{where}{field}", plain[:1].lower() + plain[1:])


def _no_such(name: str, known: set[str] | frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"no such field; did you mean {near[0]}?" if near else "no such field"
