"""Whose a call is: the context first, then what the request itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.identity.claims import Claims, Mechanism
from tollbook.identity.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT: Final = Mechanism.DEFAULT.value
_last: tuple[Identity, str, Identity] | None = None


def owner_of(known: Identity, claims: Sequence[Claims], environment: str) -> Identity:
    """Return the owner of a call.

    Args:
        known: of the context.
        claims: of headers and body.
        environment: where neither names one.
    """
    global _last  # noqa: PLW0603 -- one value, replaced whole: threads at worst do work twice
    if not claims:
        last = _last
        if last is not None and last[0] is known and last[1] == environment:
            return last[2]
        owner = known
        if known.environment is None:
            sources = known.sources | {"environment": _DEFAULT}
            owner = replace(known, environment=environment, sources=sources)
        _last = (known, environment, owner)
        return owner
    fields = {
        field: value for field in IDENTITY_FIELDS if (value := getattr(known, field)) is not None
    }
    own = Claims(Mechanism.SDK, fields, known.tags)
    owner = resolve((own, *claims), api_key_id=known.api_key_id, default_environment=environment)
    # What the context knew may itself have come by another way, which is what it says.
    return replace(owner, sources=owner.sources | known.sources)
