"""Text in PDF in whatever script: a font for each stretch, and a note where none has the letters.

Embedded is the first font found of those that most systems have (DejaVu Sans has Latin, Greek and
Cyrillic), or else the one that comes with the PDF library. Chinese, Japanese and Korean are written
with the fonts that PDF readers bring for them (Adobe's Asian font packs), which are not embedded.
"""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from tollbook.chargeback.invoices.extras import extra

REPLACEMENT: Final = "?"
_FONTS: Final = (
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("Arial.ttf", "Arial Bold.ttf"),
    ("arial.ttf", "arialbd.ttf"),
)
_PLACES: Final = (
    "/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/noto", "/usr/share/fonts/TTF",
    "/usr/share/fonts/dejavu-sans-fonts", "/usr/share/fonts/noto",
    "/usr/share/fonts/truetype/liberation", "/System/Library/Fonts/Supplemental",
    "/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
_ASIAN: Final = (
    # first and last character, font of the readers' packs
    ("\u1100", "\u11ff", "HYSMyeongJo-Medium"), ("\uac00", "\ud7a3", "HYSMyeongJo-Medium"),
    ("\u3130", "\u318f", "HYSMyeongJo-Medium"), ("\u3040", "\u30ff", "HeiseiKakuGo-W5"),
    ("\u3000", "\u303f", "STSong-Light"), ("\u4e00", "\u9fff", "STSong-Light"),
    ("\uff00", "\uffef", "STSong-Light"),
)  # fmt: skip


class Fonts:
    """The fonts of one document, and what it could not show.

    Args:
        places: directories to look for fonts in; None are those of common systems.

    Attributes:
        plain: name of the embedded font.
        bold: the same, bold.
        missing: characters that no font has.
        unembedded: whether a reader's own fonts are needed.
        unshaped: whether there is text from right to left, which is not brought into order.
    """

    def __init__(self, places: tuple[str, ...] | None = None) -> None:
        found = _embedded(_PLACES if places is None else places)
        self.plain, self.bold, self._covered = found
        self.missing: set[str] = set()
        self.unembedded = False
        self.unshaped = False

    def markup(self, text: str) -> str:
        """Return text as a paragraph's markup, each stretch in a font that has it."""
        made = []
        for font, letters in groupby(text, key=self._font):
            stretch = "".join(letters)
            if font is None:
                made.append(escape(stretch))
            else:
                made.append(f'<font name="{font}">{escape(stretch)}</font>')
        # What was missing is counted while the fonts are chosen.
        shown = "".join(made)
        for one in self.missing:
            shown = shown.replace(one, REPLACEMENT)
        return shown

    def _font(self, letter: str) -> str | None:
        if unicodedata.bidirectional(letter) in {"R", "AL"}:
            self.unshaped = True
        if letter.isspace() or ord(letter) in self._covered:
            return None
        for first, last, font in _ASIAN:
            if first <= letter <= last:
                self.unembedded = True
                return _asian(font)
        self.missing.add(letter)
        return None

    def notes(self) -> list[str]:
        """Return what a reader should know of what cannot be shown; empty where all is well."""
        notes = []
        if self.missing:
            some = ", ".join(sorted(f"U+{ord(one):04X}" for one in self.missing)[:8])
            notes.append(f"Characters that no font here has are shown as {REPLACEMENT} ({some}).")
        if self.unshaped:
            notes.append("Text from right to left is shown letter by letter in stored order.")
        if self.unembedded:
            notes.append("Chinese, Japanese and Korean are shown in the reader's own fonts.")
        if notes:
            notes.append("The CSV and XLSX statements have every name exactly.")
        return notes


class _Embedded(NamedTuple):
    plain: str
    bold: str
    covered: frozenset[int]
    """Characters that it has."""


@lru_cache(maxsize=4)
def _embedded(places: tuple[str, ...]) -> _Embedded:
    """Register the font that is embedded, under the names of its files."""
    pdfmetrics = extra("reportlab.pdfbase.pdfmetrics", "PDF")
    make = extra("reportlab.pdfbase.ttfonts", "PDF").TTFont
    files = _files(places)
    plain, bold = (Path(one).stem for one in files)
    regular = make(plain, files[0])
    pdfmetrics.registerFont(regular)
    pdfmetrics.registerFont(make(bold, files[1]))
    pdfmetrics.registerFontFamily(plain, normal=plain, bold=bold, italic=plain, boldItalic=bold)
    return _Embedded(plain, bold, frozenset(regular.face.charToGlyph))


def _files(places: tuple[str, ...]) -> tuple[str, str]:
    for plain, bold in _FONTS:
        for place in places:
            found = [str(Path(place, name)) for name in (plain, bold)]
            if all(os.access(one, os.R_OK) for one in found):
                return found[0], found[1]
    return "Vera.ttf", "VeraBd.ttf"  # found by the library beside its own files


@lru_cache(maxsize=8)
def _asian(name: str) -> str:
    made = extra("reportlab.pdfbase.cidfonts", "PDF").UnicodeCIDFont(name)
    extra("reportlab.pdfbase.pdfmetrics", "PDF").registerFont(made)
    return name
