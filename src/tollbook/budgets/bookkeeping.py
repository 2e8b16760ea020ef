"""What the ledger process remembers of the table that it has made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.budgets.seed import Change

if TYPE_CHECKING:
    from pathlib import Path

MADE_FILE: Final = "budgets.json"


class Since(Struct, frozen=True):
    """From when on a rule is counted, and by whom."""

    from_s: int
    """Workers count calls that end from here on; 0: all that they see."""
    entry_id: int | None = None
    """The counters have what is booked up to here; None: not made yet."""


class Made(Struct, frozen=True):
    """What a table was made of."""

    inode: int
    made_entry_id: int
    """It was made from the entries up to here."""
    last_entry_id: int
    """It has everything that only the ledger counts up to here."""
    rules: dict[str, Since]
    """By what they count (:attr:`tollbook.budgets.rules.Rule.counted`)."""
    pending: Change | None = None
    """A change that may not have been made, if the process died."""


def read_made(directory: Path) -> Made | None:
    """Return what is remembered, None where nothing is, or nothing of this version."""
    try:
        return msgspec.json.decode((directory / MADE_FILE).read_bytes(), type=Made)
    except (OSError, msgspec.DecodeError):
        return None


def write_made(directory: Path, made: Made) -> None:
    """Remember it.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / MADE_FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(made))
    os.replace(fresh, path)  # noqa: PTH105 -- atomic on every system
