"""All identity that the headers of one request carry, by mechanism in order of trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.identity.baggage import read_baggage
from tollbook.identity.claims import Claims, Mechanism
from tollbook.identity.names import field_named
from tollbook.identity.values import ClaimsBuilder
from tollbook.identity.vendors import header_text, read_helicone, read_litellm, read_portkey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PREFIXES: Final = (b"x-tollbook-", b"x-portkey-", b"helicone-", b"x-litellm-", b"baggage")
_TAG: Final = b"x-tollbook-tag-"
_OWN: Final = len(b"x-tollbook-")
_LAYERS: Final = b"x-tollbook-layers"
"""Says what the request consists of, not whose it is (:mod:`tollbook.dialects.layer_marks`)."""


def claims_from_headers(headers: Sequence[tuple[bytes, bytes]]) -> tuple[Claims, ...]:
    """Return what the headers say about the owner, one Claims for each carrier that said something.

    Args:
        headers: names in lower case with their values, in the order received.

    Returns:
        Claims in the order of :class:`Mechanism`; empty for a request without identity headers.
        Never raises: what cannot be used is in ``problems``.
    """
    found = [header for header in headers if header[0].startswith(_PREFIXES)]
    if not found:
        return ()
    builders: dict[Mechanism, ClaimsBuilder] = {}
    baggage = [value for name, value in found if name == b"baggage"]
    if baggage:
        builder = builders[Mechanism.BAGGAGE] = ClaimsBuilder(Mechanism.BAGGAGE)
        read_baggage(builder, baggage)
    if len(baggage) < len(found):
        for mechanism, prefix, read in _READERS:
            for name, value in found:
                if name.startswith(prefix):
                    if mechanism not in builders:
                        builders[mechanism] = ClaimsBuilder(mechanism)
                    read(builders[mechanism], name, value)
    claims = (builder.build() for builder in builders.values())
    return tuple([claim for claim in claims if claim is not None])


def _read_own(builder: ClaimsBuilder, name: bytes, value: bytes) -> None:
    if name == _LAYERS:
        return
    where = name.decode("latin-1")[:96]
    text = header_text(builder, value, where)
    if text is None:
        return
    if name.startswith(_TAG):
        builder.put_tag(name[len(_TAG) :].decode("latin-1"), text, where)
        return
    field = field_named(name[_OWN:].decode("latin-1"))
    if field is None:
        builder.problem(f"{where} is not an identity header")
    else:
        builder.put_field(field, text, where)


_READERS: Final[
    tuple[tuple[Mechanism, bytes, Callable[[ClaimsBuilder, bytes, bytes], None]], ...]
] = (
    (Mechanism.TOLLBOOK_HEADER, b"x-tollbook-", _read_own),
    (Mechanism.PORTKEY, b"x-portkey-", read_portkey),
    (Mechanism.HELICONE, b"helicone-", read_helicone),
    (Mechanism.LITELLM, b"x-litellm-", read_litellm),
)
