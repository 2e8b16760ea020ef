"""Put cards into the books: checked against all that is there, all of them or none."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.books.documents import Draft, Subject, documents_mark, put_documents
from tollbook.chargeback.pricebook.changes import card_fields, changes
from tollbook.chargeback.pricebook.files import PriceFileError
from tollbook.chargeback.pricebook.moments import optional_text, text_of
from tollbook.chargeback.pricebook.shelf import card_versions, dated
from tollbook.config.problems import ConfigError
from tollbook.prices.bookcard import DatedCard, Stretch, body_of, card_of_body, stretches
from tollbook.prices.contract_reader import read_card
from tollbook.prices.inforce import contracts_of, in_force

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tollbook.books.store import Books
    from tollbook.chargeback.pricebook.files import Written
    from tollbook.prices.bookcard import BookCard
    from tollbook.prices.contract import Contract

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._:@*? -]")
_NAME_MAX: Final = 150


class Wanted(NamedTuple):
    """A card that is to be kept."""

    where: str
    card: BookCard
    """In its one form."""
    contract: Contract
    version: DatedCard
    """As it would stand in the books; version 0."""


class Plan(NamedTuple):
    """What an import would do."""

    drafts: tuple[Draft, ...]
    """New versions, in the order of writing."""
    rows: tuple[dict[str, Any], ...]
    """One for each field that changes, and one for each card that does not."""
    counts: dict[str, int]
    """Cards ``new``, ``changed`` and ``unchanged``."""
    mark: int
    """Of the books that it was checked against."""


def wanted_cards(
    file: str, written: Sequence[Written], providers: Collection[str], reason: str | None
) -> list[Wanted]:
    """Check the cards of a file by themselves.

    Args:
        file: its name, for errors.
        written: its cards.
        providers: the configured provider names.
        reason: for cards that give none.

    Raises:
        PriceFileError: no reason.
        ConfigError: naming the file, the card and the field.
    """
    return [_wanted(file, where, card, providers, reason) for where, card in written]


def _wanted(
    file: str, where: str, card: BookCard, providers: Collection[str], reason: str | None
) -> Wanted:
    contract = read_card(card, file, where, providers)
    why = card.reason or reason
    if not (why or "").strip():
        raise PriceFileError(file, f"{where}.reason", "is missing; give one, or use --reason")
    percents = card.discounts_percent or (
        () if card.discount_percent is None else (card.discount_percent,)
    )
    canonical = replace(
        card, model=contract.model, service_tier=contract.tier, region=contract.region,
        effective_from=text_of(contract.from_ns),
        effective_until=optional_text(contract.until_ns), currency=contract.currency,
        discount_percent=None, discounts_percent=tuple(percents),
    )  # fmt: skip
    name = card.name or derived_name(contract)
    version = DatedCard(
        name, 0, contract.from_ns, contract.until_ns, body_of(canonical), f"{where}", str(why)
    )
    return Wanted(where, canonical, contract._replace(name=name), version)


def derived_name(contract: Contract) -> str:
    """Return the name of a card that was given none: of whom it is for."""
    parts = (contract.provider, contract.model, contract.tier)
    plain = ":".join(part for part in parts if part is not None)
    plain += "" if contract.region is None else f"@{contract.region}"
    name = _NOT_IN_NAMES.sub("-", plain)
    if name != plain or len(name) > _NAME_MAX:
        digest = hashlib.sha256(repr(contract.scope).encode()).hexdigest()[:8]
        name = f"{name[:_NAME_MAX]}.{digest}"
    return name if name[0].isalnum() else f"card:{name}"


def plan_import(
    books: Books, file: str, wanted: Sequence[Wanted], providers: Collection[str]
) -> Plan:
    """Return what keeping the cards would change, having checked that they contradict nothing.

    Args:
        books: where the cards are kept.
        file: for errors.
        wanted: the cards of a file.
        providers: the configured provider names.

    Raises:
        PriceFileError: a name that is another card's, or two cards that say at the same time what
            the same calls cost.
        BooksError: the books cannot be read.
    """
    mark = documents_mark(books)
    kept: dict[str, list[DatedCard]] = defaultdict(list)
    for document in card_versions(books):
        kept[document.name].append(dated(document))
    by_name: dict[str, list[Wanted]] = defaultdict(list)
    for one in wanted:
        by_name[one.version.name].append(one)
    drafts: list[Draft] = []
    rows: list[dict[str, Any]] = []
    counts = dict.fromkeys(("new", "changed", "unchanged"), 0)
    after = dict(kept)
    for name, cards in by_name.items():
        cards.sort(key=lambda one: one.version.from_ns)
        _check_scope(file, name, cards, kept[name])
        needed = _needed(kept[name], [one.version for one in cards])
        after[name] = [*kept[name], *needed]
        before: list[DatedCard] = []
        for one in cards:
            is_needed = one.version in needed
            found = _rows(one, [*kept[name], *before], is_needed=is_needed)
            before.append(one.version)
            counts[found[0]["action"]] += 1
            rows += found
            if is_needed:
                drafts.append(_draft(one.version))
    _check_overlaps(file, after, by_name, providers)
    return Plan(tuple(drafts), tuple(rows), counts, mark)


def apply_plan(books: Books, plan: Plan, author: str | None) -> list[str]:
    """Keep what a plan says and return the ids of the new versions.

    Raises:
        DocumentsChangedError: the books were changed since the plan was made.
        DocumentError: a name or reason that is not allowed.
        BooksError: the books cannot be written.
    """
    if not plan.drafts:
        return []
    kept = put_documents(books, plan.drafts, author=author, mark=plan.mark)
    return [document.document_id for document, _ in kept]


def _draft(version: DatedCard) -> Draft:
    return Draft(
        subject=Subject.PRICE_CARD, name=version.name, body=version.body,
        effective_from_ns=version.from_ns, effective_until_ns=version.until_ns,
        reason=version.reason,
    )  # fmt: skip


def _needed(kept: Sequence[DatedCard], given: Sequence[DatedCard]) -> list[DatedCard]:
    """Return the shortest end of the given versions that brings about all that they say.

    A file that is imported again has in it what was imported before, and says nothing new.
    """
    goal = _said([*kept, *given])
    for first in range(len(given), -1, -1):
        if _said([*kept, *given[first:]]) == goal:
            return list(given[first:])
    return list(given)


def _said(versions: Sequence[DatedCard]) -> list[tuple[int, int | None, str]]:
    """Return which text holds when, whatever version it stands in."""
    said: list[tuple[int, int | None, str]] = []
    for card, from_ns, until_ns in stretches(versions):
        if said and said[-1][1] == from_ns and said[-1][2] == card.body:
            said[-1] = (said[-1][0], until_ns, card.body)
        else:
            said.append((from_ns, until_ns, card.body))
    return said


def _rows(one: Wanted, kept: Sequence[DatedCard], *, is_needed: bool) -> list[dict[str, Any]]:
    held = _held_at(stretches(kept), one.version.from_ns)
    action = ("changed" if kept else "new") if is_needed else "unchanged"
    row = {
        "action": action, "card": one.version.name, "provider": one.card.provider,
        "model": one.card.model, "effective_from": one.card.effective_from,
        "effective_until": one.card.effective_until,
    }  # fmt: skip
    before = None if held is None else card_of_body(held.card.name, held.card.body)
    differing = changes(card_fields(before), card_fields(one.card)) if is_needed else []
    if not differing:
        nothing = {"field": None, "before": None, "after": None, "change_percent": None}
        return [row | nothing]
    return [row | change for change in differing]


def _held_at(held: Iterable[Stretch], at_ns: int) -> Stretch | None:
    for one in held:
        if one.from_ns <= at_ns and (one.until_ns is None or at_ns < one.until_ns):
            return one
    return None


def _check_scope(
    file: str, name: str, cards: Sequence[Wanted], kept: Sequence[DatedCard]
) -> None:  # fmt: skip
    """A card is for the same calls in all its versions, so that its history is that of a price."""
    scopes = {_scope_words(one.card): one for one in cards}
    for card in kept[:1]:
        scopes.setdefault(_scope_words(card_of_body(card.name, card.body)), cards[0])
    if len(scopes) > 1:
        raise PriceFileError(
            file, f"{cards[-1].where}.name",
            f"{name!r} is the name of a card for {' and of one for '.join(sorted(scopes))}; "
            "give each a name of its own",
        )  # fmt: skip
    moments = [one.version.from_ns for one in cards]
    if len(set(moments)) != len(moments):
        raise PriceFileError(
            file, f"{cards[-1].where}.effective_from",
            f"two versions of {name!r} begin at the same time",
        )  # fmt: skip


def _scope_words(card: BookCard) -> str:
    words = [card.provider, card.model]
    words += [f"tier {card.service_tier}"] if card.service_tier is not None else []
    words += [f"region {card.region}"] if card.region is not None else []
    return " ".join(words)


def _check_overlaps(
    file: str, after: Mapping[str, Sequence[DatedCard]], by_name: dict[str, list[Wanted]],
    providers: Collection[str],
) -> None:  # fmt: skip
    others: dict[tuple[str, str, str | None, str | None], list[Contract]] = defaultdict(list)
    for contract in in_force([one for cards in after.values() for one in cards], providers)[0]:
        if not contract.is_withdrawn:
            others[contract.scope].append(contract)
    # From the end, so that of two in one file the later is named.
    for name, cards in reversed(by_name.items()):
        for mine in _contracts(file, cards[-1].where, after[name], providers):
            for other in others[mine.scope]:
                if other.name != name and not mine.is_withdrawn and _is_overlapping(mine, other):
                    raise PriceFileError(
                        file, cards[-1].where,
                        f"overlaps card {other.name!r}: same provider, model, tier, region and "
                        "time; end one (effective_until) where the other begins, or use its name",
                    )  # fmt: skip


def _contracts(
    file: str, where: str, versions: Sequence[DatedCard], providers: Collection[str]
) -> list[Contract]:
    try:
        return contracts_of(versions, providers)
    except ConfigError as error:
        raise PriceFileError(file, where, error.message) from error


def _is_overlapping(one: Contract, other: Contract) -> bool:
    return (one.until_ns is None or other.from_ns < one.until_ns) and (
        other.until_ns is None or one.from_ns < other.until_ns
    )
