"""How an audit is made."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MIB: Final = 1024 * 1024


class AuditSettings(Struct, frozen=True, kw_only=True):
    """Options of an audit; none is needed."""

    hash_names: bool = False
    """Whether tenants, users and other values of identity are replaced by a keyed hash."""
    redact_names: bool = False
    """Whether names of services, spans and tools are replaced too."""
    hash_key: bytes = b""
    """What they are hashed with, 64 bytes at most; without one a random key, which is forgotten."""
    tenant_attributes: tuple[str, ...] = ()
    """Attributes that name the tenant here, before those that are known."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts that may receive identity: our own."""
    tenant_pattern: str | None = None
    """A regular expression that every tenant of this product matches."""
    price_age_max_days: int = 30
    held_max_bytes: int = 64 * MIB
    """Of spans in memory before they are grouped on disk."""
    evidence_max: int = 20
    findings_max: int = 2000
    ignore: tuple[str, ...] = ()
    """Rules that are not used."""


DEFAULT: Final = AuditSettings()
