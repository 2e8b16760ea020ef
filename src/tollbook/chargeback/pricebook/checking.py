"""Check the cards against one another, against the list, and against the calls there were."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import clock
from tollbook.chargeback.pricebook.changes import change_percent, rate_fields
from tollbook.chargeback.pricebook.moments import ns_of, text_of
from tollbook.chargeback.pricebook.shelf import book_prices, price_book
from tollbook.chargeback.pricebook.traffic import range_of, traffic
from tollbook.prices.listprices import END_NS
from tollbook.reports.query import Filter
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.desk import Desk
    from tollbook.prices.book import PriceBook
    from tollbook.prices.contract import Contract

DIFFER_PERCENT: Final = 50
UNPRICED_COLUMNS: Final = (
    "provider", "model", "price_tier", "calls", "input_tokens", "output_tokens",
)  # fmt: skip
COLUMNS: Final = ("severity", "finding", "card", "provider", "model", "detail")
_BY: Final = ("day", "provider", "model", "price_tier", "region", "price_state")
_UNPRICED: Final = "unpriced"
_SHOWN_FIELDS_MAX: Final = 4


class Use(NamedTuple):
    """Calls of one model on one UTC day."""

    provider: str
    model: str
    tier: str | None
    region: str | None
    at_ns: int
    """Noon."""
    calls: int


class Finding(NamedTuple):
    """Something to look at."""

    severity: str
    """``error``: prices are wrong or missing; ``warning``: they may be."""
    finding: str
    card: str | None
    provider: str | None
    model: str | None
    detail: str


class Checked(NamedTuple):
    """What was found."""

    findings: list[Finding]
    unpriced: list[dict[str, Any]]


def check(
    desk: Desk, since: str, until: str | None, tz: str, differ_percent: int | None
) -> Checked:  # fmt: skip
    """Check everything there is to check; the calls are those of a range.

    Raises:
        QueryError: a time that is none.
        ConfigError: a card of the settings that cannot be used.
        NoLedgerError: there is no ledger to take calls from.
    """
    book = price_book(desk)
    findings = check_cards(desk, book)
    first, last = range_of(since, until, tz)
    used: list[Use] = []
    unpriced: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in traffic(desk, first, last, _BY, (Filter("kind", ("charge", "reversal")),)):
        if row["price_state"] == _UNPRICED:
            key = (row["provider"], row["model"] or "", row["price_tier"] or "")
            sums = unpriced[key]
            sums[0] += row["calls"]
            sums[1] += sum(row[kind] or 0 for kind in INPUT_KINDS)
            sums[2] += sum(row[kind] or 0 for kind in OUTPUT_KINDS)
        if row["model"]:
            used.append(
                Use(
                    row["provider"], row["model"], row["price_tier"], row["region"],
                    ns_of((row["day"] + timedelta(hours=12)).replace(tzinfo=first.tzinfo)),
                    row["calls"],
                )
            )  # fmt: skip
    findings += _against_calls(book, used, ns_of(first), ns_of(last))
    findings += _off_list(book, used, differ_percent or DIFFER_PERCENT)
    findings.sort(key=lambda one: (one.severity, one.finding, one.card or ""))
    rows = [
        dict(zip(UNPRICED_COLUMNS, (key[0], key[1] or None, key[2] or None, *sums), strict=True))
        for key, sums in sorted(unpriced.items())
        if any(sums)
    ]
    return Checked(findings, rows)


def check_cards(desk: Desk, book: PriceBook) -> list[Finding]:
    """Check the cards by themselves.

    Raises:
        BooksError: the books cannot be read.
    """
    _, problems = book_prices(desk.books, book.providers)
    findings = [Finding("error", "unusable", None, None, None, words) for words in problems]
    live = [one for one in book.contracts if not one.is_withdrawn]
    by_scope: dict[Any, list[Contract]] = defaultdict(list)
    for one in live:
        by_scope[one.scope].append(one)
    for same in by_scope.values():
        for at, one in enumerate(same):
            findings += [
                _contradiction(one, other)
                for other in same[at + 1 :]
                if one.name != other.name and _is_overlapping(one, other)
            ]
    return findings


def _is_overlapping(one: Contract, other: Contract) -> bool:
    return (one.until_ns or END_NS) > other.from_ns and (other.until_ns or END_NS) > one.from_ns


def _contradiction(winner: Contract, loser: Contract) -> Finding:
    is_error = winner.document is not None and loser.document is not None
    return Finding(
        "error" if is_error else "warning", "contradiction", loser.name, loser.provider,
        loser.model, f"{winner.name} goes before it at the same time, for the same calls",
    )  # fmt: skip


class _Met:
    """What the calls say of the cards."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self.names: set[str] = set()
        self.expired: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.ended: dict[str, Contract] = {}
        self.no_fx: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.rivals: dict[tuple[str, str], str] = {}
        """Cards that are as much for a call as the one that won: which, and the model."""

    def add(self, use: Use) -> None:
        where = (use.provider, use.model, use.at_ns, use.tier, use.region)
        chosen, matching = self._book.candidates(*where)
        for one in matching:
            if one is chosen:
                break
            if one.until_ns is not None and one.until_ns <= use.at_ns:
                self.expired[one.name, use.model].append(use.calls)
                self.ended[one.name] = one
        if chosen is None:
            return
        self.names.add(chosen.name)
        for one in matching:
            is_rival = one.is_literal_as(chosen) and one.scope != chosen.scope
            if is_rival and one.covers(use.at_ns) and not one.is_withdrawn:
                self.rivals.setdefault((one.name, use.model), chosen.name)
        if chosen.currency is not None:
            card = self._book.resolve(*where)
            if card is not None and card.uncounted:
                self.no_fx[chosen.name, chosen.currency].add(text_of(use.at_ns)[:10])


