"""Rows out of JSON of any of the usual shapes, without holding the whole of it.

JSON lines; objects one after the other; one array of objects; and an answer of an API: an object
with the rows in an array under ``data`` or the like.
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tollbook.capture.imports.errors import ImportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    JsonRow = tuple[int, int, dict[str, Any] | None, str]
    """Number, line, the object or None, why not."""

_CHUNK_BYTES: Final = 256 * 1024
_LISTS: Final = ("data", "logs", "rows", "items", "requests", "observations", "generations",
                 "results", "spend_logs")  # fmt: skip
_list_begins = re.compile(rf'"(?:{"|".join(_LISTS)})"\s*:\s*\[').search
_decoder = json.JSONDecoder(parse_float=Decimal)
_space = re.compile(r"[\s,]*").match


class _Text:
    """A window on a text that is read on as it is needed."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path, self._stream = path, stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self.window, self.at, self.line = "", 0, 1
        self.is_end = False

    def more(self) -> bool:
        """Read on; False at the end."""
        if self.is_end:
            return False
        data = self._stream.read(_CHUNK_BYTES)
        self.is_end = not data
        try:
            text = self._decode.decode(data, final=self.is_end)
        except UnicodeDecodeError as error:
            raise ImportFileError(self.path, "is not UTF-8 text from here on", self.line) from error
        self.window = self.window[self.at :] + text
        self.at = 0
        return not self.is_end

    def go(self, at: int) -> None:
        """Take what stands before a place as read."""
        self.line += self.window.count("\n", self.at, at)
        self.at = at

    def skip_space(self) -> bool:
        """Pass over white space and commas; False at the end of the text."""
        while True:
            found = _space(self.window, self.at)
            assert found is not None
            self.go(found.end())
            if self.at < len(self.window):
                return True
            if not self.more() and self.at >= len(self.window):
                return False

    def rest_of_line(self, limit: int) -> str | None:
        """Take the rest of the line; None, with the line passed over, where it is too long."""
        is_long = False
        searched = 0
        while True:
            end = self.window.find("\n", self.at + searched)
            if end < 0 and not self.is_end:
                searched = len(self.window) - self.at
                if searched > limit:
                    is_long, searched = True, 0
                    self.at = len(self.window)
                self.more()
                continue
            end = len(self.window) if end < 0 else end
            text = self.window[self.at : end]
            self.go(end)
            return None if is_long or len(text) > limit else text


def read_json(path: Path, stream: BinaryIO, row_max_chars: int) -> Iterator[JsonRow]:
    """Yield the objects of a stream.

    Raises:
        ImportFileError: it is not JSON, from some line on.
    """
    text = _Text(path, stream)
    if not text.skip_space():
        return
    if text.window[text.at] == "[":
        text.go(text.at + 1)
        yield from _values(text, row_max_chars, ends_with="]")
        return
    if text.window[text.at] != "{":
        raise ImportFileError(path, "is not JSON: expected { or [", text.line)
    first = _first_line(text)
    second = text.window.find("\n", text.at) + 1
    if first is None and second and text.window.startswith("{", second):
        # Lines, the first of which is damaged.
        yield from _lines(text, row_max_chars)
        return
    if first is None:  # an object over several lines, or a very long one
        begins = _list_begins(text.window, text.at)
        if begins is not None:
            text.go(begins.end())
            yield from _values(text, row_max_chars, ends_with="]")
        else:
            yield from _values(text, row_max_chars, ends_with="")
        return
    inner = _inner(first)
    if inner is not None:
        for number, value in enumerate(inner, 1):
            yield _row(number, 1, value)
        return
    yield from _lines(text, row_max_chars)


def _first_line(text: _Text) -> dict[str, Any] | None:
    while "\n" not in text.window[text.at :] and text.more():
        if len(text.window) > _CHUNK_BYTES * 8:
            return None
    line = text.window[text.at :].partition("\n")[0]
    try:
        value = _decoder.decode(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _inner(value: dict[str, Any]) -> list[Any] | None:
    """Return the rows of an answer of an API that is all on one line."""
    for name in _LISTS:
        inner = value.get(name)
        if isinstance(inner, list):
            return inner
    inner = value.get("data")
    return [inner] if isinstance(inner, dict) and len(value) == 1 else None


def _lines(text: _Text, limit: int) -> Iterator[JsonRow]:
    number = 0
    while text.skip_space():
        line, number = text.line, number + 1
        source = text.rest_of_line(limit)
        if source is None:
            yield number, line, None, f"is longer than {limit} characters"
            continue
        try:
            value = _decoder.decode(source)
        except (ValueError, RecursionError) as error:
            yield number, line, None, f"is not JSON: {_words(error)}"
            continue
        yield _row(number, line, value)


def _values(text: _Text, limit: int, *, ends_with: str) -> Iterator[JsonRow]:
    """Yield values one after the other, up to the end of their array."""
    number = 0
    while text.skip_space():
        if ends_with and text.window[text.at] == ends_with:
            return
        number += 1
        while True:
            try:
                value, end = _decoder.raw_decode(text.window, text.at)
            except (ValueError, RecursionError) as error:
                waiting = len(text.window) - text.at
                if waiting > limit:
                    problem = f"a row is longer than {limit} characters, or is not JSON"
                    raise ImportFileError(text.path, problem, text.line) from error
                if text.more() or len(text.window) - text.at > waiting:
                    continue
                problem = f"is not JSON from here on: {_words(error)}"
                raise ImportFileError(text.path, problem, text.line) from error
            break
        line = text.line
        text.go(end)
        rows = _inner(value) if not ends_with and isinstance(value, dict) else None
        if rows is None:
            yield _row(number, line, value)
        else:
            for at, one in enumerate(rows, number):
                yield _row(at, line, one)
    if ends_with:
        raise ImportFileError(text.path, "ends within its list of rows", text.line)


def _row(number: int, line: int, value: Any) -> JsonRow:
    if isinstance(value, dict):
        return number, line, value, ""
    return number, line, None, "is not an object"


def _words(error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "nested too deeply"
    return error.msg.removesuffix(" at").removesuffix(" starting").lower()
