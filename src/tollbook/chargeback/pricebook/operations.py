"""The price book over the API: what is there, what changed, what is missing, and new cards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, newest_documents
from tollbook.chargeback.pricebook import (
    checking,
    fxfiles,
    importing,
    restating_operations,
    showing,
)
from tollbook.chargeback.pricebook.files import PriceFileError, Written, read_file
from tollbook.chargeback.pricebook.moments import asked_ns, optional_text, text_of
from tollbook.chargeback.pricebook.shelf import card_versions, price_book
from tollbook.chargeback.pricebook.unpriced import unpriced
from tollbook.desk import Desk, Operation
from tollbook.ledger.errors import NoLedgerError
from tollbook.prices.bookcard import BookCard, card_of_body
from tollbook.prices.contract_reader import given_rates
from tollbook.prices.fx import read_fx
from tollbook.reports.errors import QueryError

_FX_ROWS_MAX: Final = 10_000


class ShowRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which card, and when."""

    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    region: str | None = None
    at: str | None = None
    """When the calls are made; unset: now."""
    known: str | None = None
    """As the books were known then; unset: now."""
    tz: str = "UTC"


def _show(desk: Desk, asked: ShowRequest) -> dict[str, Any]:
    if (asked.provider is None) != (asked.model is None):
        raise QueryError("--provider", "give both --provider and --model, or neither")
    at_ns = showing.moment_asked(asked.at, asked.tz, "--at")
    known_ns = None if asked.known is None else asked_ns(asked.known, asked.tz, "--known")
    book = showing.book_known_at(desk, known_ns)
    if asked.provider is None or asked.model is None:
        answer = showing.card_answer(showing.used_cards(desk))
        return answer | {"in_force": showing.cards_in_force(book, at_ns)}
    card = showing.resolved(book, asked.provider, asked.model, at_ns, asked.tier, asked.region)
    return showing.card_answer([] if card is None else [card])


class HistoryRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose history."""

    card: str | None = None
    provider: str | None = None
    model: str | None = None


def _history(desk: Desk, asked: HistoryRequest) -> dict[str, Any]:
    return {"rows": showing.history(desk, asked.card, asked.provider, asked.model)}


class DiffRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Between what: two versions of a card, or two moments, for a model or for all cards."""

    card: str | None = None
    versions: str | None = None
    """``1..2``."""
    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    region: str | None = None
    since: str | None = None
    """The first moment."""
    until: str | None = None
    """The second; unset: now."""
    known_since: str | None = None
    """As the books were known then, for the first moment."""
    known_until: str | None = None
    tz: str = "UTC"


def _diff(desk: Desk, asked: DiffRequest) -> dict[str, Any]:
    if asked.versions is not None or asked.card is not None:
        return {"rows": _diff_versions(desk, asked)}
    if asked.since is None and asked.known_since is None:
        raise QueryError("--since", "give two moments, or --card and --versions")
    now_ns = clock.unix_ns()
    last = now_ns if asked.until is None else asked_ns(asked.until, asked.tz, "--until")
    first = last if asked.since is None else asked_ns(asked.since, asked.tz, "--since")
    known = tuple(
        None if text is None else asked_ns(text, asked.tz, option)
        for text, option in (
            (asked.known_since, "--known-since"), (asked.known_until, "--known-until"),
        )
    )  # fmt: skip
    moments, sides = (first, last), (known[0], known[1])
    if asked.provider is None and asked.model is None:
        rows = showing.diff_cards(desk, moments, sides)
    elif asked.provider is None or asked.model is None:
        raise QueryError("--provider", "give both --provider and --model, or neither")
    else:
        books = showing.book_known_at(desk, sides[0]), showing.book_known_at(desk, sides[1])
        rows = showing.diff_model(
            books, moments, asked.provider, asked.model, asked.tier, asked.region
        )
    return {"rows": rows, "from": text_of(first), "to": text_of(last), "currency": "USD"}


def _diff_versions(desk: Desk, asked: DiffRequest) -> list[dict[str, Any]]:
    first, _, second = (asked.versions or "").partition("..")
    if asked.card is None or not first.isdecimal() or not second.isdecimal():
        raise QueryError("--versions", "expected --card NAME and --versions such as 1..2")
    return showing.diff_versions(desk, asked.card, int(first[:9]), int(second[:9]))


class CheckRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Against the calls of which time."""

    since: str = "month"
    until: str | None = None
    tz: str = "UTC"
    differ_percent: int | None = None
    """From how far off the list price on a card is named; unset: 50."""


def _check(desk: Desk, asked: CheckRequest) -> dict[str, Any]:
    book = price_book(desk)
    names = {one.document.rpartition("/")[0] for one in book.contracts if one.document is not None}
    answer: dict[str, Any] = {
        "cards": len(desk.config.prices), "book_cards": len(names), "has_ledger": True,
    }  # fmt: skip
    percent = asked.differ_percent
    if percent is not None and not 0 <= percent <= 10_000:  # noqa: PLR2004 -- a hundredfold
        raise QueryError("--differ", f"{percent} is not between 0 and 10000")
    try:
        findings, missing = checking.check(desk, asked.since, asked.until, asked.tz, percent)
    except NoLedgerError:
        findings, missing = checking.check_cards(desk, book), []
        answer["has_ledger"] = False
    return answer | {"rows": [one._asdict() for one in findings], "unpriced": missing}


class UnpricedRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of which time, and with which price to estimate."""

    since: str = "month"
    until: str | None = None
    tz: str = "UTC"
    like: str | None = None
    """A card of the books, ``provider/model`` (a configured provider, or an id of the price list),
    or a model."""


def _unpriced(desk: Desk, asked: UnpricedRequest) -> dict[str, Any]:
    return unpriced(desk, asked.since, asked.until, asked.tz, asked.like)


class ImportRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A file of cards."""

    file: str
    """Its name, for errors and for its format."""
    text: str
    format: str | None = None
    reason: str | None = None
    author: str | None = None
    dry_run: bool = False


def _import(desk: Desk, asked: ImportRequest) -> dict[str, Any]:
    return _kept(desk, asked, read_file(asked.file, asked.text, asked.format))


def _kept(desk: Desk, asked: ImportRequest, written: list[Written]) -> dict[str, Any]:
    providers = desk.config.providers
    wanted = importing.wanted_cards(asked.file, written, providers, asked.reason)
    plan = importing.plan_import(desk.books, asked.file, wanted, providers)
    documents: list[str] = []
    if not asked.dry_run:
        documents = importing.apply_plan(desk.books, plan, asked.author or desk.author)
    return {
        "applied": not asked.dry_run, "rows": list(plan.rows), "counts": plan.counts,
        "documents": documents,
        "passed_over": _passed_over(desk, {one.contract.scope for one in wanted}),
    }  # fmt: skip


def _passed_over(desk: Desk, scopes: set[Any]) -> list[str]:
    """Return the cards of the settings that those of the books now go before."""
    return [one.name for one in price_book(desk).of_settings if one.scope in scopes]


class CardRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """One card, as ``[[prices]]`` has it: a discount off the list price, or own rates."""

    provider: str
    model: str
    effective_from: str
    effective_until: str | None = None
    service_tier: str | None = None
    region: str | None = None
    currency: str | None = None
    discount_percent: Decimal | None = None
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    requests: Decimal | None = None
    minimum_per_request: Decimal | None = None
    reason: str
    dry_run: bool = False


def _card(desk: Desk, asked: CardRequest) -> dict[str, Any]:
    plain = msgspec.structs.asdict(asked)
    is_dry, reason = plain.pop("dry_run"), plain.pop("reason")
    card = BookCard(**plain)
    request = ImportRequest(file="card", text="", reason=reason, dry_run=is_dry)
    return _kept(desk, request, [Written(f"card of {asked.model[:64]}", card)])


class WithdrawRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which card ends, and when."""

    card: str
    since: str
    """From when on there is no such card."""
    reason: str
    author: str | None = None
    tz: str = "UTC"
    dry_run: bool = False


def _withdraw(desk: Desk, asked: WithdrawRequest) -> dict[str, Any]:
    versions = [one for one in card_versions(desk.books) if one.name == asked.card]
    if not versions:
        raise QueryError("--card", f"no card {asked.card[:64]!r} in the books")
    last = card_of_body(asked.card, versions[-1].body)
    ended = BookCard(
        name=asked.card, provider=last.provider, model=last.model,
        service_tier=last.service_tier, region=last.region, withdrawn=True,
        effective_from=text_of(asked_ns(asked.since, asked.tz, "--since")),
    )  # fmt: skip
    request = ImportRequest(
        file="withdraw", text="", reason=asked.reason, author=asked.author, dry_run=asked.dry_run
    )
    return _kept(desk, request, [Written(f"card {asked.card}", ended)])


class FxRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rates."""

    currency: str | None = None
    since: str | None = None
    until: str | None = None
    tz: str = "UTC"


def _fx(desk: Desk, asked: FxRequest) -> dict[str, Any]:
    since = None if asked.since is None else text_of(asked_ns(asked.since, asked.tz, "--since"))
    until = None if asked.until is None else text_of(asked_ns(asked.until, asked.tz, "--until"))
    rows = []
    for name, document in sorted(newest_documents(desk.books, Subject.FX_RATES).items()):
        body = read_fx(name, document.body)
        if asked.currency not in {None, body.currency}:
            continue
        rows += [
            {"currency": body.currency, "date": day, "usd_per_unit": f"{usd:f}",
             "carried": day in body.carried, "document": document.document_id,
             "author": document.author, "reason": document.reason,
             "created_at": text_of(document.created_at_ns)}
            for day, usd in body.rates.items()
            if (since is None or day >= since[:10]) and (until is None or day < until[:10])
        ]  # fmt: skip
    return {"rows": rows[-_FX_ROWS_MAX:], "left_out": max(0, len(rows) - _FX_ROWS_MAX)}


class FxImportRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A CSV file of exchange rates."""

    file: str
    text: str
    reason: str
    author: str | None = None
    carry_days: int = 0
    """How many days without a quote take the last one before."""
    dry_run: bool = False


def _fx_import(desk: Desk, asked: FxImportRequest) -> dict[str, Any]:
    if not asked.reason.strip():
        raise PriceFileError(asked.file, "reason", "is missing; give one with --reason")
    if not 0 <= asked.carry_days <= fxfiles.CARRY_DAYS_MAX:
        raise QueryError("--carry-days", f"expected 0 to {fxfiles.CARRY_DAYS_MAX}")
    quotes = fxfiles.read_quotes(asked.file, asked.text)
    plan = fxfiles.plan_quotes(desk.books, quotes, asked.reason, asked.carry_days)
    documents: list[str] = []
    if not asked.dry_run:
        documents = fxfiles.apply_quotes(desk.books, plan, asked.author or desk.author)
    return {
        "applied": not asked.dry_run, "rows": list(plan.rows), "unchanged": plan.unchanged,
        "documents": documents,
    }  # fmt: skip


class ExportRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Cards as a file has them."""

    at: str | None = None
    tz: str = "UTC"


def _export(desk: Desk, asked: ExportRequest) -> dict[str, Any]:
    at_ns = showing.moment_asked(asked.at, asked.tz, "--at")
    held = {
        one.document for one in price_book(desk).contracts
        if one.document is not None and one.covers(at_ns)
    }  # fmt: skip
    rows = []
    for document in card_versions(desk.books):
        if document.document_id in held:
            card = card_of_body(document.name, document.body)
            steps = {
                f"{field}_above_{step.above}": f"{rate:f}"
                for step in card.steps for field, rate in given_rates(step).items()
            }  # fmt: skip
            minimum = card.minimum_per_request
            rows.append({
                "name": document.name, "provider": card.provider, "model": card.model,
                "service_tier": card.service_tier, "region": card.region,
                "effective_from": text_of(document.effective_from_ns),
                "effective_until": optional_text(document.effective_until_ns),
                "currency": card.currency,
                "discounts_percent": ";".join(f"{one:f}" for one in card.discounts_percent) or None,
                "minimum_per_request": None if minimum is None else f"{minimum:f}",
                **{field: f"{rate:f}" for field, rate in given_rates(card).items()}, **steps,
                "withdrawn": "true" if card.withdrawn else None, "reason": document.reason,
            })  # fmt: skip
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"rows": [{name: row.get(name) for name in names} for row in rows]}


OPERATIONS: Final = (
    Operation("prices.show", "GET", "/prices", ShowRequest, _show,
              "Show what a model costs, or the cards in force and used."),
    Operation("prices.history", "GET", "/prices/history", HistoryRequest, _history,
              "Show who changed which card, when and why."),
    Operation("prices.diff", "GET", "/prices/diff", DiffRequest, _diff,
              "Compare cards at two moments, or two versions."),
    Operation("prices.check", "GET", "/prices/check", CheckRequest, _check,
              "Check cards against one another, the list, and the calls."),
    Operation("prices.unpriced", "GET", "/prices/unpriced", UnpricedRequest, _unpriced,
              "List models without a price, with the dollars at stake."),
    Operation("prices.export", "GET", "/prices/cards", ExportRequest, _export,
              "List the cards of the books as an import takes them."),
    Operation("prices.import", "POST", "/prices/import", ImportRequest, _import,
              "Import price cards."),
    Operation("prices.card", "POST", "/prices/cards", CardRequest, _card,
              "Keep one price card."),
    Operation("prices.withdraw", "POST", "/prices/withdraw", WithdrawRequest, _withdraw,
              "End a price card."),
    Operation("prices.fx", "GET", "/prices/fx", FxRequest, _fx,
              "List exchange rates."),
    Operation("prices.fx_import", "POST", "/prices/fx/import", FxImportRequest, _fx_import,
              "Import exchange rates."),
    *restating_operations.OPERATIONS,
)  # fmt: skip
"""All that can be asked of the price book."""
