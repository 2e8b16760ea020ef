"""What Tollbook's own SDK adds to a span beside the conventions, so that nothing is lost.

Names are those of :mod:`tollbook.sdk.sinks.otel_attributes`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from msgspec import Struct

from tollbook.call import Status
from tollbook.capture.otlp.spans import text_of
from tollbook.layers import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK: Final = "tollbook.dialect"
_STATUSES: Final = {one.value: one for one in Status}
_SECTIONS: Final = frozenset(int(one) for one in Section)
_MAX_LAYERS: Final = 256
_MAX_WEIGHT: Final = 2**40
_MAX_SITE_CHARS: Final = 256


class Own(Struct, frozen=True):
    """What only our own spans tell; all of it None for those of others."""

    call_id: bytes | None = None
    """The id that the SDK gave the call, under which it may have been sent by another way too."""
    status: Status | None = None
    is_complete: bool | None = None
    is_billable: bool | None = None
    """Whether the provider bills it; told where the usage is not complete."""
    input_chars: int = 0
    output_chars: int = 0
    output_events: int = 0
    call_site: str | None = None
    layers: tuple[int, ...] | None = None
    prefix_hash: str | None = None
    prefix_chars: int = 0


NOT_OWN: Final = Own()


def own_of(attributes: Mapping[str, Any]) -> Own:
    """Return what a span of our own SDK tells; what is not of its form is left out."""
    if MARK not in attributes:
        return NOT_OWN
    complete = attributes.get("tollbook.usage.complete")
    billable = attributes.get("tollbook.is_billable")
    site = text_of(attributes, "tollbook.call_site")
    prefix_hash = text_of(attributes, "tollbook.prefix.hash")
    return Own(
        call_id=_call_id(text_of(attributes, "tollbook.call.id")),
        status=_STATUSES.get(text_of(attributes, "tollbook.status") or ""),
        is_complete=complete if isinstance(complete, bool) else None,
        call_site=site if site and site.isprintable() and len(site) <= _MAX_SITE_CHARS else None,
        layers=_layers(attributes.get("tollbook.layers")),
        prefix_hash=prefix_hash if prefix_hash and len(prefix_hash) <= 64 else None,  # noqa: PLR2004 -- hex digits
        prefix_chars=_count(attributes, "tollbook.prefix.chars"),
        is_billable=billable if isinstance(billable, bool) else None,
        input_chars=_count(attributes, "tollbook.input.chars"),
        output_chars=_count(attributes, "tollbook.output.chars"),
        output_events=_count(attributes, "tollbook.output.events"),
    )


def _call_id(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def _layers(value: object) -> tuple[int, ...] | None:
    """Return sections and weights, in turn; None unless all of them are."""
    if not isinstance(value, list) or not value or len(value) > _MAX_LAYERS or len(value) % 2:
        return None
    if not all(_is_weight(one) for one in value) or not _SECTIONS.issuperset(value[::2]):
        return None
    return tuple(value)


def _count(attributes: Mapping[str, Any], name: str) -> int:
    value = attributes.get(name)
    return value if _is_weight(value) else 0


def _is_weight(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_WEIGHT
