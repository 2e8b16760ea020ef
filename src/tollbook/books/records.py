"""What a virtual key is, and its secret; without a database, for gateway and command alike."""

from __future__ import annotations

import hashlib
import secrets
import string
from typing import Final, Literal

from msgspec import Struct

from tollbook.identity.claims import KeyBinding

FILE_NAME: Final = "books.sqlite"
"""The books, in the data directory."""
SECRET_PREFIX: Final = "tb_"  # noqa: S105 -- what a secret begins with, so that scanners find leaks
_ALPHABET: Final = string.digits + string.ascii_letters
_SECRET_CHARS: Final = 43  # 62 ** 43 > 2 ** 256
_ID_CHARS: Final = 16

BINDING_FIELDS: Final = (
    "tenant_id",
    "user_id",
    "team_id",
    "cost_center",
    "feature",
    "environment",
)


class KeyRecord(Struct, frozen=True, kw_only=True):
    """A virtual key as a person sees it; its secret is not known any more."""

    api_key_id: str
    label: str
    tenant_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    environment: str | None = None
    models: tuple[str, ...] = ()
    created_at_ns: int
    expires_at_ns: int | None = None
    revoked_at_ns: int | None = None

    def binding(self) -> KeyBinding:
        """Return what admission needs of it."""
        return KeyBinding(
            api_key_id=self.api_key_id,
            expires_at_ns=self.expires_at_ns,
            models=self.models,
            **{field: getattr(self, field) for field in BINDING_FIELDS},
        )


class KeyProblem(Struct, frozen=True):
    """Why a secret admits nobody."""

    reason: Literal["unknown", "expired", "revoked"]
    api_key_id: str | None = None


def new_secret() -> str:
    """Return a secret of 256 random bits: ``tb_`` and 43 letters and digits."""
    return SECRET_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))


def new_key_id() -> str:
    """Return the public name of a key: ``key_`` and 16 letters and digits."""
    return "key_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))


def digest(secret: str) -> bytes:
    """Return the SHA-256 under which a secret is stored and found.

    A slow, salted hash protects passwords, which can be guessed; 256 random bits cannot, however
    fast the hash. A fast one costs the gateway a microsecond per request, and finding the key by
    its digest takes the same work whether or not there is such a key.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
