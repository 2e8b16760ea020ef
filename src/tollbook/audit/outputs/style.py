"""Text for terminals: colours where they are seen, lines no wider than the window."""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from typing import TextIO

WIDTH_MIN: Final = 80
WIDTH_MAX: Final = 120
_CODES: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "cyan": "36",
}  # fmt: skip
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


class Style(Struct, frozen=True):
    """How a terminal is written to."""

    width: int = 100
    """In characters."""
    has_colour: bool = False
    has_blocks: bool = True
    """Whether it shows block characters; bars are made of ``#`` where it does not."""

    def paint(self, text: str, *looks: str) -> str:
        """Return text in colours, or as it is."""
        if not self.has_colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[look] for look in looks)}m{text}\x1b[0m"

    def bar(self, part: int, whole: int, width: int) -> str:
        """Return a bar of at most ``width`` characters; what is not zero can be seen."""
        if whole <= 0 or part <= 0:
            return ""
        eighths = max(1, min(part, whole) * width * 8 // whole)
        if not self.has_blocks:
            return "#" * max(1, eighths // 8)
        full, rest = divmod(eighths, 8)
        return "█" * full + (_EIGHTHS[rest] if rest else "")

    def wrap(self, text: str, indent: str = "", *, first: str | None = None) -> list[str]:
        """Return text as lines that fit, each with the indent; words (paths) are not cut."""
        return textwrap.wrap(
            text,
            width=self.width,
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_on_hyphens=False,
            break_long_words=False,
        )


def style_of(stream: TextIO) -> Style:
    """Return how a stream is written to.

    ``NO_COLOR`` (no-color.org) and ``TERM=dumb`` turn colours off, ``FORCE_COLOR`` turns them on.
    """
    is_terminal = stream.isatty()
    environ = os.environ
    wants = is_terminal and environ.get("TERM") != "dumb"
    has_colour = not environ.get("NO_COLOR") and (wants or bool(environ.get("FORCE_COLOR")))
    columns = (
        shutil.get_terminal_size((100, 40)).columns
        if is_terminal
        else _columns(environ.get("COLUMNS"))
    )
    width = min(max(columns, WIDTH_MIN), WIDTH_MAX)
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    return Style(width, has_colour, encoding.startswith(("utf", "cp65001")))


def _columns(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else 100
