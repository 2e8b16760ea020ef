"""Which cards there are, what they were, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from tollbook import clock
from tollbook.books.tables import price_cards
from tollbook.chargeback.pricebook.changes import (
    Fields,
    card_fields,
    changes,
    rate_fields,
    shown,
    unit_words,
)
from tollbook.chargeback.pricebook.moments import asked_ns, optional_text, text_of
from tollbook.chargeback.pricebook.shelf import book_prices, card_versions, dated, price_book
from tollbook.prices.bookcard import card_of_body, stretches
from tollbook.prices.card import RateCard, effective_rates
from tollbook.prices.explain import describe
from tollbook.prices.fx import decimal_text
from tollbook.reports.errors import QueryError
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.books.documents import Document
    from tollbook.desk import Desk
    from tollbook.prices.book import PriceBook
    from tollbook.prices.card import Step
    from tollbook.prices.contract import Contract

_CARDS_MAX: Final = 10_000
_TEXTS_MAX: Final = 512


def book_known_at(desk: Desk, known_before_ns: int | None) -> PriceBook:
    """Return the price book, with the books as they were at a moment where one is given.

    Raises:
        ConfigError: a card of the settings that cannot be used.
        BooksError: the books cannot be read.
    """
    book = price_book(desk)
    if known_before_ns is not None:
        book.take(book_prices(desk.books, book.providers, known_before_ns)[0])
    return book


def resolved(
    book: PriceBook, provider: str, model: str, at_ns: int, tier: str | None, region: str | None
) -> RateCard | None:
    """Return the card that prices a model at a time.

    Raises:
        QueryError: the settings have no such provider.
    """
    if provider not in book.providers:
        known = ", ".join(sorted(book.providers))
        raise QueryError("--provider", f"{provider[:64]!r} is not in the settings ({known})")
    return book.resolve(provider, model[:_TEXTS_MAX], at_ns, tier, region)


def used_cards(desk: Desk) -> list[RateCard]:
    """Return every card that an entry names, by provider, model and start.

    Raises:
        BooksError: the books cannot be read.
        CardTextError: a stored card was changed.
    """
    columns = price_cards.c
    query = (
        sa.select(columns.body)
        .order_by(columns.provider, columns.model, columns.effective_from_ns)
        .limit(_CARDS_MAX)
    )
    with desk.books.read() as connection:
        return [RateCard.from_json(body) for body in connection.scalars(query)]


def card_answer(cards: Iterable[RateCard]) -> dict[str, Any]:
    """Return cards with their rates, and the rates again as rows."""
    described = []
    for card in cards:
        plain: dict[str, Any] = msgspec.to_builtins(describe(card))
        described.append(plain | {"rates": rate_rows(card)})
    rows = [{"card_id": one["card_id"], **rate} for one in described for rate in one["rates"]]
    return {"cards": described, "rows": rows, "currency": "USD"}


def rate_rows(card: RateCard) -> list[dict[str, Any]]:
    """Return the rates of a card: dollars per million tokens, or per thousand pieces."""
    rows = []
    steps = [(None, card.rates), *((step, step.rates) for step in card.steps)]
    fields = rate_fields(card)
    for step, rates in steps:
        suffix = "" if step is None else f"_above_{step.threshold}"
        for kind, rate in zip(KINDS, effective_rates(card, rates), strict=True):
            if rate is not None:
                rows.append({
                    "kind": kind, "usd": shown({kind: fields[kind + suffix]})[kind],
                    "per": unit_words(kind), "step": None if step is None else _step_words(step),
                    "follows": card.inherited.get(kind),
                })  # fmt: skip
    if card.minimum_pico:
        least = shown({"minimum": fields["minimum_per_request"]})["minimum"]
        rows.append({"kind": "minimum_per_request", "usd": least, "per": "request", "step": None,
                     "follows": None})  # fmt: skip
    return rows


def _step_words(step: Step) -> str:
    return f"{'from' if step.is_inclusive else 'over'} {step.threshold} input tokens"


def cards_in_force(book: PriceBook, at_ns: int) -> list[dict[str, Any]]:
    """Return a row for each card of the books and of the settings that holds at a time.

    The first of two that are for the same call is the one that prices it.
    """
    return [_contract_row(one) for one in book.contracts if one.covers(at_ns)]


def _contract_row(one: Contract) -> dict[str, Any]:
    return {
        "card": one.name if one.document is not None else one.name.partition(" ")[0],
        "from": "settings" if one.document is None else "books",
        "document": one.document, "provider": one.provider, "model": one.model,
        "service_tier": one.tier, "region": one.region, "prices": _prices_words(one),
        "effective_from": text_of(one.from_ns if one.dated_ns is None else one.dated_ns),
        "effective_until": optional_text(one.until_ns), "reason": one.reason,
    }  # fmt: skip


def _prices_words(one: Contract) -> str:
    if one.is_withdrawn:
        return "withdrawn"
    words = ["own rates" if one.rates is not None else "list price"]
    words += [f"in {one.currency}"] if one.currency is not None else []
    words += [f"less {decimal_text(percent)} %" for percent in one.discounts]
    words += [f"{len(one.steps)} context step(s)"] if one.steps else []
    if one.minimum:
        words.append(f"at least {decimal_text(one.minimum)} a request")
    return ", ".join(words)


def history(desk: Desk, name: str | None, provider: str | None, model: str | None) -> list[Any]:
    """Return the versions of cards, oldest first: who, when, why, and what each changed.

    Args:
        desk: of the books.
        name: of one card; None: of all.
        provider: only cards for this provider.
        model: only cards for this model or pattern.
    """
    before: dict[str, Document] = {}
    rows = []
    for one in card_versions(desk.books):
        card = card_of_body(one.name, one.body)
        last, before[one.name] = before.get(one.name), one
        if (
            (name is not None and one.name != name)
            or (provider is not None and card.provider != provider)
            or (model is not None and card.model != model.strip().lower())
        ):
            continue
        old = None if last is None else card_of_body(last.name, last.body)
        differing = changes(card_fields(old), card_fields(card))
        rows.append({
            "card": one.name, "version": one.version, "author": one.author,
            "reason": one.reason, "created_at": text_of(one.created_at_ns),
            "effective_from": text_of(one.effective_from_ns),
            "effective_until": optional_text(one.effective_until_ns),
            "provider": card.provider, "model": card.model, "service_tier": card.service_tier,
            "region": card.region, "changes": "; ".join(map(_change_words, differing)) or None,
        })  # fmt: skip
    if name is not None and not rows:
        raise QueryError("--card", f"no card {name[:64]!r} in the books")
    rows.sort(key=lambda row: (row["created_at"], row["card"], row["version"]))
    return rows


def _change_words(one: dict[str, Any]) -> str:
    percent = f" ({one['change_percent']} %)" if one["change_percent"] is not None else ""
    return f"{one['field']} {one['before'] or '-'} -> {one['after'] or '-'}{percent}"


def diff_versions(desk: Desk, name: str, first: int, second: int) -> list[dict[str, Any]]:
    """Return what differs between two versions of a card.

    Raises:
        QueryError: no such card or version.
    """
    found: dict[int, Fields] = {
        one.version: card_fields(card_of_body(one.name, one.body))
        for one in card_versions(desk.books)
        if one.name == name
    }
    for wanted in (first, second):
        if wanted not in found:
            known = ", ".join(map(str, sorted(found))) or "none"
            raise QueryError("--versions", f"no version {wanted} of {name[:64]!r} (known: {known})")
    return [{"card": name, **change} for change in changes(found[first], found[second])]


def diff_model(
    books: tuple[PriceBook, PriceBook], moments: tuple[int, int], provider: str, model: str,
    tier: str | None, region: str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what differs, in dollars, between the cards of a model at two times.

    Raises:
        QueryError: the settings have no such provider.
    """
    cards = [
        resolved(book, provider, model, at_ns, tier, region)
        for book, at_ns in zip(books, moments, strict=True)
    ]
    before, after = (rate_fields(card) for card in cards)
    name = f"{provider} {model}"
    return [
        {"card": name, "per": unit_words(change["field"]), **change}
        for change in changes(before, after)
    ]


