"""How much may be handed in, how long an audit may take, and what is kept of it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MIB: Final = 1024 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of audits in the console; larger files are for the command."""

    upload_max_bytes: int = 64 * MIB
    """Of all files of one audit, as they are sent: plain or compressed."""
    files_max: int = 20
    time_max_s: float = 120.0
    """Of one audit, from its start."""
    memory_max_bytes: int = 4096 * MIB
    """Of the address space of the process that audits."""
    spill_max_bytes: int = 4096 * MIB
    """Of one file that the process writes for itself."""
    findings_max: int = 500
    waiting_max: int = 8
    """Audits that wait for their turn; one runs at a time."""
    kept_s: int = 1800
    kept_max: int = 24
    """Of all people; the oldest goes first."""
    kept_max_each: int = 6


DEFAULT: Final = Limits()
