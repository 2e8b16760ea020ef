"""Where exports are kept, and what is asked for; light enough for a command to import."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

Version = Literal["1.2", "1.4"]
FileFormat = Literal["csv", "parquet"]
Perspective = Literal["cost", "billable"]
KIND: Final = "focus"
DIRECTORY: Final = "exports"
"""In the data directory; a directory in it for each export."""
MANIFEST: Final = "manifest.json"
_CHUNK_BYTES: Final = 1 << 20


def directory_of(data_dir: Path, export_id: str) -> Path:
    """Return the directory of an export."""
    return data_dir / DIRECTORY / export_id


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def time_text(value: datetime) -> str:
    """Return a time in UTC as FOCUS has it: ``2026-10-01T00:00:00Z``."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
