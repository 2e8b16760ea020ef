"""Whose a frame from outside is: a key that it came with goes before what it says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.call import IDENTITY_FIELDS, CallOpened, Identity, SpanSeen
from tollbook.identity import Mechanism, claims_from_key, resolve
from tollbook.identity.resolve import MAX_CONFLICTS
from tollbook.identity.values import MAX_PROBLEMS, ClaimsBuilder

if TYPE_CHECKING:
    from tollbook.call import Frame
    from tollbook.identity import Claims, KeyBinding

_MECHANISMS: Final = {one.value: one for one in Mechanism}
_NOT_TAKEN: Final = (Mechanism.VIRTUAL_KEY, Mechanism.DEFAULT)
"""What a sender cannot say: that it showed a key, and what we assume of those who say nothing."""


def owned(
    frame: Frame, key: KeyBinding | None, default_environment: str, otherwise: Mechanism
) -> Frame:
    """Return a frame whose identity holds only ids, with the key's word first.

    Args:
        frame: as it came; one that names no owner stays as it is.
        key: that it came with; who else is named becomes a conflict.
        default_environment: of a call that does not name one.
        otherwise: carrier of fields whose carrier is not told, or cannot be.
    """
    if isinstance(frame, CallOpened):
        identity = _checked(frame.identity, key, default_environment, otherwise)
        return replace(frame, identity=identity)
    if isinstance(frame, SpanSeen) and (frame.identity is not None or key is not None):
        said = frame.identity or Identity()
        identity = _checked(said, key, default_environment, otherwise)
        return replace(frame, identity=_without_default(identity))
    return frame


def _foreign_key_id(said: Identity) -> str | None:
    """Return the name of the provider's key that was used; ours only who shows it may name."""
    name = said.api_key_id
    return None if name is None or name.startswith("key_") else name


def _without_default(identity: Identity) -> Identity:
    """Return what a span says; an assumed environment must not be handed on to other calls."""
    if identity.sources.get("environment") != Mechanism.DEFAULT:
        return identity
    sources = {field: at for field, at in identity.sources.items() if field != "environment"}
    return replace(identity, environment=None, sources=sources)


def _checked(
    said: Identity, key: KeyBinding | None, default_environment: str, otherwise: Mechanism
) -> Identity:
    builders: dict[Mechanism, ClaimsBuilder] = {}

    def of(mechanism: Mechanism) -> ClaimsBuilder:
        return builders.setdefault(mechanism, ClaimsBuilder(mechanism))

    for field in IDENTITY_FIELDS:
        value = getattr(said, field)
        if value is None:
            continue
        source = _MECHANISMS.get(said.sources.get(field, ""))
        if source is Mechanism.DEFAULT:
            continue
        of(otherwise if source is None or source in _NOT_TAKEN else source).put_field(
            field, value, field
        )
    for name, value in said.tags.items():
        of(otherwise).put_tag(name, value, "a tag")
    claims: list[Claims] = [one for builder in builders.values() if (one := builder.build())]
    if key is not None:
        claims.append(claims_from_key(key))
    found = resolve(
        claims,
        api_key_id=_foreign_key_id(said) if key is None else key.api_key_id,
        default_environment=default_environment,
    )
    if said.conflicts or said.problems:
        found = replace(
            found,
            conflicts=(*found.conflicts, *said.conflicts)[:MAX_CONFLICTS],
            problems=(*found.problems, *said.problems)[: 2 * MAX_PROBLEMS],
        )
    return found
