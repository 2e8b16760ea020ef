"""From how many tokens on providers cache a prefix, and for how long.

Sources, read in November 2026:

- Anthropic, "Prompt caching", cache limitations: 4,096 tokens for Opus 4.5 and later and Haiku 4.5;
  2,048 for Haiku 3 and 3.5 and for Sonnet 4.6, whose page said 1,024 at first; 1,024 for other
  Sonnet and Opus. An entry lives 5 minutes from its last use. On Amazon Bedrock the same models.
- OpenAI, "Prompt caching": 1,024 tokens; entries are held for 5 to 10 minutes without use.
- Google, "Context caching", implicit caching: 4,096 tokens for Gemini 3 and later, 2,048 for
  Gemini 2.5. How long is not said.

Five minutes is what all of them hold at least, so a repeat within five minutes counts.
"""

from __future__ import annotations

import re
from typing import Final

LIFETIME_S: Final = 300
_MINIMUMS: Final = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (r"(.*[./])?claude-(opus-4-[5-9]|opus-[5-9]|haiku-4|haiku-[5-9]).*", 4096),
        (r"(.*[./])?claude-(sonnet-4-6|3-haiku|3-5-haiku|haiku-3).*", 2048),
        (r"(.*[./])?claude-.*", 1024),
        (r"(.*/)?(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|chatgpt-4o|o[1-9]|codex).*", 1024),
        (r"(.*/)?gemini-2\.5-.*", 2048),
        (r"(.*/)?gemini-[3-9].*", 4096),
    )
)


def prefix_tokens_min(model: str) -> int | None:
    """Return the least tokens of a prefix that is cached; None: no caching is known of it."""
    return next((tokens for pattern, tokens in _MINIMUMS if pattern.fullmatch(model)), None)
