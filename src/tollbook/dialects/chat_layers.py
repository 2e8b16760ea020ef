"""Sections of a conversation: whose text each message is, and where the user's own turn begins.

The user's input is the user's text after the last message of the assistant that ended its turn.
One that calls a tool does not end it: an agent still works at what the user asked. All text before
is history; what tools were given and answered is of the tools wherever it stands; a last message of
the assistant's, which some APIs let it go on from, is history too.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from tollbook.dialects.layer_allowance import allowance, may_read_whole
from tollbook.dialects.layer_media import IMAGE
from tollbook.dialects.layer_shapes import (
    KIND_OF_ITEM,
    KIND_OF_ROLE,
    Kind,
    Turn,
    decode_list,
    decode_turn,
    decode_turns,
)
from tollbook.dialects.layer_weights import MESSAGE, weigh, weigh_within
from tollbook.dialects.part_layers import (
    CALL,
    LIST,
    RESULTS,
    add_calls,
    add_content,
    add_parts,
)
from tollbook.dialects.plain_chat import plain_sections
from tollbook.dialects.request_body import DECODE_ERRORS, any_of
from tollbook.dialects.request_layers import EMPTY, EMPTY_BYTES, Runs, raw_bytes, weigher
from tollbook.dialects.sampled_layers import first_message, sample
from tollbook.layers import Section

# Members of an enum are looked up ten times as slowly as a module's names.
_SYSTEM: Final = int(Kind.SYSTEM)
_USER: Final = int(Kind.USER)
_ASSISTANT: Final = int(Kind.ASSISTANT)
_CALLS: Final = int(Kind.CALLS)
_TOOL: Final = int(Kind.TOOL)
_OTHER: Final = int(Kind.OTHER)
PROMPT: Final = int(Section.SYSTEM)
DEFINITIONS: Final = int(Section.TOOL_DEFINITIONS)
HISTORY: Final = int(Section.HISTORY)
USER_INPUT: Final = int(Section.USER_INPUT)
OTHER: Final = int(Section.OTHER)
_SECTION_OF: Final = (
    PROMPT, HISTORY, HISTORY, HISTORY, RESULTS, int(Section.RETRIEVED), int(Section.MEMORY), OTHER,
)  # fmt: skip
"""By kind; what the user says now is told by where it stands."""
_KINDS: Final[dict[str, int]] = {role: int(kind) for role, kind in KIND_OF_ROLE.items()}
_ITEMS: Final[dict[str, int]] = {item: int(kind) for item, kind in KIND_OF_ITEM.items()}


_CALL_MARKS: Final = (b'tool_use"', b'"toolUse"', b'"functionCall"', b'"function_call"')
"""What a list of parts with a call of a tool has in it; quotes within texts are escaped."""
_SHORT_BYTES: Final = 3072
"""Reading so much costs no more than sampling it."""
TURNS_MAX: Final = 512
"""Most messages that are all read."""
_HEAD: Final = 32
_TAIL: Final = 224
_GROUPS: Final = 64
"""Of four messages each (a question, a call, a result, an answer), out of all between."""


def add_conversation(runs: Runs, messages: bytes | Raw, *, has_tools: bool) -> None:
    """Add a list of messages, which may be a plain conversation."""
    text = bytes(messages)
    plain = None
    if len(text) <= _SHORT_BYTES or may_read_whole():
        plain = plain_sections(text, has_tools=has_tools)
    if plain is None:
        add_messages(runs, text)
        return
    sections, _, prefix = plain
    runs.extend(sections)
    if prefix:
        runs.prefix.append(prefix.encode())


def add_messages(runs: Runs, messages: bytes | Raw) -> None:
    """Add a JSON list of messages: all of it, or as much as there is an allowance for."""
    granted = allowance.get()
    if granted is None or granted.spare_ns > 0 or weigher.get() is not weigh:
        add_turns(runs, read_turns(messages))
        return
    text = bytes(messages)
    if granted.share_ns <= granted.reserve_ns:
        _add_unread(runs, text)
    elif len(text) <= _SHORT_BYTES or not _add_sample(runs, text):
        add_turns(runs, read_turns(messages))


def _add_sample(runs: Runs, text: bytes) -> bool:
    """Add a long conversation of which some messages stand for the others; False if it is none."""
    found = sample(text)
    if found is None:
        return False
    head, middle, tail, between_bytes, sampled_bytes = found
    begins = _user_turn([*head, *middle, *tail])
    _add(runs, head, 0, begins)
    between = Runs()
    _add(between, middle, len(head), begins)
    runs.append(between, {}, scale=between_bytes, by=sampled_bytes)
    _add(runs, tail, len(head) + len(middle), begins)
    return True


def _add_unread(runs: Runs, text: bytes) -> None:
    """Add a conversation that nobody looks at, but for the prefix: that is the same each time."""
    first = first_message(text)
    start = 0
    if first is not None and _KINDS.get(first.role) == _SYSTEM:
        _add(runs, [first], 0, 1)
        start = len(bytes(first.content))
    if len(text) - start > _SHORT_BYTES:
        runs.add_weight(OTHER, max(1, weigh_within(text, start, len(text))))
    else:
        runs.add(OTHER, text[start:])


def read_turns(messages: bytes | Raw) -> list[Turn]:
    """Return the messages of a conversation; those that are none of the known shape as nothing."""
    try:
        return decode_turns(messages)
    except DECODE_ERRORS:
        pass
    try:
        found = decode_list(messages)
    except DECODE_ERRORS:
        return []
    return [_read_turn(each) for each in found]


def _read_turn(message: Raw) -> Turn:
    try:
        return decode_turn(message)
    except DECODE_ERRORS:
        return Turn(content=message)


def add_turns(runs: Runs, turns: list[Turn]) -> None:
    """Add a conversation; of a very long one, some messages stand for the others."""
    begins = _user_turn(turns)
    if len(turns) <= TURNS_MAX:
        _add(runs, turns, 0, begins)
        return
    middle = turns[_HEAD:-_TAIL]
    groups = range(0, len(middle), 4)
    step = -(-len(groups) // _GROUPS)
    sampled: list[Turn] = []
    for start in groups[::step]:
        sampled += middle[start : start + 4]
    between = Runs()
    _add(between, sampled, _HEAD, len(turns))
    _add(runs, turns[:_HEAD], 0, begins)
    runs.append(between, {}, scale=len(middle), by=len(sampled))
    _add(runs, turns[-_TAIL:], len(turns) - _TAIL, begins)


def _add(runs: Runs, turns: list[Turn], first: int, begins: int) -> None:
    """Add messages, of which the first has this place; ``begins`` is where the user's turn is."""
    for at, turn in enumerate(turns, first):
        kind = _KINDS.get(turn.role)
        if kind is None:
            kind = _kind_of(turn)
        section = USER_INPUT if kind == _USER and at >= begins else _SECTION_OF[kind]
        content = bytes(turn.content or turn.parts)
        if len(content) <= EMPTY_BYTES and content in EMPTY:
            if turn.tool_calls:
                add_calls(runs, turn.tool_calls)
            if turn.type or turn.function_call or turn.message or _is_rare(turn):
                _add_rare(runs, turn, kind, section)
            runs.frame(section, MESSAGE)
            continue
        if content[0] == LIST:
            add_parts(runs, section, content)
            runs.frame(section, MESSAGE)
        else:
            runs.add(section, content, MESSAGE)
        if section == PROMPT and at == 0:
            runs.prefix.append(_prefix(content))
        if turn.tool_calls:
            add_calls(runs, turn.tool_calls)
        if turn.function_call or _is_rare(turn):
            _add_rare(runs, turn, kind, section)


