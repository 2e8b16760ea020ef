"""The key that names are hashed with: random and forgotten, or one's own, so that audits compare.

Findings are known again by names. Where names are hashed, they are the same in two audits only if
the key is.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.audit.settings import AuditSettings

_KEY_MIN_BYTES: Final = 16
_KEY_MAX_BYTES: Final = 4096
_MARK_BYTES: Final = 6


class HashKeyError(TollbookError):
    """A file that should hold a key and does not."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"--hash-key {path}: {problem}; make one with: openssl rand -hex 32 > {path}"
        )


class NamesDifferError(TollbookError):
    """Two audits whose names were not treated alike."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"--compare {path}: its names were treated in another way than those of this audit, so"
            " no finding would be known again; give both the same of --hash-names and"
            " --redact-names, with the same --hash-key FILE"
        )


def read_key(path: str) -> bytes:
    """Return the key that a file holds; space at its end does not count.

    Raises:
        HashKeyError: it cannot be read, or is too short or too long to be a key.
    """
    try:
        with Path(path).open("rb") as file:
            told = file.read(_KEY_MAX_BYTES + 1)
    except OSError as error:
        raise HashKeyError(path, error.strerror or "cannot be read") from error
    if len(told) > _KEY_MAX_BYTES:
        raise HashKeyError(path, f"larger than {_KEY_MAX_BYTES} bytes")
    told = told.rstrip()
    if len(told) < _KEY_MIN_BYTES:
        raise HashKeyError(path, f"shorter than {_KEY_MIN_BYTES} bytes")
    return sha256(told).digest()


def names_mark(settings: AuditSettings) -> str:
    """Return how names are treated, the same for audits that can be compared.

    Empty where they are shown as read; else which names are hashed, and a checksum by which the
    key is known again, or ``random key``.
    """
    if not (settings.hash_names or settings.redact_names):
        return ""
    which = "redacted" if settings.redact_names else "hashed"
    if not settings.hash_key:
        return f"{which}, random key"
    digest = blake2b(b"names", key=settings.hash_key, digest_size=_MARK_BYTES, person=b"tollbook")
    return f"{which}, key {digest.hexdigest()}"


def check_comparable(path: str, earlier: str, now: str) -> None:
    """Check that the names of two audits can be the same.

    Args:
        path: of the earlier one.
        earlier: its mark.
        now: the mark of this one.

    Raises:
        NamesDifferError: they cannot; those hashed with a random key are never the same.
    """
    if earlier != now or now.endswith("random key"):
        raise NamesDifferError(path)
