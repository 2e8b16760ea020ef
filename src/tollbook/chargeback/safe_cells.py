"""Cells of files that people open in a spreadsheet: text stays text, numbers stay numbers."""

from __future__ import annotations

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or strips to find one (OWASP, CSV
injection)."""


def safe_text(text: str) -> str:
    """Return text that no spreadsheet runs: an apostrophe before what begins like a formula.

    For text alone. An amount such as ``-1.50`` is a number and is written as it is.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def is_safe(text: str) -> bool:
    """Whether a cell of text can be written as it is."""
    return not text.startswith(FORMULA_STARTS)
