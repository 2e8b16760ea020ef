"""Built-in tools of the Responses API: what their fees are counted from where usage is silent.

``tool_usage`` beside the usage counts searches and image tokens, but not every answer has it; the
output items show each call (OpenAI, Pricing, Built-in tools):

- ``web_search_call``: one fee for each search; opening and reading pages found is free ("Search
  actions incur a tool call cost", https://developers.openai.com/api/docs/guides/tools-web-search).
  The tool's older version, ``web_search_preview``, costs more with models that do not reason.
- ``file_search_call``: one fee each.
- ``code_interpreter_call``: one session for each container, however often code ran in it.
- ``image_generation_call``: tokens of an image model, by size and quality where they are not told.
- ``computer_call``: tokens only.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.answer_json import short_text
from tollbook.dialects.openai_shape import Seen, SeenBeside

_MARKS: Final = (b'search_call"', b'interpreter_call"', b'image_generation_call"')
_FEES: Final = frozenset({
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
})  # fmt: skip
TOLLBOOK_SEEN: Final = b'{"tollbook_seen"'
"""How the object that is kept beside the usage begins."""
_FREE_ACTIONS: Final = frozenset({"open_page", "find_in_page", "find"})
DEFAULT_IMAGE_MODEL: Final = "gpt-image-1"
WEB_SEARCH_PREVIEW: Final = "web_search_preview"
_SIDES: Final = {"1024x1024": 0, "1024x1536": 1, "1536x1024": 2}
_IMAGE_TOKENS: Final = {
    "low": (272, 408, 400),
    "medium": (1056, 1584, 1568),
    "high": (4160, 6240, 6208),
}
"""Of square, portrait and landscape images (OpenAI, Image generation, Cost and latency)."""


class Item(Struct, gc=False):
    """An output item, as far as a fee depends on it."""

    type: Any = None
    status: Any = None
    action: Any = None
    container_id: Any = None
    size: Any = None
    quality: Any = None


class _Tool(Struct, gc=False):
    type: Any = None
    model: Any = None


class _Answer(Struct, gc=False):
    output: list[Item] | None = None
    tools: list[_Tool] | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def is_tool_call(item: Item) -> bool:
    """Whether a fee is due for an output item."""
    return isinstance(item.type, str) and item.type in _FEES


def image_tokens(size: object, quality: object) -> int:
    """Return the output tokens of one image of a GPT image model; unknown ones are as ``auto``."""
    by_side = _IMAGE_TOKENS.get(quality if isinstance(quality, str) else "", _IMAGE_TOKENS["high"])
    return by_side[_SIDES.get(size if isinstance(size, str) else "", 0)]


def tools_seen(document: bytes) -> tuple[bytes, ...]:
    """Return what a whole response shows of tool calls, as an object to be kept beside its usage.

    Empty for the usual response, which shows none. Never raises.
    """
    if not any(mark in document for mark in _MARKS):
        return ()
    try:
        read = _decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    model = next(
        (tool.model for tool in read.tools or () if tool.type == "image_generation"), None
    )  # fmt: skip
    is_preview = any(
        isinstance(tool.type, str) and tool.type.startswith(WEB_SEARCH_PREVIEW)
        for tool in read.tools or ()
    )
    return seen_of(read.output or [], short_text(model), is_preview=is_preview)


def seen_of(
    items: list[Item], image_model: str | None = None, *, is_preview: bool = False
) -> tuple[bytes, ...]:
    """Return the same of output items that were seen one by one."""
    web = files = images = tokens = 0
    containers: set[object] = set()
    for item in items:
        kind = item.type
        if kind == "web_search_call":
            action = item.action.get("type") if isinstance(item.action, dict) else None
            web += action not in _FREE_ACTIONS
        elif kind == "file_search_call":
            files += 1
        elif kind == "code_interpreter_call":
            containers.add(item.container_id if isinstance(item.container_id, str) else None)
        elif kind == "image_generation_call" and item.status != "failed":
            images += 1
            tokens += image_tokens(item.size, item.quality)
    if not (web or files or containers or images):
        return ()
    seen = Seen(
        web_searches=web or None,
        file_searches=files or None,
        code_containers=len(containers) or None,
        images=images or None,
        image_model=image_model if images else None,
        image_tokens=tokens or None,
        web_tool=WEB_SEARCH_PREVIEW if web and is_preview else None,
    )
    return (_encode(SeenBeside(seen)),)
