"""Virtual keys as gateway workers look them up: in memory, kept up to date from the books.

Needs nothing but the standard library's sqlite3, so that a gateway runs without the ledger's
dependencies. The books belong to other processes: a file that is missing, locked, being upgraded
or replaced leaves the keys as they were last read.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from tollbook import clock
from tollbook.books.records import BINDING_FIELDS, FILE_NAME, KeyProblem, digest
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_BUSY_TIMEOUT_S: Final = 0.05  # a worker's loop does not wait for another process's lock
_MAX_SECRET_CHARS: Final = 1024
_COLUMNS: Final = (
    "secret_sha256", "revoked_at_ns", "api_key_id", "expires_at_ns", "models", *BINDING_FIELDS
)  # fmt: skip
_QUERY: Final = f"SELECT {', '.join(_COLUMNS)} FROM virtual_keys"  # noqa: S608 -- constants
_UNKNOWN: Final = KeyProblem("unknown")


class KeyDirectory:
    """All virtual keys of ``data_dir/books.sqlite``; one thread's. Reads them when made."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._keys: dict[bytes, KeyBinding | KeyProblem] = {}
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._data_version: int | None = None
        self.problem: str | None = None
        """Why the last refresh could not read the books; None when it could."""
        self.refresh()

    def __len__(self) -> int:
        return len(self._keys)

    def lookup(self, secret: str) -> KeyBinding | KeyProblem:
        """Return what a secret is bound to, or why it admits nobody; memory only, same work."""
        if len(secret) > _MAX_SECRET_CHARS:
            return _UNKNOWN
        found = self._keys.get(digest(secret), _UNKNOWN)
        if (
            isinstance(found, KeyBinding)
            and found.expires_at_ns is not None
            and clock.unix_ns() >= found.expires_at_ns
        ):
            return KeyProblem("expired", found.api_key_id)
        return found

    def refresh(self) -> bool:
        """Read the keys again if the books changed; True if they were read.

        Costs some microseconds when nothing changed, so a timer may call it every second or
        faster. Never raises: a problem is kept in ``problem`` and logged once.
        """
        try:
            was_read = self._refresh()
        except (OSError, sqlite3.Error, ValueError) as error:
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            if text != self.problem and not isinstance(error, FileNotFoundError):
                logger.warning("virtual keys cannot be read again (%s): %s", self._path, text)
            self.problem = text
            self._disconnect()
            return False
        self.problem = None
        return was_read

    def close(self) -> None:
        """Close the connection; lookups go on with what was read."""
        self._disconnect()

    def _refresh(self) -> bool:
        status = os.stat(self._path)  # noqa: PTH116 -- on every tick
        file = (status.st_dev, status.st_ino)
        if self._connection is None or file != self._file:
            self._disconnect()
            uri = f"file:{quote(str(self._path.absolute()))}?mode=ro"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
            )
            self._file = file
        # Changes whenever another connection has committed (sqlite.org/pragma.html).
        (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return False
        self._keys = dict(_entry(row) for row in self._connection.execute(_QUERY))
        self._data_version = data_version
        return True

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._file, self._data_version = None, None, None


def _entry(row: tuple[object, ...]) -> tuple[bytes, KeyBinding | KeyProblem]:
    secret_sha256, revoked_at_ns, api_key_id, expires_at_ns, models, *binding = row
    assert isinstance(secret_sha256, bytes)
    assert isinstance(models, str)
    if revoked_at_ns is not None:
        return secret_sha256, KeyProblem("revoked", str(api_key_id))
    fields = {
        "api_key_id": api_key_id,
        "expires_at_ns": expires_at_ns,
        "models": msgspec.json.decode(models),
        **dict(zip(BINDING_FIELDS, binding, strict=True)),
    }
    return secret_sha256, msgspec.convert(fields, KeyBinding)
