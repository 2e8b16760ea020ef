"""Kind, tier and context window out of the words that providers name their line items with.

``gpt-5-mini, cached input``, ``USE1-Claude4.6Sonnet-cache-read-input-token-count``, ``gpt 4o 0806
Inp glbl Tokens``: different spellings of few ideas. What no rule knows has no kind, which is said,
and its amount is kept all the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    # What is more exact comes first: the first that matches is taken.
    (r"web.?search|grounding|google search", "web_search_requests"),
    (r"file.?search(?!.*storage)", "file_search_requests"),
    (r"code.?(interpreter|execution)|container|\bsessions?\b", "code_sessions"),
    (r"search.?units?|rerank", "search_units"),
    (r"cach\w*.?storage|storage", ""),
    (r"(?=.*(cach|cchd))(?=.*(write|creation|cchwr))(?=.*\b(1|12)\s?h(ou)?r?\b)",
     "cache_write_1h_tokens"),
    (r"(?=.*cach)(?=.*(write|creation))|cchwr|cache.?wrt", "cache_write_5m_tokens"),
    (r"(?=.*(cach|cchd|cchrd))(?=.*(audio|\baud\b))", "cache_read_audio_tokens"),
    (r"(?=.*(cach|cchd|cchrd))(?=.*(image|\bimg\b))", "cache_read_image_tokens"),
    (r"cach|cchd|cchrd", "cache_read_tokens"),
    (r"reasoning|thinking", "reasoning_tokens"),
    (r"citation", "citation_tokens"),
    (r"(?=.*(audio|\baud\b))(?=.*(output|completion|outp?t?\b|\bopt?\b))", "output_audio_tokens"),
    (r"(?=.*(audio|\baud\b))(?=.*(input|prompt|inp?t?\b))", "input_audio_tokens"),
    (r"(?=.*(image|\bimg\b))(?=.*token)(?=.*(output|completion|outp?t?\b|\bopt?\b))",
     "output_image_tokens"),
    (r"(?=.*(image|\bimg\b))(?=.*(token|input))(?=.*(input|prompt|inp?t?\b))",
     "input_image_tokens"),
    (r"(?=.*video)(?=.*(input|prompt|inp?t?\b))", "input_video_tokens"),
    (r"(?=.*(image|\bimg\b))(?=.*(output|outp?t?\b))", "output_image_tokens"),
    (r"transcri\w*|duration|audio.?(seconds|minutes)|speech to text", "audio_ms"),
    (r"characters?|text.?to.?speech", "characters"),
    (r"\bimages?\b|imagen|created.?image|\bdall", "images"),
    (r"output|completion|\boutp?t?\b|\bopt\b|response", "visible_output_tokens"),
    (r"input|prompt|\binp?t?\b|embed", "uncached_input_tokens"),
)  # fmt: skip
_KIND_RULES: Final = tuple((re.compile(pattern), kind) for pattern, kind in _KINDS)
_TIERS: Final = (
    ("batch", re.compile(r"\bbatch(es|ed)?\b|\bbtch\b")),
    ("flex", re.compile(r"\bflex\b")),
    ("priority", re.compile(r"\bpriority\b|\bprty\b|\bpp\b")),
    ("fast", re.compile(r"\bfast\b")),
    ("scale", re.compile(r"\bscale\b")),
    ("provisioned", re.compile(r"provisioned|\bptu\b|modelunits?\b")),
    ("optimized", re.compile(r"latency.?optimi[sz]ed")),
)
_LONG: Final = re.compile(
    r"\blong\b|(>|over|above|greater than|longer than)\s*200\s?k|200k-1m|\blctx\b|longcontext"
)
_SHORT: Final = re.compile(r"(<=?|up to|under|below)\s*200\s?k|0-200k|\bshort\b")
SHORT_WINDOW: Final = "0-200k"
LONG_WINDOW: Final = "200k-1M"


@lru_cache(maxsize=4096)
def plain_words(text: str) -> str:
    """Return words in lower case with a blank where marks were, camel case taken apart."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.sub(r"[\s,|/_:()\[\]-]+", " ", apart.lower()).split())


@lru_cache(maxsize=4096)
def kind_in(text: str) -> str | None:
    """Return the kind that words name, None where they name none."""
    words = plain_words(text)
    for rule, kind in _KIND_RULES:
        if rule.search(words):
            return kind or None
    return None


@lru_cache(maxsize=4096)
def tier_in(text: str) -> str | None:
    """Return the tier words that are in a text, in the form of :mod:`tollbook.prices.tiers`."""
    words = plain_words(text)
    return "+".join(sorted(name for name, rule in _TIERS if rule.search(words))) or None


@lru_cache(maxsize=4096)
def window_in(text: str) -> str | None:
    """Return the context window that words name."""
    lower = text.lower()
    if _LONG.search(lower):
        return LONG_WINDOW
    return SHORT_WINDOW if _SHORT.search(lower) else None