def _against_calls(
    book: PriceBook, used: Sequence[Use], since_ns: int, until_ns: int
) -> Iterator[Finding]:
    met = _Met(book)
    for use in used:
        met.add(use)
    for (name, model), calls in met.expired.items():
        ended = met.ended[name]
        yield Finding(
            "warning", "expired card in use", name, ended.provider, model,
            f"ended {text_of(ended.until_ns or 0)}; {sum(calls):,} calls since then have another "
            "price, or none",
        )  # fmt: skip
    for (name, model), winner in met.rivals.items():
        yield Finding(
            "warning", "as literal as another", name, None, model,
            f"{winner} prices these calls: of two patterns alike the later start wins, then the "
            "order of the alphabet; make one more literal",
        )  # fmt: skip
    for (name, currency), days in met.no_fx.items():
        yield Finding(
            "error", "no exchange rate", name, None, None,
            f"{currency} on {len(days)} day(s) with calls, first {min(days)}",
        )  # fmt: skip
    for one in book.contracts:
        in_range = one.from_ns < until_ns and (one.until_ns or END_NS) > since_ns
        if in_range and not one.is_withdrawn and one.name not in met.names:
            yield Finding(
                "warning", "matches no calls", one.name, one.provider, one.model,
                "no call in the range was for it",
            )  # fmt: skip


def _off_list(book: PriceBook, used: Sequence[Use], percent: int) -> Iterator[Finding]:
    """Yield cards with own rates that are far from the list price of a model in use."""
    latest: dict[tuple[str, str, str | None, str | None], Use] = {}
    for use in used:
        key = (use.provider, use.model, use.tier, use.region)
        if key not in latest or latest[key].at_ns < use.at_ns:
            latest[key] = use
    now_ns = clock.unix_ns()
    for one in book.contracts:
        if one.covers(now_ns) and one.rates is not None and not set(one.model) & set("*?"):
            tier = None if one.tier is None or set(one.tier) & set("*?") else one.tier
            key = (one.provider, one.model, tier, None)
            latest.setdefault(key, Use(*key, now_ns, 0))
    said = set()
    for (provider, model, tier, region), use in latest.items():
        chosen, _ = book.candidates(provider, model, use.at_ns, tier, region)
        if chosen is None or chosen.rates is None or (chosen.name, model) in said:
            continue
        card = book.resolve(provider, model, use.at_ns, tier, region)
        listed = book.listed(provider, model, use.at_ns, tier, region)
        if card is None or listed is None:
            continue
        mine, theirs = rate_fields(card), rate_fields(listed)
        far = [
            f"{name} {moved} %"
            for name in mine
            if (moved := change_percent(theirs.get(name), mine[name])) is not None
            and abs(Fraction(moved)) > percent
        ]
        if far:
            said.add((chosen.name, model))
            yield Finding(
                "warning", "far from list price", chosen.name, provider, model,
                f"more than {percent} %: {', '.join(far[:_SHOWN_FIELDS_MAX])}",
            )  # fmt: skip
