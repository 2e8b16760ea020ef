"""What request bodies of all dialects have in common: text length, asking for usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Shape = TypeVar("Shape", bound=Struct)

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_MODEL_CHARS: Final = 256
MAX_TOKENS: Final = 2**31 - 1
_SHORT_TEXT_BYTES: Final = 256
_SAMPLE_EVERY_BYTES: Final = 4096
_SAMPLE_BYTES: Final = 160
_SAMPLES_MAX: Final = 8

_INCLUDE_USAGE: Final = b'"stream_options":{"include_usage":true},'
_BINARY_MARKS: Final = (b";base64,", b'"data":"', b'"data": "', b'"file_data":"')
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def text_length(parts: Iterable[bytes | Raw]) -> int:
    r"""Return the length of JSON parts as the basis of a token estimate.

    Counted are the bytes of the JSON text as sent (messages with their roles and tool definitions
    are billed as text too), where an escape such as ``\u4e2d`` counts as the three bytes it stands
    for in UTF-8, without base64 data: an image is not billed by its length. Whether there are
    escapes or base64 at all is told from a sample every four kilobytes, or every eighth of the
    text, since a full search of a long prompt would cost more than all the rest of reading it.
    """
    total = 0
    for part in filter(None, parts):
        raw = bytes(part)
        if raw == b"null":
            continue
        size = len(raw)
        total += size
        has_escapes = has_binary = False
        step = _SAMPLE_EVERY_BYTES
        if size > step * _SAMPLES_MAX:
            step = size // _SAMPLES_MAX
        for at in range(0, max(1, size - _SAMPLE_BYTES), step):
            sample = raw[at : at + _SAMPLE_BYTES]
            if b"\\u" in sample:
                has_escapes = True
            if b" " not in sample and b'"' not in sample:
                has_binary = True
        if has_escapes:
            total -= 3 * raw.count(b"\\u")
        if has_binary:
            total -= _base64_length(raw)
    return total


def _base64_length(raw: bytes) -> int:
    total = 0
    for mark in _BINARY_MARKS:
        at = raw.find(mark)
        while at >= 0:
            start = at + len(mark)
            end = raw.find(b'"', start)
            if end < 0:
                break
            if mark == b";base64," or end - start > _SHORT_TEXT_BYTES:
                total += end - start
            at = raw.find(mark, end)
    return total


def members_of(raw: bytes | Raw) -> dict[str, Raw] | None:
    """Return the members of a JSON object undecoded, in order; None if it is not an object."""
    try:
        return _decode_members(raw)
    except DECODE_ERRORS:
        return None


def any_of(raw: Raw) -> Any:
    """Return a decoded JSON value; None for one that is missing or cannot be decoded."""
    try:
        return _decode_any(raw) if raw else None
    except DECODE_ERRORS:
        return None


class BodyReader(Generic[Shape]):
    """Reads request bodies of one API, of documented types or not.

    Args:
        shape: a struct whose members all have defaults.
        typed: those of its members that are not kept raw, with the one type each is used with.
    """

    def __init__(self, shape: type[Shape], typed: Mapping[str, type]) -> None:
        self._shape = shape
        self._typed = typed
        self._decode = msgspec.json.Decoder(shape).decode

    def read(self, body: bytes) -> Shape | None:
        """Return what a body says; None for one that is not a JSON object. Never raises."""
        try:
            return self._decode(body)
        except msgspec.ValidationError:
            return self._loosely(body)
        except DECODE_ERRORS:
            mended = without_lone_surrogates(body)
            return None if mended is None else self.read(mended)

    def _loosely(self, body: bytes) -> Shape | None:
        """Read a body whose members are not all of the documented types: use those that are."""
        members = members_of(body)
        if members is None:
            return None
        used: dict[str, Any] = {}
        for name in self._shape.__struct_fields__:
            if name in members:
                value: Any = members[name]
                if name in self._typed:
                    value = any_of(value)
                    if type(value) is not self._typed[name]:
                        continue
                used[name] = value
        return self._shape(**used)


def asked_for_usage(body: bytes, stream_options: Raw) -> bytes | None:
    """Return the body with ``stream_options.include_usage`` on; None if it need not or cannot be.

    A body without ``stream_options`` gets one member spliced in, all other bytes staying as they
    are. One that has them keeps its own options, order and values; only white space between
    top-level members may change.
    """
    if not stream_options:
        start = body.index(b"{") + 1
        return body[:start] + _INCLUDE_USAGE + body[start:]
    options: dict[str, Raw] | None = {}
    if bytes(stream_options) != b"null":
        options = members_of(stream_options)
    members = members_of(body)
    if options is None or members is None or options.get("include_usage") == Raw(b"true"):
        return None
    members["stream_options"] = Raw(_encode({**options, "include_usage": Raw(b"true")}))
    return _encode(members)


def with_model(body: bytes, model: str) -> bytes | None:
    """Return the body with another ``model``, None if it names none.

    All other members keep their order and bytes.
    """
    members = members_of(body)
    if members is None or "model" not in members:
        return None
    members["model"] = Raw(_encode(model))
    return _encode(members)


def without_litellm_metadata(body: bytes) -> bytes:
    """Return the body without ``litellm_metadata``.

    It is LiteLLM's own and says who the caller's customers are; the providers refuse a request
    that has it. All other members keep their order and bytes.
    """
    members = members_of(body)
    if members is None or members.pop("litellm_metadata", None) is None:
        return body
    return _encode(members)


def as_model(value: object) -> str | None:
    """Return a model name of sane length, or None."""
    if isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARS and value.isprintable():
        return value
    return None


def as_count(value: object) -> int | None:
    """Return a positive number of tokens that a request asks for, or None."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TOKENS:
        return value
    return None
