"""How many tokens a request is: what the traffic asked for, or what its body looks like.

The traffic names exact sizes in ``x-sim-size`` (``input=1200;cache_read=1024;output=300;
reasoning=40``), so that bodies can stay small at any token count. Without it, tokens are counted
from the text sent, and prompt caching works as the provider documents it: OpenAI reads a repeated
prefix of 1024 tokens or more in steps of 128, Anthropic writes and reads up to ``cache_control``
breakpoints (https://platform.openai.com/docs/guides/prompt-caching,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook.simulator.params import parse_params, whole
from tollbook.simulator.pricelist import Quantities
from tollbook.simulator.provider.text import CHARS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOKENS_MAX = 2_000_000
_EVENTS_MAX = 100_000
_PAUSE_MAX_MS = 60_000
_PREFIX_MIN_TOKENS: Final = 1024
_PREFIX_STEP_TOKENS: Final = 128
_SEEN_MAX = 100_000
SIZE_KEYS: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "events",
    "pause_ms",
    "tool",
)


class Size(NamedTuple):
    """Wished sizes; ``input`` and ``output`` are totals, the others parts of them."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    events: int = 0
    pause_ms: int = 0
    tool: int = 1  # 0: answer in text even where tools are offered

    def to_header(self) -> str:
        """Return the value of ``x-sim-size``."""
        pairs = zip(self._fields, self, strict=True)
        return ";".join(
            f"{name}={value}" for name, value in pairs if value != self._field_defaults.get(name)
        )


def parse_size(text: str, guess: Size) -> Size:
    """Read ``x-sim-size`` over a guess made from the body; raises BadParamsError."""
    params = parse_params(text)
    return Size(
        input=whole(params, "input", guess.input, _TOKENS_MAX),
        output=whole(params, "output", guess.output, _TOKENS_MAX),
        cache_read=whole(params, "cache_read", 0 if params else guess.cache_read, _TOKENS_MAX),
        cache_write_5m=whole(params, "cache_write_5m", 0, _TOKENS_MAX),
        cache_write_1h=whole(params, "cache_write_1h", 0, _TOKENS_MAX),
        reasoning=whole(params, "reasoning", 0, _TOKENS_MAX),
        events=whole(params, "events", 0, _EVENTS_MAX),
        pause_ms=whole(params, "pause_ms", 0, _PAUSE_MAX_MS),
        tool=whole(params, "tool", 1, 1),
    )


def quantities_of(size: Size) -> Quantities:
    """Return the disjoint kinds; parts are clipped to their totals."""
    read = min(size.cache_read, size.input)
    write_5m = min(size.cache_write_5m, size.input - read)
    write_1h = min(size.cache_write_1h, size.input - read - write_5m)
    reasoning = min(size.reasoning, size.output)
    return Quantities(
        size.input - read - write_5m - write_1h,
        read,
        write_5m,
        write_1h,
        visible_output=size.output - reasoning,
        reasoning=reasoning,
    )


def count_tokens(*parts: object) -> int:
    """Count the tokens of any JSON values: their text in characters, by four, at least one."""
    return max(1, sum(len(_text(part)) for part in parts) // CHARS_PER_TOKEN)


def _text(part: object) -> bytes:
    return part.encode() if isinstance(part, str) else msgspec.json.encode(part)


class PromptCache:
    """Which prefixes a provider has seen; bounded, oldest out first."""

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def _remember(self, key: int) -> bool:
        known = key in self._seen
        self._seen[key] = None
        if len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        return known

    def automatic(self, model: str, messages: Sequence[object]) -> int:
        """Return the cached tokens of a prompt where caching needs no asking (OpenAI)."""
        key, tokens, cached = zlib.crc32(model.encode()), 0, 0
        for message in messages:
            text = _text(message)
            key = zlib.crc32(text, key)
            tokens += len(text) // CHARS_PER_TOKEN
            if tokens >= _PREFIX_MIN_TOKENS and self._remember(key):
                cached = tokens - tokens % _PREFIX_STEP_TOKENS
        return cached

    def explicit(self, model: str, blocks: Sequence[object]) -> tuple[int, int, int]:
        """Return (read, written for 5 minutes, written for an hour) by breakpoints (Anthropic)."""
        key, tokens = zlib.crc32(model.encode()), 0
        read = write_5m = write_1h = done = 0
        for block in blocks:
            text = _text(block)
            key = zlib.crc32(text, key)
            tokens += len(text) // CHARS_PER_TOKEN
            control = _cache_control(block)
            if control is None or tokens < _PREFIX_MIN_TOKENS:
                continue
            if self._remember(key):
                read, write_5m, write_1h = tokens, 0, 0
            elif control.get("ttl") == "1h":
                write_1h += tokens - done
            else:
                write_5m += tokens - done
            done = tokens
        return read, write_5m, write_1h


def _cache_control(block: object) -> Mapping[str, object] | None:
    if not isinstance(block, dict):
        return None
    control = block.get("cache_control")
    return control if isinstance(control, dict) else None
