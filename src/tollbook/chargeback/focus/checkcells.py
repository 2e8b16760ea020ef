"""Whether a single cell has the form that FOCUS asks for: numbers, times, units, JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.focus.checkmodel import CURRENCIES, FOCUS_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.chargeback.focus.checkmodel import Column

CELL_CHARS_MAX: Final = 65_536
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?", re.ASCII)
_EXPONENT_MAX: Final = 64
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_TIMES: Final = "Years?|Months?|Days?|Hours?|Minutes?|Seconds?"
_SIZES: Final = "[KMGTPE]?b|[KMGTPE]?B|[KMGTPE]ib|[KMGTPE]iB"
_NOUNS: Final = r"[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*"
_SINGULAR: Final = rf"({_SIZES}|{_NOUNS})"
_UNIT: Final = re.compile(
    rf"(([1-9]\d*) )?({_SIZES}|{_NOUNS}|{_SINGULAR}-({_TIMES})|{_SINGULAR}/({_TIMES}))", re.ASCII
)
_KEY: Final = re.compile(r"(x_)?[A-Z][A-Za-z0-9]*", re.ASCII)
_NULL_WORDS: Final = frozenset({"null", "none", "nan", "n/a", "not applicable", "undefined"})


def number(text: str | None) -> Decimal | None:
    """Return a cell as a number, None where it is null or no number."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    _, _, exponent = text.partition("E")
    if len(exponent) > 3 or abs(int(exponent or 0)) > _EXPONENT_MAX:  # noqa: PLR2004 -- as above
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def moment(text: str | None) -> datetime | None:
    """Return a cell as a time, None where it is null or no time in UTC."""
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def json_object(text: str | None) -> dict[str, Any] | None:
    """Return a cell as a JSON object, decimals exact; None where it is null or none."""
    if text is None or len(text) > CELL_CHARS_MAX:
        return None
    try:
        found = json.loads(
            text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse,
            object_pairs_hook=_once,
        )  # fmt: skip
    except (ValueError, RecursionError, InvalidOperation):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def problem_of(column: Column, text: str) -> tuple[str, str] | None:
    """Return which rule a cell that is not null breaks, and in words how; None: none."""
    if len(text) > CELL_CHARS_MAX:
        return "cell-size", f"is longer than {CELL_CHARS_MAX:,} characters"
    if column.form != "text" and text != text.strip():
        return "whitespace", "has white space around it"
    if text.lower() in _NULL_WORDS:
        return "null-as-text", f"{text!r} stands for null; null is an empty cell"
    if column.allowed and text not in column.allowed:
        return "allowed-values", f"{text[:64]!r} is not one of {', '.join(column.allowed[:8])}"
    check = _CHECKS.get(column.form)
    words = check(column.name, text) if check is not None else None
    return (f"{column.form}-form", words) if words is not None else None


def _decimal(_: str, text: str) -> str | None:
    if number(text) is None:
        return f"{text[:64]!r} is no plain number such as -1.5 or 2E-7"
    return None


def _price(name: str, text: str) -> str | None:
    value = number(text)
    if value is None:
        return _decimal(name, text)
    return f"{text} is negative" if value < 0 else None


def _time(_: str, text: str) -> str | None:
    return None if moment(text) else f"{text[:64]!r} is not like 2026-10-01T00:00:00Z"


def _currency(_: str, text: str) -> str | None:
    return None if text in CURRENCIES else f"{text[:64]!r} is no currency of ISO 4217"


def _unit(_: str, text: str) -> str | None:
    if _UNIT.fullmatch(text):
        return None
    return f"{text[:64]!r} is no unit such as Tokens, 1000000 Tokens or GB-Hours"


def _object(_: str, text: str) -> str | None:
    return None if json_object(text) is not None else f"{text[:64]!r} is no JSON object"


def _tags(name: str, text: str) -> str | None:
    found = json_object(text)
    if found is None:
        return _object(name, text) or "is no JSON object"
    for key, value in found.items():
        if isinstance(value, (dict, list)):
            return f"{key[:64]!r} has a value that is not flat"
        if name not in FOCUS_KEYS:
            if not key:
                return "a key is empty"
        elif key not in FOCUS_KEYS[name] and not (key.startswith("x_") and _KEY.fullmatch(key)):
            return f"{key[:64]!r} is neither a key of FOCUS nor like x_Name"
    return None


_CHECKS: Final[dict[str, Callable[[str, str], str | None]]] = {
    "decimal": _decimal, "price": _price, "time": _time, "currency": _currency, "unit": _unit,
    "object": _object, "tags": _tags,
}  # fmt: skip
