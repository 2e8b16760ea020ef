"""The provider's usage objects as one text, and back, byte for byte.

The text is a JSON array of the objects as they came. An object that is not JSON, or not UTF-8, is
kept as a JSON string of its bytes (each byte the character of that number).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
_OBJECT_START, _OBJECT_END, _STRING_START = b"{", b"}", 0x22


def usage_text(usage: Sequence[bytes]) -> str:
    """Return usage objects as the text of a JSON array."""
    text = b"[" + b",".join(usage) + b"]"
    try:
        parts = _decode_raw(text)
        # With equal lengths, and one comma between, each part is the object at its place.
        if len(parts) == len(usage) and all(map(_same_size, parts, usage)) and not _has_text(usage):
            return text.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return "[" + ",".join(map(_one, usage)) + "]"


def usage_array(usages: Sequence[tuple[bytes, ...]]) -> Any:
    """Return the texts of many calls as an Arrow array, NULL for a call without usage objects."""
    objects = [part for usage in usages for part in usage]
    try:
        # Checked in one go: with equal lengths each part is the object at its place, and no
        # object borrowed a bracket from its neighbour.
        parts = _decode_raw(b"[" + b",".join(objects) + b"]")
        if list(map(len, parts)) == list(map(len, objects)) and not _has_text(objects):
            texts = [b"[" + b",".join(usage) + b"]" if usage else None for usage in usages]
            return pa.array(texts, pa.string())  # which checks that they are UTF-8
    except (msgspec.MsgspecError, pa.ArrowInvalid, RecursionError):
        pass
    return pa.array([usage_text(usage) if usage else None for usage in usages], pa.string())


def usage_objects(text: str | None) -> tuple[bytes, ...]:
    """Return the usage objects of a stored text; none for NULL.

    Raises:
        ValueError: the text is not what :func:`usage_text` writes.
    """
    if text is None:
        return ()
    try:
        return tuple(
            part
            if part[0] != _STRING_START
            else msgspec.json.decode(part, type=str).encode("latin-1")
            for part in _split(text.encode())
        )
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError("usage_raw is not a JSON array of usage objects") from error


def _split(text: bytes) -> tuple[bytes, ...]:
    return tuple(bytes(part) for part in _decode_raw(text))


def _same_size(part: msgspec.Raw, usage: bytes) -> bool:
    return len(part) == len(usage)


def _has_text(objects: Sequence[bytes]) -> bool:
    """Whether one is a JSON string itself, and would be taken for bytes that were none."""
    return any(one.startswith(b'"') for one in objects)


def _one(usage: bytes) -> str:
    if usage.startswith(_OBJECT_START) and usage.endswith(_OBJECT_END):
        try:
            if _split(b"[" + usage + b"]") == (usage,):
                return usage.decode()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    return msgspec.json.encode(usage.decode("latin-1")).decode()
