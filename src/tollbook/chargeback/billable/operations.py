"""Billing rules over the API: what there is, what more of them would change, and booking it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, document_history
from tollbook.chargeback.billable.files import keep_rules, read_rules, with_proposed
from tollbook.chargeback.billable.month import book_month, month_lines, open_period
from tollbook.chargeback.periods import the_period
from tollbook.chargeback.pricebook.moments import asked_ns, optional_text, text_of
from tollbook.chargeback.pricebook.shelf import price_book
from tollbook.config.load import DEFAULT_FILE
from tollbook.desk import Desk, Operation
from tollbook.ledger.billing import Biller
from tollbook.ledger.billing_rerate import apply_billing, preview_billing
from tollbook.ledger.billing_rules import read_body
from tollbook.ledger.cards import BooksShelf
from tollbook.money import usd_text
from tollbook.prices.book import PriceBook
from tollbook.reports.errors import QueryError
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.chargeback.billable.month import MonthLine
    from tollbook.ledger.billing_rerate import RebillRow

_CURRENCY: Final = "USD"


class ShowRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rules: those that hold at a time, or every version."""

    at: str | None = None
    """Unset: now."""
    history: bool = False
    tz: str = "UTC"


def _show(desk: Desk, asked: ShowRequest) -> dict[str, Any]:
    at_ns = clock.unix_ns() if asked.at is None else asked_ns(asked.at, asked.tz, "--at")
    history = document_history(desk.books, Subject.BILLING_RULE)
    held: dict[str, int] = {}
    for one in history:
        is_over = one.effective_until_ns is not None and one.effective_until_ns <= at_ns
        if one.effective_from_ns <= at_ns and not is_over:
            held[one.name] = max(one.version, held.get(one.name, 0))
    rows = []
    for one in sorted(history, key=lambda one: (one.name, one.version)):
        is_held = held.get(one.name) == one.version
        if not asked.history and not is_held:
            continue
        body = read_body(one)
        told = {} if body is None else msgspec.to_builtins(body)
        rows.append({
            "name": one.name, "version": one.version, "kind": told.pop("kind", "unreadable"),
            "holds": is_held, "effective_from": text_of(one.effective_from_ns),
            "effective_until": optional_text(one.effective_until_ns),
            "match": told.pop("match", {}), "says": told, "author": one.author,
            "reason": one.reason, "created_at": text_of(one.created_at_ns),
        })  # fmt: skip
    return {"rows": rows}


class ImportRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Rules to keep; each with ``name``, ``effective_from`` and its body."""

    rules: list[dict[str, Any]]
    reason: str = ""
    source: str = "request"
    """The file, for errors."""
    dry_run: bool = False
    """Check them, and show what they would change of what is booked."""
    since: str | None = None
    """Of the calls to look at in a dry run; unset: the first day that a rule holds."""
    until: str | None = None
    tz: str = "UTC"


def _import(desk: Desk, asked: ImportRequest) -> dict[str, Any]:
    written = read_rules(asked.rules, asked.source)
    if asked.dry_run:
        first = min(one.effective_from_ns for one in written)
        times = _times(asked.since or text_of(max(first, 0)), asked.until, asked.tz)
        rules = with_proposed(desk.books, written)
        with closing(desk.store.reader()) as connection:
            rows = preview_billing(
                connection, _biller(desk), *times, rules=rules, progress=desk.progress
            )
        return _effect(rows, is_booked=False)
    kept = keep_rules(desk.books, written, asked.reason, desk.author)
    return {
        "rows": [
            {"document_id": one.document_id, "is_new": is_new, "name": one.name,
             "effective_from": text_of(one.effective_from_ns),
             "effective_until": optional_text(one.effective_until_ns)}
            for one, is_new in kept
        ]
    }  # fmt: skip


class RebillRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Calls of which time."""

    since: str = "month"
    until: str | None = None
    tz: str = "UTC"


class ApplyRebillRequest(RebillRequest, forbid_unknown_fields=True, kw_only=True):
    """Calls of which time, and why."""

    reason: str


def _preview(desk: Desk, asked: RebillRequest) -> dict[str, Any]:
    times = _times(asked.since, asked.until, asked.tz)
    with closing(desk.store.reader()) as connection:
        rows = preview_billing(connection, _biller(desk), *times, progress=desk.progress)
    return _effect(rows, is_booked=False)


