"""Identity in a report that is handed on: labels instead of names, unless names are asked for.

The same value has the same label in the whole of a report, so one can still follow a tenant from
span to span. Values are known from the owners of sketches; where they stand inside titles, names
of spans and advice they are replaced as well. What the audit itself hashed stays as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tollbook.audit.report import Audit

_PART_CHARS_MIN: Final = 3
"""A shorter value inside other text is left: ``1`` is in everything."""


class Names(Protocol):
    """How names are shown."""

    words: str
    """What was done to them, for the report."""

    def owner(self, value: str) -> str:
        """Return a value of identity as it is shown."""

    def text(self, value: str) -> str:
        """Return other text that may hold such values."""

    def source(self, value: str) -> str:
        """Return the name of an input."""


class Shown:
    """Names as they are."""

    words = "In this file names of tenants and files are shown as they were read."

    def owner(self, value: str) -> str:
        """Return a value of identity as it is."""
        return value

    def text(self, value: str) -> str:
        """Return text as it is."""
        return value

    def source(self, value: str) -> str:
        """Return the name of an input as it was given."""
        return value


class Redacted:
    """Labels instead of the values of identity, and files without their folders.

    Args:
        audit: the report whose owners are hidden.
    """

    words = (
        "In this file tenants have labels instead of names, and inputs are named without their "
        "folders; services and spans have their names."
    )

    def __init__(self, audit: Audit) -> None:
        self._labels: dict[str, str] = {}
        for finding in audit.findings:
            for bar in () if finding.sketch is None else finding.sketch.bars:
                if bar.owner is not None:
                    self.owner(bar.owner)
        inside = [value for value in self._labels if len(value) >= _PART_CHARS_MIN]
        inside.sort(key=len, reverse=True)  # of two of which one begins the other, the longer
        joined = "|".join(re.escape(value) for value in inside)
        self._inside = re.compile(rf"(?<![^\W_])(?:{joined})(?![^\W_])") if inside else None

    def owner(self, value: str) -> str:
        """Return the label of a value of identity."""
        return self._labels.setdefault(value, f"tenant {len(self._labels) + 1}")

    def text(self, value: str) -> str:
        """Return text with labels where it holds whole values of identity."""
        if value in self._labels:
            return self._labels[value]
        if self._inside is None:
            return value
        return self._inside.sub(lambda found: self._labels[found.group()], value)

    def source(self, value: str) -> str:
        """Return the last part of a path."""
        return value.replace("\\", "/").rstrip("/").rpartition("/")[2] or value
