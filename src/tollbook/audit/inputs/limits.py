"""How much of an input is held at once."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MIB: Final = 1024 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of reading; what is beyond one becomes a Trouble, not an error."""

    value_max_bytes: int = 4 * MIB
    """A JSON value up to this is read whole; a larger one element by element of its lists."""
    listed_max_bytes: int = 64 * MIB
    """The same for one element of a list, such as a trace of Jaeger or a row with prompts."""
    message_max_bytes: int = 64 * MIB
    """Of one Protobuf message; larger ones are of no exporter."""
    expanded_max_bytes: int = 1 << 40
    """Of one input after decompression."""
    files_max: int = 100_000
    """In one folder or archive."""


DEFAULT: Final = Limits()
