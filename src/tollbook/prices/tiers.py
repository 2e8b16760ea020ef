"""What a price depends on beside the model, as words joined by ``+``: ``batch``, ``batch+fast``.

Providers say such things in several fields (``service_tier``, ``speed``, a batch's line, the
search context of Perplexity, size and quality of an image); a dialect puts them together. Here
they get one form: lower case, sorted, each once, without the names of the ordinary price.
"""

from __future__ import annotations

import re
from typing import Final

_ORDINARY: Final = frozenset({
    "", "standard", "default", "auto", "on_demand", "on-demand", "standard_only",
})  # fmt: skip
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_./:-]{0,47}")
_WORDS_MAX: Final = 8
_KNOWN_MAX: Final = 4096
UNRECOGNIZED: Final = "unrecognized"
BATCH: Final = "batch"

_known: dict[str, str | None] = {}


def tier_of(text: str | None) -> str | None:
    """Return the words in their one form, None where nothing but the ordinary price is named.

    What is no plain word becomes ``unrecognized``: a tier is part of a stored card and of reports.
    """
    if text is None:
        return None
    try:
        return _known[text]
    except KeyError:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        return _known.setdefault(text, _in_one_form(text))


def words_of(tier: str | None) -> tuple[str, ...]:
    """Return the words of a tier that :func:`tier_of` returned."""
    return () if tier is None else tuple(tier.split("+"))


def with_batch(text: str | None) -> str:
    """Return the words with ``batch`` among them."""
    tier = tier_of(text)
    if tier is None:
        return BATCH
    return tier if BATCH in words_of(tier) else "+".join(sorted({BATCH, *words_of(tier)}))


def _in_one_form(text: str) -> str | None:
    words = {word.strip() for word in text[: 64 * _WORDS_MAX].lower().split("+")} - _ORDINARY
    if len(words) > _WORDS_MAX:
        return UNRECOGNIZED
    plain = {word if _WORD.fullmatch(word) else UNRECOGNIZED for word in words}
    return "+".join(sorted(plain)) or None
