"""Price cards of the books: what a version says, and which version holds when."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.config.schema import PriceCard
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class BookTextError(TollbookError):
    """A card in the books that cannot be read."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"price card {name!r} in the books: {problem}; restore the books")


class StepRates(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """Rates of the whole call once its input, cached included, exceeds a number of tokens."""

    above: int
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    cache_read_audio: Decimal | None = None
    input_image: Decimal | None = None
    cache_read_image: Decimal | None = None
    input_video: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    output_audio: Decimal | None = None
    output_image: Decimal | None = None
    citation: Decimal | None = None


class BookCard(PriceCard, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What ``[[prices]]`` says, and more: the body of a document.

    Discounts are taken off own rates too, one after the other. In a body the dates are canonical,
    and ``name`` and ``reason`` are the document's.
    """

    name: str | None = None
    """In the books; None: made of provider, model, tier and region."""
    currency: str | None = None
    """Of own rates and the minimum; None: US dollars."""
    discounts_percent: tuple[Decimal, ...] = ()
    """Several discounts, in order."""
    minimum_per_request: Decimal | None = None
    """What a billed request costs at least, in the currency."""
    steps: tuple[StepRates, ...] = ()
    withdrawn: bool = False
    """From its date on there is no such card."""


class DatedCard(NamedTuple):
    """One version of a card in the books."""

    name: str
    version: int
    from_ns: int
    until_ns: int | None
    body: str
    document_id: str
    reason: str


class Stretch(NamedTuple):
    """A time in which a version holds."""

    card: DatedCard
    from_ns: int
    until_ns: int | None


def stretches(versions: Sequence[DatedCard]) -> list[Stretch]:
    """Return which version of one card holds when: the newest whose dates cover the moment.

    Args:
        versions: of one name, in the order in which they were written.

    Returns:
        Stretches in the order of time; none overlaps another, and neighbours of the same version
        are one.
    """
    held: list[Stretch] = []
    for card in versions:
        held = _overlaid(held, card)
    return held


def _overlaid(held: Iterable[Stretch], card: DatedCard) -> list[Stretch]:
    """Lay a newer version over what held before."""
    start, end = card.from_ns, card.until_ns
    result = [Stretch(card, start, end)]
    for one in held:
        if one.from_ns < start:
            before_end = start if one.until_ns is None else min(start, one.until_ns)
            result.append(one._replace(until_ns=before_end))
        if end is not None and (one.until_ns is None or one.until_ns > end):
            result.append(one._replace(from_ns=max(end, one.from_ns)))
    return sorted(result, key=lambda one: one.from_ns)


def body_of(card: BookCard) -> str:
    """Return the canonical text of a card: equal cards have equal texts."""
    plain = {
        name: _plain(value)
        for name in BookCard.__struct_fields__
        if name not in {"name", "reason"} and not _is_unset(value := getattr(card, name))
    }
    return msgspec.json.encode(plain, order="sorted").decode()


def card_of_body(name: str, body: str) -> BookCard:
    """Read what :func:`body_of` wrote.

    Raises:
        BookTextError: no such text.
    """
    try:
        return msgspec.json.decode(body, type=BookCard)
    except msgspec.DecodeError as error:
        raise BookTextError(name, str(error)) from error


def _is_unset(value: Any) -> bool:
    return value is None or value is False or value == ()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value:
            return "0"
        # Without an exponent and trailing zeros; normalize() alone would round to the context.
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, StepRates):
        return {
            name: _plain(rate)
            for name in StepRates.__struct_fields__
            if (rate := getattr(value, name)) is not None
        }
    return value
