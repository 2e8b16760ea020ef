"""What a call without a tenant gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.call import Identity


class MissingTenantError(TollbookError):
    """Nobody said whose call it is."""


def call_site_of(identity: Identity) -> str | None:
    """Return the place in the application that made the call."""
    del identity
    return None
