"""Which model stands in for a large one in the right-sizing report, if nobody names another.

Each is the smaller model of the same provider's line-up that its documentation offers for tasks
that need less (OpenAI, "Models"; Anthropic, "Models overview"; Google, "Gemini models"; Mistral,
"Models overview"; Cohere, "Models"), as of November 2026. Whether it does the task well enough is
for an evaluation to say, not for a price.
"""

from __future__ import annotations

import re
from typing import Final

_SMALLER: Final = tuple(
    (re.compile(pattern), smaller)
    for pattern, smaller in (
        (r"gpt-5(\.\d+)?(-pro|-chat|-codex)?(-\d{4}.*|-latest)?", "gpt-5-mini"),
        (r"gpt-4\.1(-\d{4}.*)?", "gpt-4.1-mini"),
        (r"(chatgpt-)?gpt-4o(-\d{4}.*|-latest)?", "gpt-4o-mini"),
        (r"gpt-4(-turbo|-32k)?(-\d{4}.*|-preview)?", "gpt-4o-mini"),
        (r"o[13](-pro|-preview)?(-\d{4}.*)?", "o4-mini"),
        (r"claude-(3-|3-5-|3-7-)?(opus|sonnet).*", "claude-haiku-4-5"),
        (r"((?:[a-z]{2,6}\.)?anthropic\.)claude-.*(opus|sonnet).*",
         r"\1claude-haiku-4-5-20251001-v1:0"),
        (r"gemini-2\.5-pro.*", "gemini-2.5-flash"),
        (r"gemini-2\.5-flash(?!-lite).*", "gemini-2.5-flash-lite"),
        (r"gemini-3(\.\d+)?-pro.*", "gemini-3-flash-preview"),
        (r"mistral-(large|medium).*", "mistral-small-latest"),
        (r"command-(a|r-plus).*", "command-r7b-12-2024"),
    )
)  # fmt: skip


def smaller_model(model: str) -> str | None:
    """Return the smaller model that a large one is compared with, None where none is named."""
    for pattern, smaller in _SMALLER:
        match = pattern.fullmatch(model)
        if match is not None:
            return match.expand(smaller)
    return None
