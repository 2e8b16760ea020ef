"""Sections of a plain conversation, which most requests are: texts of system, user and assistant.

Whatever is not plain (parts, tools, names, other roles) fails to be read here, cheaply, and is left
to :mod:`tollbook.dialects.chat_layers`. Long conversations are not read message by message: their
first and last messages are, and what is between them is looked at in a few places. Where that shows
nothing but plain messages, all of it is history. A message of the system's in the middle of a long
conversation may so be taken for history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from tollbook.dialects.layer_allowance import may_read_whole
from tollbook.dialects.layer_weights import MESSAGE, weigh, weigh_within
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_layers import weigher
from tollbook.layers import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

# Members of an enum are looked up ten times as slowly as a module's names.
_PROMPT: Final = int(Section.SYSTEM)
_HISTORY: Final = int(Section.HISTORY)
_USER: Final = int(Section.USER_INPUT)
_LONG_BYTES: Final = 3072
_LOOKS: Final = 4
_ROLE: Final = b'"role"'
_FRAME: Final = weigh(b'{"role":"user","content":""},') - MESSAGE
"""What the JSON text of a message weighs beyond its frame in the prompt."""
_PLAIN_ROLES: Final = (b':"user"', b':"assistant"', b': "user"', b': "assistant"')
_SHAPE_MAX: Final = 32
_SHAPES_MAX: Final = 512
_shapes: Final[dict[tuple[str, ...], tuple[int, int]]] = {}
"""Roles of conversations that have been seen: there are few orders, and each comes often."""


Plain = tuple[list[int], bytes]
"""Section, weight, section, ...; and the text of the system messages at the start."""


class PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    """The only members and types that a plain message has."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


_decode = msgspec.json.Decoder(list[PlainMessage]).decode


def plain_sections(messages: bytes, *, has_tools: bool = False) -> Plain | None:
    """Return the sections of a plain conversation (the bytes of its list), None for any other.

    Args:
        messages: a JSON list.
        has_tools: there may be calls of tools somewhere, so that every message is read.
    """
    if weigher.get() is not weigh:
        return None
    try:
        if has_tools or len(messages) <= _LONG_BYTES:
            return _short(_decode(messages))
        return _long(messages)
    except DECODE_ERRORS:
        return None


def _short(found: Sequence[PlainMessage]) -> Plain | None:
    shape = tuple([each.role for each in found])
    ends = _shapes.get(shape)
    if ends is None:
        ends = _ends_of(shape)
        if len(shape) <= _SHAPE_MAX and len(_shapes) < _SHAPES_MAX:
            _shapes[shape] = ends
    first, last = ends
    if first < 0:
        return None
    prefix = b""
    runs: list[int] = []
    if first:
        text = found[0].content if first == 1 else "\n".join([one.content for one in found[:first]])
        prefix = text.encode()
        runs += (_PROMPT, weigh(prefix) + MESSAGE * first)
    if last > first:
        texts = "".join([one.content for one in found[first:last]])
        runs += (_HISTORY, weigh(texts.encode()) + MESSAGE * (last - first))
    count = len(shape) - last
    said = found[-1].content if count == 1 else "".join([one.content for one in found[last:]])
    runs += (_USER, weigh(said.encode()) + MESSAGE * count)
    return runs, prefix


def _whole(messages: bytes) -> Plain | None:
    """Read a long conversation message by message, if there is an allowance for it."""
    return _short(_decode(messages)) if may_read_whole() else None


def _ends_of(shape: tuple[str, ...]) -> tuple[int, int]:
    """Return where the system's messages end and where the user's last ones begin.

    The first is -1 for a conversation of another kind: begun for the assistant, or with
    instructions in between.
    """
    first, last = 0, len(shape)
    while first < last and shape[first] in _PROMPTS:
        first += 1
    while last > first and shape[last - 1] == "user":
        last -= 1
    is_other = last == len(shape) or not _PROMPTS.isdisjoint(shape[first:])
    return (-1, 0) if is_other else (first, last)


def _long(messages: bytes) -> Plain | None:
    """Read the first message and the last two, and look at some between them.

    That pieces were cut out where messages begin and end is sure, since they can be decoded: inside
    a text every quote is escaped.
    """
    second = messages.find(_ROLE, messages.find(_ROLE) + len(_ROLE))
    end = messages.rfind(b"}", 0, second) + 1
    last = messages.rfind(_ROLE)
    before = messages.rfind(_ROLE, 0, last)
    start = messages.rfind(b"{", 0, before)
    if not 0 < end <= start:
        return _whole(messages)
    head = _decode(messages[:end] + b"]")
    tail = _decode(b"[" + messages[start:])
    if len(head) != 1 or [one.role for one in tail] != _TURN:
        return _whole(messages)
    step = (start - end) // (_LOOKS + 1)
    if step == 0:
        return _whole(messages)
    per_message = 0.0
    for at in range(end + step, start - step + 1, step):
        role = messages.find(_ROLE, at)
        if not messages.startswith(_PLAIN_ROLES, role + len(_ROLE)):
            return _whole(messages)
        per_message += 1 / (messages.find(_ROLE, role + 7) - role)
    count = int((start - end) * per_message / _LOOKS)
    prefix = head[0].content.encode()
    between = max(1, weigh_within(messages, end, start) - count * _FRAME)
    between += weigh(tail[0].content.encode()) + MESSAGE
    said = weigh(tail[1].content.encode()) + MESSAGE
    first = weigh(prefix) + MESSAGE
    if head[0].role in _PROMPTS:
        return [_PROMPT, first, _HISTORY, between, _USER, said], prefix
    return [_HISTORY, first + between, _USER, said], b""


_PROMPTS: Final = frozenset({"system", "developer"})
_TURN: Final = ["assistant", "user"]
