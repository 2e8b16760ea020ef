"""Token counts as providers send them: decoding, merging several objects, loose types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

if TYPE_CHECKING:
    from tollbook.dialects.base import Part  # noqa: TC004 -- a struct's fields are not evaluated
    from tollbook.usage import Kinds  # noqa: TC004 -- as above

MAX_COUNT: Final = 10**12
"""A greater count is no count: it would cost more than any provider ever billed."""

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]

S = TypeVar("S", bound=Struct)


class Reading(Struct, frozen=True, gc=False):
    """What the usage objects of one response say."""

    kinds: Kinds | None
    """None: they hold no count of tokens at all."""
    problems: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    """``input`` or ``output`` where there was no usable count; the kinds have zeros there."""
    tier: str | None = None
    """As in :class:`tollbook.dialects.base.Measured`, like what follows."""
    region: str | None = None
    further: tuple[Part, ...] = ()
    reported_cost_pico: int | None = None


def merge(earlier: S, later: S, *, zero_erases: bool) -> S:
    """Put what ``later`` says over ``earlier``, field by field, and return ``earlier``.

    What is null or missing later says nothing. Whether a later zero replaces a count is the
    dialect's to say: some servers send the input in the first chunk only, and zeros after it.
    """
    for name, new in zip(later.__struct_fields__, astuple(later), strict=True):
        if new is None:
            continue
        old = getattr(earlier, name)
        if isinstance(new, Struct) and isinstance(old, Struct):
            merge(old, new, zero_erases=zero_erases)
        elif new != 0 or old is None or zero_erases:
            setattr(earlier, name, new)
    return earlier


def decode_loosely(raw: bytes, shape: type[S]) -> tuple[S | None, tuple[str, ...]]:
    """Read a usage object that is not of the documented types, using the members that are.

    Returns:
        The object (None if it is not a JSON object at all) and which members were not used.
    """
    try:
        members: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = None
    if not isinstance(members, dict):
        return None, ("a usage object is not a JSON object",)
    problems: list[str] = []
    usable = _usable(members, shape, "", problems)
    return msgspec.convert(usable, shape), tuple(problems)


def _usable(
    members: dict[str, Any], shape: type[Struct], path: str, problems: list[str]
) -> dict[str, Any]:
    usable: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        value = members.get(field.name)
        if value is None:
            continue
        below = _struct_in(field.type)
        if below is not None and isinstance(value, dict):
            usable[field.name] = _usable(value, below, f"{path}{field.name}.", problems)
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            usable[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            problems.append(f"usage {path}{field.name} is not a count; it was not used")
    return usable


def _struct_in(annotation: Any) -> type[Struct] | None:
    for part in getattr(annotation, "__args__", ()):
        if isinstance(part, type) and issubclass(part, Struct):
            return part
    return None
