"""Names of models: out of the words of a line item, and one key for the spellings of one model.

A bill calls ``Claude4.6Sonnet``, ``claude sonnet 4.6`` or ``gpt 4o 0806`` what an API calls
``anthropic.claude-sonnet-4-6-20260217-v1:0`` or ``gpt-4o-2024-08-06``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_NUMBER: Final = r"\d+(?:[.-]\d{1,2}(?!\d))?"
_NAMES: Final = re.compile(
    rf"""
    gemini[\s-]?{_NUMBER}(?:[\s-](?:pro|flash(?:[\s-](?:lite|image|native[\s-]audio))?|ultra|nano))?
    | gemini[\s-](?:embedding|pro|flash|ultra|nano)(?:[\s-]\d+)?
    | claude[\s-]?(?:(?:opus|sonnet|haiku|instant|fable|mythos)[\s-]?{_NUMBER}
        | {_NUMBER}[\s-]?(?:opus|sonnet|haiku|instant|fable|mythos)?
        | instant)
    | (?:gpt|chatgpt)[\s-]?(?:\d[\w.]*|oss|image|realtime|audio)
        (?:[\s-](?:mini|nano|pro|turbo|codex|chat|realtime|audio|transcribe|tts|\d+b?))*
    | o[1-4](?:[\s-](?:mini|pro|preview|deep[\s-]research))*
    | text[\s-]?embedding[\s-]?(?:\d[\w.-]*|ada|gecko|large|small)(?:[\s-](?:large|small|\d+))*
    | nova[\s-]?(?:\d[\w.]*[\s-]?)?(?:micro|lite|pro|premier|canvas|reel|sonic)
    | titan[\s-]?\w+(?:[\s-](?:embeddings?|express|lite|v\d))*
    | llama[\s-]?{_NUMBER}(?:[\s-](?:\d+[bm]|maverick|scout|instruct|vision))*
    | (?:mistral|mixtral|ministral|magistral|codestral|pixtral)
        (?:[\s-](?:\d[\w.]*|large|medium|small|nemo|ocr))*
    | deepseek(?:[\s-](?:[rv]\d[\w.]*|chat|reasoner|flash))*
    | command(?:[\s-](?:r\+?|a|light|plus|\d[\w.]*))+
    | (?:qwen|kimi|grok|glm|phi|jamba|palmyra|imagen|veo|whisper|sora)
        [\s-]?\w*(?:[.-]\d+)?(?:[\s-](?:mini|fast|coder|pro|lite|\d+b))*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_VENDORS: Final = re.compile(
    r"^(?:arn:[^/]*/|publishers/[^/]+/models/|models/|~)"
    r"|^(?:us-gov|us|eu|apac|jp|au|in|ca|sa|global)\.(?=[a-z0-9]+\.)"
    r"|^(?:anthropic|amazon|meta|mistral|cohere|openai|deepseek|ai21|google|qwen|moonshotai|x-ai"
    r"|meta-llama|mistralai|stability|writer|luma|nvidia|minimax|zai|twelvelabs)[./]"
)
_DATE: Final = re.compile(
    r"(?<!\d)(?:20\d{2}[-.]?[01]\d[-.]?[0-3]\d)(?!\d)"
    r"|(?<=[a-z\d][ -])(?:0[1-9]|1[0-2])[0-3]\d(?!\d)"
)
_VERSION: Final = re.compile(r"(?:[-:]v\d+(?::\d+)?|:\d+|-latest|-preview|-exp(?:erimental)?)$")
_WORDS: Final = re.compile(r"\d+(?:\.\d+)?[a-z]?(?![a-z])|[a-z]+|\d+")
_SPELLINGS: Final = (("chatgpt", "gpt"), ("embeddings", "embedding"))


@lru_cache(maxsize=4096)
def model_in(text: str) -> str | None:
    """Return the name of a model that free words hold, with ``-`` between its words."""
    apart = re.sub(r"[_|,()]", " ", text)
    found = _NAMES.search(re.sub(r"\s+", " ", apart))
    if found is None:
        return None
    return re.sub(r"\s+", "-", found[0].strip().lower())


@lru_cache(maxsize=4096)
def model_key(name: str) -> str:
    """Return what all spellings of one model have in common; for comparing, not for showing.

    Snapshots of one model have the same key, also where their prices differ.

    Vendor, geography, date, version and ``latest`` are taken off, words are sorted, and a hyphen
    between digits is the point of a number: ``anthropic.claude-sonnet-4-6-20260217-v1:0`` and
    ``Claude4.6Sonnet`` are both ``4.6 claude sonnet``.
    """
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.strip()).lower()
    for _ in range(3):
        plain = _VENDORS.sub("", plain)
    plain = plain.partition("@")[0]
    for _ in range(2):
        plain = _VERSION.sub("", plain)
        plain = _DATE.sub("", plain).strip(" -")
    plain = re.sub(r"(?<=\d)[-p](?=\d\b)", ".", plain)
    for said, meant in _SPELLINGS:
        plain = plain.replace(said, meant)
    plain = re.sub(r"(?<=[a-z])(?=\d)", " ", plain)
    return " ".join(sorted(_WORDS.findall(plain))) or plain
