"""What new prices would make of booked calls: tried before they are kept, shown, and booked."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.chargeback.pricebook import importing
from tollbook.chargeback.pricebook.files import read_file
from tollbook.chargeback.pricebook.moments import asked_ns
from tollbook.chargeback.pricebook.restated import restatement
from tollbook.chargeback.pricebook.shelf import card_versions, dated, fx_table, price_book
from tollbook.desk import Operation
from tollbook.ledger.rerate import apply, preview
from tollbook.prices.book import BookPrices
from tollbook.prices.inforce import in_force
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from tollbook.desk import Desk
    from tollbook.prices.book import PriceBook

_REASON_CHARS_MAX: Final = 500


class RestatementRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Calls of which time; unset: all there are."""

    since: str | None = None
    until: str | None = None
    tz: str = "UTC"


class RestateRequest(RestatementRequest, forbid_unknown_fields=True, kw_only=True):
    """Calls of which time, and why."""

    reason: str


class TryRequest(RestatementRequest, forbid_unknown_fields=True, kw_only=True):
    """A file of cards, and the calls to try it on."""

    file: str
    """Its name, for errors and for its format."""
    text: str
    format: str | None = None


def _times(asked: RestatementRequest) -> tuple[int | None, int | None]:
    since, until = (
        None if text is None else asked_ns(text, asked.tz, option)
        for text, option in ((asked.since, "--since"), (asked.until, "--until"))
    )
    return since, until


def _show(desk: Desk, asked: RestatementRequest) -> dict[str, Any]:
    return _previewed(desk, price_book(desk), asked)


def _previewed(desk: Desk, book: PriceBook, asked: RestatementRequest) -> dict[str, Any]:
    since_ns, until_ns = _times(asked)
    with closing(desk.store.reader()) as connection:
        report = preview(connection, book, since_ns, until_ns, desk.progress)
    return restatement(desk.books, report, is_applied=False)


def _restate(desk: Desk, asked: RestateRequest) -> dict[str, Any]:
    reason = asked.reason.strip()
    if not reason or len(reason) > _REASON_CHARS_MAX or not reason.isprintable():
        raise QueryError(
            "--reason", f"say why it is booked, in a line of at most {_REASON_CHARS_MAX} characters"
        )
    report = apply(
        desk.store, desk.books, price_book(desk), *_times(asked), actor=desk.author, reason=reason,
        progress=desk.progress,
    )  # fmt: skip
    return restatement(desk.books, report, is_applied=True)


def _try(desk: Desk, asked: TryRequest) -> dict[str, Any]:
    book = price_book(desk)
    # Nothing is kept, so there is nothing to give a reason for.
    wanted = importing.wanted_cards(
        asked.file, read_file(asked.file, asked.text, asked.format), desk.config.providers, "tried"
    )
    plan = importing.plan_import(desk.books, asked.file, wanted, desk.config.providers)
    versions = [dated(one) for one in card_versions(desk.books)]
    last = {one.name: one.version for one in versions}
    now_ns = clock.unix_ns()
    tried = [
        one.version._replace(
            version=last.get(one.version.name, 0) + at, document_id=f"tried-{now_ns}-{at}"
        )
        for at, one in enumerate(wanted, 1)
    ]
    contracts, problems = in_force([*versions, *tried], desk.config.providers)
    book.take(BookPrices(contracts, fx_table(desk.books)))
    answer = _previewed(desk, book, asked)
    return answer | {"cards": list(plan.rows), "counts": plan.counts, "problems": list(problems)}


OPERATIONS: Final = (
    Operation("prices.restatement", "GET", "/prices/restatement", RestatementRequest, _show,
              "Show what the prices of now would change of what is booked.", writes=True),
    Operation("prices.restate", "POST", "/prices/restate", RestateRequest, _restate,
              "Book what the prices of now change.", writes=True),
    Operation("prices.try", "POST", "/prices/try", TryRequest, _try,
              "Show what a file of price cards would change of what is booked.", writes=True),
)  # fmt: skip
