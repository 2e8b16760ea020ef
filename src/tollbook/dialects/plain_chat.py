"""Sections of a plain conversation, which most requests are: texts of system, user and assistant.

Whatever is not plain (parts, tools, names, other roles) fails to be read here, cheaply, and is left
to :mod:`tollbook.dialects.chat_layers`. Long conversations are not read message by message: their
first and last messages are, and what is between them is looked at in a few places. Where that shows
nothing but plain messages, all of it is history. A message of the system's in the middle of a long
conversation may so be taken for history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.dialects.layer_allowance import may_read_whole
from tollbook.dialects.layer_weights import MESSAGE, weigh, weigh_within
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_layers import fingerprint, weigher
from tollbook.layers import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

# Members of an enum are looked up ten times as slowly as a module's names.
_PROMPT: Final = int(Section.SYSTEM)
_HISTORY: Final = int(Section.HISTORY)
_USER: Final = int(Section.USER_INPUT)
_LONG_BYTES: Final = 3072
_LOOKS: Final = 3
_ROLE: Final = b'"role"'
_FRAME: Final = weigh(b'{"role":"user","content":""},') - MESSAGE
"""What the JSON text of a message weighs beyond its frame in the prompt."""
_PLAIN_ROLES: Final = (b':"user"', b':"assistant"', b': "user"', b': "assistant"')
_ASSISTANT: Final = (_PLAIN_ROLES[1], _PLAIN_ROLES[3])
_PROMPT_CHARS_MAX: Final = 16_384
_PROMPTS_MAX: Final = 1024
prompts_seen: Final[dict[int, Prompt]] = {}
"""By hash, so that no text is kept: the hash is of 64 bits and keyed anew in each process."""


class Prompt(NamedTuple):
    """The text of the system messages at the start."""

    weight: int
    fingerprint: str | None
    size_bytes: int


NO_PROMPT: Final = Prompt(0, None, 0)
Plain = tuple[tuple[int, ...], Prompt, str]
"""Section, weight, section, ...; the system's messages at the start, and their text."""


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


def prompt_of(text: str | bytes) -> Prompt:
    """Return what a system text weighs; it is the same in most requests, so it is remembered."""
    known = prompts_seen.get(hash(text))
    if known is None:
        prefix = text.encode() if isinstance(text, str) else text
        known = Prompt(weigh(prefix) + MESSAGE, fingerprint(prefix), len(prefix))
        if len(text) <= _PROMPT_CHARS_MAX:
            if len(prompts_seen) >= _PROMPTS_MAX:
                prompts_seen.clear()
            prompts_seen[hash(text)] = known
    return known


def _short(found: Sequence[PlainMessage]) -> Plain | None:
    """Return the sections of all messages; None for what was begun for the assistant.

    One pass, and few calls: as much as this takes, it takes of every request.
    """
    system = said = before = ""
    systems = saids = befores = 0
    for one in found:
        role = one.role
        if role == "user":
            said = said + one.content if saids else one.content
            saids += 1
        elif role == "assistant":
            before += said + one.content
            befores += saids + 1
            said = ""
            saids = 0
        elif befores or saids:
            return None  # instructions in between
        else:
            system = f"{system}\n{one.content}" if systems else one.content
            systems += 1
    if not saids:
        return None
    user = weigh(said.encode()) + MESSAGE * saids
    if not systems:
        if not befores:
            return (_USER, user), NO_PROMPT, ""
        return (_HISTORY, weigh(before.encode()) + MESSAGE * befores, _USER, user), NO_PROMPT, ""
    prompt = prompts_seen.get(hash(system)) or prompt_of(system)
    weight = prompt.weight + MESSAGE * (systems - 1)
    if not befores:
        return (_PROMPT, weight, _USER, user), prompt, system
    history = weigh(before.encode()) + MESSAGE * befores
    return (_PROMPT, weight, _HISTORY, history, _USER, user), prompt, system


def _whole(messages: bytes) -> Plain | None:
    """Read a long conversation message by message, if there is an allowance for it."""
    return _short(_decode(messages)) if may_read_whole() else None


def _long(messages: bytes) -> Plain | None:
    """Read the first message and the last, and look at some between them.

    That pieces were cut out where messages begin and end is sure, since they can be decoded: inside
    a text every quote is escaped.
    """
    find, starts = messages.find, messages.startswith
    second = find(_ROLE, find(_ROLE) + 6)
    end = messages.rfind(b"}", 0, second) + 1
    last = messages.rfind(_ROLE)
    start = messages.rfind(b"{", 0, last)
    if not 0 < end <= start:
        return _whole(messages)
    head = _decode(messages[:end] + b"]")
    tail = _decode(b"[" + messages[start:])
    before = messages.rfind(_ROLE, end, start)
    if (
        len(head) != 1
        or len(tail) != 1
        or tail[0].role != "user"
        or not starts(_ASSISTANT, before + 6)
    ):
        return _whole(messages)
    size = start - end
    step = size // (_LOOKS + 1)
    per_message = 0.0
    for at in (end + step, end + 2 * step, end + 3 * step):
        role = find(_ROLE, at)
        if not starts(_PLAIN_ROLES, role + 6):
            return _whole(messages)
        per_message += 1 / (find(_ROLE, role + 6) - role)
    between = weigh_within(messages, end, start) - int(size * per_message / _LOOKS) * _FRAME
    if between <= 0:
        between = 1
    said = weigh(tail[0].content.encode()) + MESSAGE
    text = head[0].content
    prompt = prompt_of(text)
    if head[0].role in _PROMPTS:
        return (_PROMPT, prompt.weight, _HISTORY, between, _USER, said), prompt, text
    return (_HISTORY, prompt.weight + between, _USER, said), NO_PROMPT, ""


_PROMPTS: Final = frozenset({"system", "developer"})
