"""``DATA/budgets.rules``: the budgets in force, as the ledger process tells the gateway's workers.

A file of JSON that is replaced whole. It has the budgets of the settings, those of the books, and
the top-ups; workers see within a tick of their timer that it is another one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.config.budgets import Budget

if TYPE_CHECKING:
    from pathlib import Path

RULES_FILE: Final = "budgets.rules"
_BYTES_MAX: Final = 64 * 1024 * 1024


class TopUp(Struct, frozen=True, kw_only=True):
    """More for one owner of one budget until a moment."""

    rule: str
    """Name of the budget."""
    owner: tuple[str, ...]
    """Values of the budget's ``each``, in its order."""
    amount: int
    """Pico for dollars, else pieces."""
    expires_at_s: int
    """First second since the epoch at which it no longer counts."""
    reason: str = ""


class RulesFile(Struct, frozen=True, kw_only=True):
    """What the file says."""

    settings: str
    """Fingerprint of the settings' budgets that it was made of."""
    budgets: list[Budget]
    """In force, those of the settings first."""
    top_ups: list[TopUp] = []
    from_s: dict[str, int] = {}
    """By budget: workers count calls that end from here on (seconds since the epoch); what ended
    before is counted from the ledger. Absent: workers count all that they see."""
    ends_s: dict[str, int] = {}
    """By budget: from when on it is in force no more (seconds since the epoch). Absent: unknown."""
    is_shared: bool = False
    """Several hosts share the limits: a host may use only what has been granted to it."""


def write_rules(directory: Path, rules: RulesFile) -> None:
    """Replace the file.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / RULES_FILE
    fresh = path.with_name(f"{RULES_FILE}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 -- the mode
        file.write(msgspec.json.encode(rules))
    os.replace(fresh, path)  # noqa: PTH105 -- atomic on every system


def read_rules_file(directory: Path) -> RulesFile | str | None:
    """Return what the file says, in words why it cannot be read, None where there is none."""
    path = directory / RULES_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror or 'cannot be read'}"
    if len(data) > _BYTES_MAX:
        return f"{path}: is larger than {_BYTES_MAX} bytes"
    try:
        return msgspec.json.decode(data, type=RulesFile)
    except msgspec.DecodeError as error:
        return f"{path}: {error}"
