"""The API's bearer token: made when the ledger starts, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_FILE: Final = "console.token"  # noqa: S105 -- a file name
ADDRESS_FILE: Final = "console.json"
_TOKEN_BYTES: Final = 32
_FILE_MAX_BYTES: Final = 4096
_RESTART: Final = "restart tollbook up, or remove the file if none runs"


class Address(Struct, frozen=True):
    """Where the running ledger listens."""

    host: str
    port: int
    pid: int


class AnnouncementError(TollbookError):
    """The token or address of the API cannot be written or read."""

    def __init__(
        self,
        path: Path,
        problem: str,
        advice: str = "check the owner and mode of the data directory",
    ) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def is_token(given: str, digest: bytes) -> bool:
    """Compare a token with the SHA-256 of the right one, in a time that tells nothing."""
    return secrets.compare_digest(sha256(given.encode(errors="replace")).digest(), digest)


def announce(data_dir: Path, token: str, address: Address) -> None:
    """Write the token and the address where commands of the same user find them.

    Raises:
        AnnouncementError: the data directory cannot be written.
    """
    _write_private(data_dir / TOKEN_FILE, token.encode())
    _write_private(data_dir / ADDRESS_FILE, msgspec.json.encode(address))


def withdraw(data_dir: Path) -> None:
    """Remove what :func:`announce` wrote."""
    for name in (ADDRESS_FILE, TOKEN_FILE):
        (data_dir / name).unlink(missing_ok=True)


def read_announcement(data_dir: Path) -> tuple[Address, str] | None:
    """Return address and token of the ledger that last announced itself, None if none did.

    Raises:
        AnnouncementError: the files are there and cannot be read.
    """
    try:
        address = (data_dir / ADDRESS_FILE).read_bytes()[:_FILE_MAX_BYTES]
        token = (data_dir / TOKEN_FILE).read_bytes()[:_FILE_MAX_BYTES].decode("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise AnnouncementError(data_dir / TOKEN_FILE, f"cannot be read: {problem}") from error
    except UnicodeDecodeError as error:
        raise AnnouncementError(data_dir / TOKEN_FILE, "is damaged", _RESTART) from error
    if not token.isprintable():
        raise AnnouncementError(data_dir / TOKEN_FILE, "is damaged", _RESTART)
    try:
        return msgspec.json.decode(address, type=Address), token
    except msgspec.DecodeError as error:
        raise AnnouncementError(data_dir / ADDRESS_FILE, "is damaged", _RESTART) from error


def _write_private(path: Path, data: bytes) -> None:
    """Replace a file at once, with mode 0600 from its first moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(data)
        temporary.replace(path)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise AnnouncementError(path, f"cannot be written: {problem}") from error
