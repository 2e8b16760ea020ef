"""A window on a long text, which knows lines and offsets.

The bytes are held as Latin-1 text, one character for each byte: the scanner of :mod:`json` is in C
and reads text, and the structure of JSON is ASCII. What is taken out becomes bytes again.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Numbers are scanned, not converted: one of a million digits would cost seconds.
_scan: Final = json.JSONDecoder(
    strict=False, parse_int=bool, parse_float=bool, parse_constant=bool
).raw_decode
_skip_space: Final = re.compile(r"[ \t\r\n,\0\x1e]*").match
"""Commas stand between elements; 1E begins each record of RFC 7464; a crash leaves zeros."""
_in_string: Final = re.compile(r'(?>[^"\\]+|\\.)*+', re.DOTALL).match
_NEAR_END: Final = 16
"""A literal or an escape that is cut by the end of the window is shorter than this."""


class Window:
    """A piece of a text; it moves on as things are taken.

    Args:
        read: returns the next bytes, none at the end.
        line: of the first byte, counted from 1.
        offset: of the first byte, counted from 0.
    """

    def __init__(self, read: Callable[[], bytes], *, line: int = 1, offset: int = 0) -> None:
        self._read = read
        self.text = ""
        self.at = 0
        self.line = line
        self._offset = offset
        self.is_end = False

    @property
    def offset(self) -> int:
        """Of the place where it stands, in bytes."""
        return self._offset + self.at

    def more(self) -> bool:
        """Read on; False at the end."""
        if self.is_end:
            return False
        data = self._read()
        if not data:
            self.is_end = True
            return False
        self._offset += self.at
        self.text = self.text[self.at :] + data.decode("latin-1")
        self.at = 0
        return True

    def fill(self, size: int) -> int:
        """Have so many bytes at hand if there are as many; return how many there are."""
        while len(self.text) - self.at < size and not self.is_end:
            self._more_by(size - (len(self.text) - self.at))
        return len(self.text) - self.at

    def _more_by(self, size: int) -> None:
        parts, got = [self.text[self.at :]], 0
        self._offset += self.at
        self.at = 0
        while got < size:
            data = self._read()
            if not data:
                self.is_end = True
                break
            parts.append(data.decode("latin-1"))
            got += len(data)
        self.text = "".join(parts)

    def go(self, to: int) -> None:
        """Take what stands before a place of the window as read."""
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def take(self, to: int) -> bytes:
        """Return the bytes up to a place, and go there."""
        data = self.text[self.at : to].encode("latin-1")
        self.go(to)
        return data

    def skip_space(self) -> str:
        """Go to the next character that means something and return it, nothing at the end."""
        while True:
            found = _skip_space(self.text, self.at)
            assert found is not None
            self.go(found.end())
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def skip_string(self) -> None:
        """Go beyond the string that begins here, however long it is."""
        self.go(self.at + 1)
        while True:
            found = _in_string(self.text, self.at)
            assert found is not None
            self.go(found.end())
            if self.text.startswith('"', self.at):
                self.go(self.at + 1)
                return
            if not self.more():
                self.go(len(self.text))
                return

    def value_end(self, limit_bytes: int) -> tuple[int, object]:
        """Return where the JSON value that begins here ends, and a likeness of it.

        In the likeness numbers are True or False; it is for looking at the names of members.

        Raises:
            TooLargeError: it is longer than the limit.
            BrokenError: it is no JSON.
        """
        while True:
            try:
                value, end = _scan(self.text, self.at)
            except RecursionError:
                raise BrokenError("nested too deeply") from None
            except json.JSONDecodeError as error:
                held = len(self.text) - self.at
                is_cut = error.msg.startswith("Unterminated") or (
                    error.pos >= len(self.text) - _NEAR_END
                )
                if not is_cut or self.is_end:
                    words = "it ends too early" if is_cut else error.msg.lower()
                    raise BrokenError(words) from None
                if held > limit_bytes:
                    raise TooLargeError from None
                # Each attempt begins anew, so that it is worth waiting for twice as much
                self.fill(max(2 * held, 64 * 1024))
            else:
                if end == len(self.text) and isinstance(value, bool):
                    held = end - self.at  # of a number there may be more
                    if self.fill(held + 1) > held:
                        continue
                    end = self.at + held
                return end, value


class TooLargeError(Exception):
    """A value is longer than what is held at once."""


class BrokenError(Exception):
    """A value is no JSON."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words
