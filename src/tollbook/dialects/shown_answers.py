"""Answers that are shown again, by a request that generates nothing.

A response in the background is answered before it has usage (OpenAI, Background mode; Gemini,
Interactions); whoever asks for it later sees the usage. Only what cannot change any more is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.answer_json import json_text
from tollbook.dialects.base import Metered
from tollbook.dialects.gemini_interactions import InteractionStreamMeter, read_interaction
from tollbook.dialects.openai_plain import usage_of_response
from tollbook.dialects.openai_responses import ResponsesStreamMeter
from tollbook.dialects.plain_meter import PlainMeter, UndeclaredMeter
from tollbook.dialects.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.dialects.base import ResponseMeter

_UNFINISHED: Final = frozenset({"queued", "in_progress"})
"""Words of both APIs (OpenAI, Responses object; Gemini, Interaction) for what goes on."""


class _Answer(Struct, gc=False):
    status: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def shown_answer_meter(path: str) -> ResponseMeter:
    """Return a meter for the answer that a request for ``path`` shows, plain or as events."""
    if "/interactions/" in path:
        return UndeclaredMeter(_plain(read_interaction), InteractionStreamMeter())
    return UndeclaredMeter(_plain(usage_of_response), ResponsesStreamMeter())


def is_final(metered: Metered) -> bool:
    """Whether an answer that was shown has an id and a usage that stays as it is."""
    return bool(metered.usage) and metered.usage_complete and bool(metered.provider_response_id)


def _plain(read: Callable[[bytes], Metered]) -> PlainMeter:
    def read_finished(body: bytes) -> Metered:
        body = json_text(body)
        return read(body) if _is_finished(body) else Metered()

    return PlainMeter(read_finished, is_error=False)


def _is_finished(body: bytes) -> bool:
    try:
        status = _decode(body).status
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        return mended is not None and _is_finished(mended)
    # A stored chat completion has no status: it is whole.
    return not isinstance(status, str) or status not in _UNFINISHED