def _is_rare(turn: Turn) -> bool:
    """Whether a message has what few have."""
    return bool(turn.reasoning_content or turn.images or turn.tool_plan or turn.tool_results)


def _prefix(content: bytes) -> bytes:
    """Return the text of the first message as a plain conversation has it."""
    text = any_of(Raw(content))
    return text.encode(errors="replace") if isinstance(text, str) else content


def _kind_of(turn: Turn) -> int:
    """Return what a message without a known role is."""
    if turn.type:
        return _ITEMS.get(turn.type, _TOOL)
    return _USER if turn.parts and not turn.role else _OTHER  # Gemini


def _user_turn(turns: list[Turn]) -> int:
    """Return where the user's own turn begins."""
    at = len(turns)
    while at and _KINDS.get(turns[at - 1].role) == _ASSISTANT and not _calls(turns[at - 1]):
        at -= 1  # begun for the assistant, to be continued
    while at and (_KINDS.get(turns[at - 1].role) != _ASSISTANT or _calls(turns[at - 1])):
        at -= 1
    return at


def _calls(turn: Turn) -> bool:
    """Whether a message of the assistant calls a tool, so that its turn goes on."""
    if turn.tool_calls:
        return bool(raw_bytes(turn.tool_calls))
    if turn.function_call:
        return bool(raw_bytes(turn.function_call))
    content = bytes(turn.content or turn.parts)
    if not content or content[0] != LIST:
        return False
    one, two, three, four = _CALL_MARKS
    return one in content or two in content or three in content or four in content


def _add_rare(runs: Runs, turn: Turn, kind: int, section: int) -> None:
    """Add what few messages have, and items of a Responses input, which have no content."""
    if turn.function_call:
        runs.add(RESULTS, raw_bytes(turn.function_call), CALL)
    if turn.images:
        runs.add_weight(section, IMAGE * max(1, len(_listed(turn.images))))
    for raw, where in (
        (turn.reasoning_content, section),
        (turn.tool_plan, HISTORY),
        (turn.message, section),
        (turn.tool_results, RESULTS),
    ):
        if raw:
            runs.add(where, raw_bytes(raw))
    if turn.type:
        _add_item(runs, turn, HISTORY if kind == _CALLS else section)


def _add_item(runs: Runs, turn: Turn, section: int) -> None:
    """Add an item of a Responses input."""
    for raw in (turn.summary, turn.output, turn.results):
        if raw:
            add_content(runs, section, raw)
    for raw in (turn.name, turn.arguments, turn.input, turn.action, turn.code, turn.tools):
        if raw:
            runs.add(section, raw_bytes(raw))


def _listed(raw: Raw) -> list[Raw]:
    try:
        return decode_list(raw)
    except DECODE_ERRORS:
        return []