def _rebill(desk: Desk, asked: ApplyRebillRequest) -> dict[str, Any]:
    times = _times(asked.since, asked.until, asked.tz)
    if not asked.reason.strip():
        raise QueryError("--reason", "expected why the rules were changed")
    if desk.store.biller is None:
        desk.store.biller = _biller(desk)
    rows = apply_billing(desk.store, *times, asked.reason.strip(), progress=desk.progress)
    return _effect(rows, is_booked=True)


def _biller(desk: Desk) -> Biller:
    """Return what bills calls now: prices are read anew, so that a change can be tried."""
    source = str(desk.config_path or DEFAULT_FILE)

    def lists() -> PriceBook:
        return PriceBook.of_config(msgspec.structs.replace(desk.config, prices=[]), source)

    return Biller(desk.books, BooksShelf(desk.books), price_book(desk), lists)


def _times(since: str, until: str | None, tz: str) -> tuple[int, int]:
    """Return a range in microseconds since the epoch."""
    zone, now = zone_of(tz), clock.utc_now()
    first = parse_period(since, zone, now, "--since").start
    last = now if until is None else parse_period(until, zone, now, "--until").start
    return _us(first), _us(last)


def _us(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _effect(rows: Sequence[RebillRow], *, is_booked: bool) -> dict[str, Any]:
    shown = [
        {
            "tenant": one.tenant_id, "rule": one.rule, "calls": one.calls,
            "before_usd": usd_text(one.before), "after_usd": usd_text(one.after),
            "change_usd": usd_text(one.difference), "unknown_before": one.unknown_before,
            "unknown_after": one.unknown_after,
        }
        for one in rows
    ]  # fmt: skip
    totals = {
        "calls": sum(one.calls for one in rows),
        "before_usd": usd_text(sum(one.before for one in rows)),
        "after_usd": usd_text(sum(one.after for one in rows)),
        "change_usd": usd_text(sum(one.difference for one in rows)),
    }
    return {"rows": shown, "totals": totals, "is_booked": is_booked, "currency": _CURRENCY}


class MonthRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which month."""

    period: str


def _allowances(desk: Desk, asked: MonthRequest) -> dict[str, Any]:
    period = the_period(desk.books, desk.config, asked.period)
    lines = month_lines(desk.reader, desk.books, period)
    return _month(lines, period.name, open_period(desk.books, period).name)


def _apply(desk: Desk, asked: MonthRequest) -> dict[str, Any]:
    period = the_period(desk.books, desk.config, asked.period)
    lines, runs = book_month(desk, period)
    answer = _month(lines, period.name, open_period(desk.books, period).name)
    return answer | {"adjustment_ids": runs}


def _month(lines: Sequence[MonthLine], period: str, stands_in: str) -> dict[str, Any]:
    rows = [
        {
            "tenant": one.tenant_id, "plan": one.plan, "part": one.part,
            "due_usd": usd_text(one.due), "booked_usd": usd_text(one.booked),
            "difference_usd": usd_text(one.difference), "terms": one.document_id,
            "reason": one.reason,
        }
        for one in lines
    ]  # fmt: skip
    totals = {
        "due_usd": usd_text(sum(one.due for one in lines)),
        "booked_usd": usd_text(sum(one.booked for one in lines)),
        "difference_usd": usd_text(sum(one.difference for one in lines)),
    }
    return {
        "rows": rows, "totals": totals, "period": period, "billing_period": stands_in,
        "currency": _CURRENCY,
    }  # fmt: skip


OPERATIONS: Final = (
    Operation(
        "billable.rules", "GET", "/billable/rules", ShowRequest, _show,
        "Billing rules, plans and terms.",
    ),
    Operation(
        "billable.import", "POST", "/billable/rules", ImportRequest, _import,
        "Keep billing rules, or show what they would change.", writes=True,
    ),
    Operation(
        "billable.preview", "GET", "/billable/preview", RebillRequest, _preview,
        "What the rules of now would change of what is booked, by tenant.", writes=True,
    ),
    Operation(
        "billable.rerate", "POST", "/billable/rerate", ApplyRebillRequest, _rebill,
        "Book what the rules of now change.", writes=True,
    ),
    Operation(
        "billable.allowances", "GET", "/billable/allowances", MonthRequest, _allowances,
        "A month's allowances, discounts, caps, minimums and fees: due, booked, difference.",
    ),
    Operation(
        "billable.apply", "POST", "/billable/apply", MonthRequest, _apply,
        "Book a month's allowances, discounts, caps, minimums and fees.", writes=True,
    ),
)  # fmt: skip
