"""Collects the sections of one request, in the order in which the provider reads them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from zlib import crc32

from msgspec import Struct

from tollbook.dialects.layer_weights import weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from msgspec import Raw

RUNS_MAX: Final = 64
"""More than this many changes of section are told in larger steps."""

EMPTY: Final = frozenset({b"", b"null", b'""', b"[]", b"{}"})
EMPTY_BYTES: Final = 4


weigher: Final[ContextVar[Callable[[bytes], int]]] = ContextVar("weigher", default=weigh)
"""What weighs a text; only :mod:`tollbook.dialects.counted_layers` puts a tokenizer here."""


class Layered(Struct, frozen=True, gc=False):
    """What a request consists of."""

    layers: tuple[int, ...] | None = None
    """Section, weight, section, ...; None where the request does not tell."""
    prefix_hash: str | None = None
    """Fingerprint of system text and tools, as they were sent; None where there are none."""
    prefix_chars: int = 0
    """Bytes of them."""


UNKNOWN: Final = Layered()


class Runs:
    """Sections as they are found; texts of one section that follow each other are one run."""

    __slots__ = ("_extra", "_pieces", "_runs", "_section", "_weigh", "prefix")

    def __init__(self) -> None:
        self._runs: list[int] = []
        self._section = -1
        self._pieces: list[bytes | Raw] = []
        self._extra = 0
        self._weigh = weigher.get()
        self.prefix: list[bytes] = []
        """Texts that stand at the start of every such request."""

    def add(self, section: int, text: bytes | Raw, extra: int = 0) -> None:
        """Add JSON text, and weight of what it does not show."""
        if section != self._section:
            if self._pieces or self._extra:
                self._end()
            self._section = section
        self._pieces.append(text)
        self._extra += extra

    def add_weight(self, section: int, weight: int) -> None:
        """Add weight of what is no text: an image, a file."""
        if section != self._section:
            if self._pieces or self._extra:
                self._end()
            self._section = section
        self._extra += weight

    def frame(self, section: int, weight: int) -> None:
        """Add what frames a message to the section of its last part; to its own, if it is empty."""
        if self._section < 0:
            self._section = section
        self._extra += weight

    def append(
        self, other: Runs, instead: Mapping[int, int], *, scale: int = 1, by: int = 1
    ) -> None:
        """Add another collection, some of its sections as others, its weights times scale/by."""
        layers = other.done().layers or ()
        for at in range(0, len(layers), 2):
            section = layers[at]
            weight = max(1, layers[at + 1] * scale // by)
            self.add_weight(instead.get(section, section), weight)

    def add_share(self, section: int, text: bytes, percent: int) -> None:
        """Add JSON text of which the provider writes so much into the prompt."""
        self.add_weight(section, max(1, self._weigh(text) * percent // 100))

    def _end(self) -> None:
        pieces = self._pieces
        weight = self._extra
        if pieces:
            if self._weigh is weigh:
                weight += weigh(b"".join(pieces))
            else:
                weight += sum([self._weigh(bytes(piece)) for piece in pieces])
        if weight > 0:
            self._runs += (self._section, weight)
        self._pieces = []
        self._extra = 0

    def extend(self, runs: Sequence[int]) -> None:
        """Add sections with their weights."""
        for at in range(0, len(runs), 2):
            self.add_weight(runs[at], runs[at + 1])

    def done(self) -> Layered:
        """Return what was found."""
        if self._pieces or self._extra:
            self._end()
        prefix = self.prefix
        return layered(self._runs, prefix[0] if len(prefix) == 1 else b"".join(prefix))


def layered(runs: list[int], prefix: bytes) -> Layered:
    """Return sections and the fingerprint of the texts at the start."""
    if not runs:
        return UNKNOWN
    if len(runs) > 2 * RUNS_MAX:
        runs = merged(runs)
    if not prefix:
        return Layered(tuple(runs))
    return Layered(tuple(runs), fingerprint(prefix), len(prefix))


def fingerprint(prefix: bytes) -> str:
    """Return what tells one prefix from another: a checksum and the length, in hex.

    A request costs as little as this that a cryptographic hash would be felt. Two prefixes of the
    same length have the same fingerprint once in four thousand million.
    """
    return (crc32(prefix) << 32 | len(prefix)).to_bytes(8, "big").hex()


def merged(runs: list[int]) -> list[int]:
    """Return at most :data:`RUNS_MAX` runs: neighbours are taken together, section by section.

    The sum of every section stays; where a section stands is known to within its group.
    """
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    group = 4
    while True:
        out: list[int] = []
        for start in range(0, len(pairs), group):
            sums: dict[int, int] = {}
            for section, weight in pairs[start : start + group]:
                sums[section] = sums.get(section, 0) + weight
            for section, weight in sums.items():
                if out and out[-2] == section:
                    out[-1] += weight
                else:
                    out += (section, weight)
        if len(out) <= 2 * RUNS_MAX:
            return out
        group *= 2


def raw_bytes(raw: bytes | Raw | None) -> bytes:
    """Return a JSON value as sent; nothing for one that is missing, null or empty."""
    if not raw:
        return b""
    text = bytes(raw)
    return b"" if is_empty(text) else text


def is_empty(text: bytes) -> bool:
    """Whether a JSON value is as good as missing."""
    return len(text) <= EMPTY_BYTES and text in EMPTY
