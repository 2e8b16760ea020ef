"""Cohere usage objects as disjoint kinds: what was billed, not what was consumed.

``billed_units`` leaves out the tokens that Cohere's own templates add, which ``tokens`` counts
(https://docs.cohere.com/docs/how-does-cohere-pricing-work); ``cached_tokens`` is of the consumed
ones and has no price. Version 2 has both in ``usage`` for chat, elsewhere in ``meta``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

Amount = Count | float
"""Cohere's schema says that all its counts are floats; most come as integers."""


class _Tokens(Struct, gc=False):
    input_tokens: Amount | None = None
    output_tokens: Amount | None = None
    reasoning_tokens: Amount | None = None


class _Billed(Struct, gc=False):
    input_tokens: Amount | None = None
    output_tokens: Amount | None = None
    image_tokens: Amount | None = None
    text_tokens: Amount | None = None
    images: Amount | None = None
    search_units: Amount | None = None
    classifications: Amount | None = None
    pages: Amount | None = None


class _Usage(Struct, gc=False):
    billed_units: _Billed | None = None
    tokens: _Tokens | None = None
    # The members of billed_units themselves, where a log kept only these
    input_tokens: Amount | None = None
    output_tokens: Amount | None = None
    image_tokens: Amount | None = None
    search_units: Amount | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_NONE: Final[tuple[str, ...]] = ()
_MAX_AMOUNT: Final = 1e12


def read_cohere_usage(objects: Sequence[bytes]) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them."""
    usage: _Usage | None = None
    problems: tuple[str, ...] = ()
    for raw in objects:
        try:
            read: _Usage | None = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            read, more = decode_loosely(raw, _Usage)
            problems += more
        if read is not None:
            usage = read if usage is None else merge(usage, read, zero_erases=False)
    if usage is None:
        return Reading(None, problems)
    kinds, more, lacks = _kinds(usage)
    return Reading(kinds, problems + more, lacks)


def _kinds(usage: _Usage) -> tuple[Kinds | None, tuple[str, ...], tuple[str, ...]]:
    problems: list[str] = []
    billed = usage.billed_units or _Billed(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        image_tokens=usage.image_tokens,
        search_units=usage.search_units,
    )
    consumed = usage.tokens or _Tokens()
    given = _whole(billed.input_tokens, "input_tokens", problems)
    out = _whole(billed.output_tokens, "output_tokens", problems)
    image_tokens = _whole(billed.image_tokens, "image_tokens", problems) or 0
    text = _whole(billed.text_tokens, "text_tokens", problems)
    units = _whole(billed.search_units, "search_units", problems) or 0
    images = _whole(billed.images, "images", problems) or 0
    if given is None and text is not None:
        given = text
    elif text is not None and given == text + image_tokens:
        given = text  # a total of both
    if billed.classifications or billed.pages:
        problems.append("classifications and pages are billed by the piece: not counted here")
    has_fee = bool(units or images or image_tokens or billed.classifications or billed.pages)
    if given is None and out is None and not has_fee:
        given = _whole(consumed.input_tokens, "tokens.input_tokens", problems)
        out = _whole(consumed.output_tokens, "tokens.output_tokens", problems)
        if given is None and out is None:
            return None, tuple(problems), _NONE
        problems.append("no billed units: the tokens consumed were counted, which may be more")
    lacks: tuple[str, ...] = ()
    if not has_fee:
        lacks = tuple([side for side, n in (("input", given), ("output", out)) if n is None])
    thought = _whole(consumed.reasoning_tokens, "tokens.reasoning_tokens", problems) or 0
    reasoning = min(thought, out or 0)
    kinds = Kinds(
        given or 0,
        input_image_tokens=image_tokens,
        visible_output_tokens=(out or 0) - reasoning,
        reasoning_tokens=reasoning,
        search_units=units,
        images=0 if image_tokens else images,  # older embed models bill by the image
    )
    return kinds, tuple(problems), lacks


def _whole(amount: Amount | None, name: str, problems: list[str]) -> int | None:
    """Return a count as the integer that it stands for; a part of a token is rounded up."""
    if amount is None or isinstance(amount, int):
        return amount
    if not 0 <= amount <= _MAX_AMOUNT:
        problems.append(f"usage {name} is not a count; it was not used")
        return None
    whole = int(amount)
    if whole != amount:
        problems.append(f"usage {name} is a fraction: rounded up")
        whole += 1
    return whole
