"""A file of terms: TOML or JSON with a list ``terms``, each with a name and a term's fields."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from tollbook.chargeback.terms.errors import TermError, TermFileError
from tollbook.chargeback.terms.model import Name, Term
from tollbook.chargeback.terms.reading import read_term
from tollbook.reports.errors import QueryError
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

TERMS_MAX: Final = 1_000
_DATES: Final = ("start", "end", "effective_from")


class _File(Struct, forbid_unknown_fields=True):
    terms: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=TERMS_MAX)]


class WrittenTerm(Struct, frozen=True, kw_only=True):
    """A term as a file has it."""

    name: str
    term: Term
    effective_from: datetime
    """From when on this version holds; unset in the file: the term's start."""


def read_terms(file: str, text: str) -> list[WrittenTerm]:
    """Read a file of terms; nothing of it is used unless all of it can be.

    Args:
        file: its name, for errors; ``.json`` is JSON, anything else TOML.
        text: what is in it.

    Raises:
        TermFileError: it is not such a file, or a term in it cannot be used.
    """
    try:
        whole = msgspec.json.decode(text) if file.endswith(".json") else tomllib.loads(text)
        found = msgspec.convert(whole, _File).terms
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise TermFileError(file, str(error)) from error
    try:
        written = [_term(file, at, fields) for at, fields in enumerate(found, 1)]
    except TermError as error:
        raise TermFileError(file, str(error)) from error
    names = [one.name for one in written]
    if len(set(names)) != len(names):
        raise TermFileError(file, "two terms have the same name")
    return written


def _term(file: str, at: int, fields: Mapping[str, Any]) -> WrittenTerm:
    body = dict(fields)
    try:
        name = msgspec.convert(body.pop("name", None), Name)
    except msgspec.ValidationError as error:
        raise TermFileError(
            file, f"term {at}, name: expected lower-case letters, digits, - and _"
        ) from error
    zone = _zone(name, body.get("timezone", "UTC"))
    for field in _DATES:
        if body.get(field) is not None:
            body[field] = _moment(name, field, body[field], zone)
    effective_from = body.pop("effective_from", None)
    term = read_term(name, body)
    return WrittenTerm(name=name, term=term, effective_from=effective_from or term.start)


def _zone(name: str, value: object) -> ZoneInfo:
    try:
        return zone_of(str(value))
    except QueryError as error:
        raise TermError(name, f"timezone: {error.problem}") from error


def _moment(name: str, field: str, value: object, zone: ZoneInfo) -> datetime:
    """Return a date (its first moment in the term's zone) or a moment, in UTC.

    Raises:
        TermError: it is neither.
    """
    try:
        if isinstance(value, str):
            is_date = len(value) <= len("2026-10-01")
            value = date.fromisoformat(value) if is_date else datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(0))
        if isinstance(value, datetime):
            at = value if value.tzinfo else value.replace(tzinfo=zone)
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise TermError(name, f"{field}: expected a date such as 2026-10-01, or a moment")
