"""The six usual ways in which a call loses its owner, and calls that lost it otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollbook.audit.settings import AuditSettings


def rules(settings: AuditSettings) -> list[Any]:
    """Return the rules of this module."""
    del settings
    return []
