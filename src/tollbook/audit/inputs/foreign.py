"""Records of other tools as fields that can be trusted, and spans made of them.

Ids are kept as the tool writes them (a UUID of LangSmith, a decimal of Datadog), so that evidence
can be looked up where it came from; only what is too long for an id becomes a checksum.
"""

from __future__ import annotations

import ast
import math
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.kept.content import is_content
from tollbook.audit.read import Batch, Trouble
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.row import Row
from tollbook.capture.otlp.limits import NS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.capture.otlp.spans import Span

    Take = Callable[["Fields"], list[Span]]

_ID_MAX_CHARS: Final = 64
_NAME_MAX_CHARS: Final = 128
_ATTRIBUTES_MAX: Final = 512
_DEPTH_MAX: Final = 8
_TOOK_MAX_NS: Final = 366 * 86_400 * 10**9
_LIST_MAX: Final = 64
_TEXT_MAX_CHARS: Final = 65_536
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_UNREADABLE: Final = (ArithmeticError, TypeError, ValueError, RecursionError, LookupError)


class Fields(Row):
    """A record of another tool; see :class:`tollbook.capture.imports.row.Row`.

    Args:
        values: of the record.
        beside: members that stood beside the list that it was in.
    """

    def __init__(self, values: dict[str, Any], beside: Mapping[str, Any] | None = None) -> None:
        super().__init__(values)
        self.beside = beside or {}

    def get(self, *paths: str) -> Any:
        """Return the first of some fields that is there, floats exactly; None if none is."""
        for path in paths:
            value = super().get(path)
            if isinstance(value, float):
                value = Decimal(repr(value)) if math.isfinite(value) else None
            if value is not None:
                return value
        return None

    def time_ns(self, *paths: str, form: str = "auto") -> int | None:
        """Return a time in nanoseconds since the epoch.

        Raises:
            RowError: it is no time, before 1970 or after 2262.
        """
        found = super().time_ns(*paths, form=form)
        if found is not None and not 0 <= found <= NS_MAX:
            raise RowError(self._named(paths), "is not a time of this age")
        return found

    def took_ns(self, ns_per_unit: int, *paths: str) -> int | None:
        """Return a duration in nanoseconds, None where there is none.

        Args:
            ns_per_unit: what it is counted in.
            paths: of the field, the first that is there.

        Raises:
            RowError: it is no number, negative, or longer than any span.
        """
        value = self.get(*paths)
        if value is None:
            return None
        try:
            found_ns = Decimal(str(value).strip()) * ns_per_unit
        except InvalidOperation:
            found_ns = Decimal(-1)
        if not (found_ns.is_finite() and 0 <= found_ns <= _TOOK_MAX_NS):
            raise RowError(self._named(paths), "is not a duration")
        return int(found_ns)

    def word(self, *paths: str) -> str:
        """Return a name, shortened and printable, empty where there is none; never raises."""
        value = self.get(*paths)
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            return ""
        text = str(value)[:_NAME_MAX_CHARS].strip()
        return "".join([one if one.isprintable() else " " for one in text])

    def id(self, *paths: str) -> str:
        """Return an id of a trace, a span or a request, empty where there is none."""
        value = self.get(*paths)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return ""
        text = str(value).strip()
        if len(text) > _ID_MAX_CHARS or not text.isprintable():
            return sha256(text.encode(errors="replace")).hexdigest()[:32]
        return text

    def structure(self, *paths: str) -> dict[str, Any]:
        """Return an object, also one that a table holds as text; empty where there is none."""
        for path in paths:
            value = structure_of(super().get(path))
            if isinstance(value, dict):
                return value
        return {}


def structure_of(value: Any) -> Any:
    """Return what a text holds as JSON, or as Python writes it (a dataframe's CSV)."""
    if not isinstance(value, str) or value[:1] not in {"{", "["} or len(value) > _TEXT_MAX_CHARS:
        return value
    try:
        return _decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ArithmeticError):
        pass
    try:
        return ast.literal_eval(value)
    except (*_UNREADABLE, SyntaxError, MemoryError):
        return value


def spans_of(
    records: Iterator[Record | Trouble], about: About, take: Take, *, has_traces: bool
) -> Iterator[Batch | Trouble]:
    """Yield what records hold, each with its own place; what cannot be used is a Trouble.

    Args:
        records: of the input.
        about: what is read.
        take: makes the spans of one record; raises RowError, naming the field.
        has_traces: False for logs of single calls.
    """
    for record in records:
        if isinstance(record, Trouble):
            yield record
            continue
        try:
            spans = take(Fields(record.value, record.beside))
        except RowError as error:
            yield Trouble(about.where(record), str(error), 1)
        except _UNREADABLE as error:
            # A message may quote the data, so only its kind is told.
            words = f"cannot be understood ({type(error).__name__})"
            yield Trouble(about.where(record), words, 1)
        else:
            if spans:
                yield Batch(spans, about.where(record), has_traces)


def flattened(value: Mapping[str, Any], about: About, prefix: str = "") -> dict[str, Any]:
    """Return a nested object as attributes with dotted names, without what was said.

    Lists are kept where they hold plain values only; what is too deep or too much is left out.
    """
    found: dict[str, Any] = {}
    _flatten(value, prefix, found, about, _DEPTH_MAX)
    return found


def _flatten(
    value: Mapping[str, Any], prefix: str, found: dict[str, Any], about: About, depth: int
) -> None:
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if inner is None or inner == "" or len(found) >= _ATTRIBUTES_MAX:
            continue
        if is_content(name):
            about.read.content_dropped += 1
        elif isinstance(inner, dict):
            if depth:
                _flatten(inner, f"{name}.", found, about, depth - 1)
        else:
            plain = _plain(inner)
            if plain is not None:
                found[name] = plain


def _plain(value: Any) -> Any:
    """Return a value that an attribute may have, None for any other."""
    if isinstance(value, list):
        is_plain = all(isinstance(one, (str, int, float)) for one in value[:_LIST_MAX])
        return value[:_LIST_MAX] if value and is_plain else None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    if isinstance(value, str) and len(value) > _TEXT_MAX_CHARS:
        return None
    return value if isinstance(value, (str, int, Decimal)) else None


def without_content(row: Fields, about: About, *names: str) -> None:
    """Count the fields of a record that hold what was said: they are not looked at."""
    values = row.values
    for name in names:
        if values.get(name):
            about.read.content_dropped += 1


def tags_of(tags: list[Any], prefix: str = "") -> dict[str, Any]:
    """Return ``name:value`` tags as attributes; others say nothing that is looked at."""
    found: dict[str, Any] = {}
    for tag in tags[:_ATTRIBUTES_MAX]:
        if isinstance(tag, str):
            separator = ":" if ":" in tag else "="
            name, told, value = tag[: _NAME_MAX_CHARS * 2].partition(separator)
            if told and name.strip() and value.strip():
                found.setdefault(prefix + name.strip(), value.strip())
    return found


def told(**attributes: Any) -> dict[str, Any]:
    """Return attributes that are not None or empty; ``__`` in a name stands for a dot."""
    return {
        name.replace("__", "."): value
        for name, value in attributes.items()
        if value is not None and value != ""
    }