def diff_cards(
    desk: Desk, moments: tuple[int, int], known: tuple[int | None, int | None]
) -> list[dict[str, Any]]:
    """Return what differs between the cards of the books that hold at two times.

    Args:
        desk: of the books.
        moments: the two times.
        known: as the books were known at each; None is now.
    """
    sides = [_held(desk, at_ns, before) for at_ns, before in zip(moments, known, strict=True)]
    return [
        {"card": name, **change}
        for name in sorted({*sides[0], *sides[1]})
        for change in changes(sides[0].get(name, {}), sides[1].get(name, {}))
    ]


def _held(desk: Desk, at_ns: int, known_before_ns: int | None) -> dict[str, Fields]:
    by_name: dict[str, list[Any]] = {}
    for one in card_versions(desk.books, known_before_ns):
        by_name.setdefault(one.name, []).append(dated(one))
    held: dict[str, Fields] = {}
    for name, versions in by_name.items():
        for card, from_ns, until_ns in stretches(versions):
            if from_ns <= at_ns and (until_ns is None or at_ns < until_ns):
                held[name] = card_fields(card_of_body(name, card.body))
    return held


def moment_asked(text: str | None, tz: str, option: str) -> int:
    """Return the moment of an option, now where it is not given.

    Raises:
        QueryError: it is no time.
    """
    return clock.unix_ns() if text is None else asked_ns(text, tz, option)
