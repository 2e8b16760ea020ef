"""Models that have no price: how much is at stake, since when, for whom."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.pricebook.moments import ns_of
from tollbook.chargeback.pricebook.shelf import price_book
from tollbook.chargeback.pricebook.traffic import range_of, traffic
from tollbook.money import usd_text
from tollbook.prices.rating import rate
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.query import Filter
from tollbook.reports.zone import zone_of
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from tollbook.desk import Desk
    from tollbook.prices.book import PriceBook
    from tollbook.prices.card import RateCard

_BY: Final = ("day", "provider", "model", "price_tier", "region", "tenant")
_WHERE: Final = (Filter("price_state", ("unpriced",)),)
TENANTS_SHOWN: Final = 20
COLUMNS: Final = (
    "provider", "model", "price_tier", "calls", "input_tokens", "output_tokens", "since",
    "tenants", "estimated_usd", "estimated_with", "why",
)  # fmt: skip


class Likeness(NamedTuple):
    """A card that an estimate is made with."""

    words: str
    """Which, for people."""
    is_own: bool
    """It is the one in force for the model itself: what re-rating would book."""


class _Model(NamedTuple):
    provider: str
    model: str | None
    tier: str | None


class _Queue:
    """The sums of one model."""

    def __init__(self) -> None:
        self.days: dict[tuple[datetime, str | None], list[int]] = defaultdict(
            lambda: [0] * len(KINDS)
        )
        """Quantities by kind of each local day and region."""
        self.tenants: dict[str, int] = defaultdict(int)
        self.calls = 0
        self.reported: int | None = None

    def add(self, row: dict[str, Any]) -> None:
        sums = self.days[row["day"], row["region"]]
        for at, kind in enumerate(KINDS):
            sums[at] += row[kind] or 0
        self.calls += row["calls"]
        self.tenants[row["tenant"] or UNKNOWN] += row["calls"]
        if row["reported_cost_usd"] is not None:
            self.reported = (self.reported or 0) + row["reported_cost_usd"]

    @property
    def total(self) -> Kinds:
        return Kinds(*map(sum, zip(*self.days.values(), strict=True)))


def unpriced(
    desk: Desk, since: str, until: str | None, tz: str, like: str | None
) -> dict[str, Any]:
    """Return the queue of unpriced models, the dearest first.

    An estimate takes the sums of a day at the rates below the first context step; it is never
    booked, and says what it was made with.

    Args:
        desk: of the ledger.
        since: first time, as people write it.
        until: first moment left out; None: of the time named, or now.
        tz: zone of both.
        like: ``provider/model`` whose price is to be used for all; None: the nearest of the list.

    Raises:
        QueryError: a time that is none, or no price for ``like``.
    """
    first, last = range_of(since, until, tz)
    queues: dict[_Model, _Queue] = defaultdict(_Queue)
    for row in traffic(desk, first, last, _BY, _WHERE, tz):
        queues[_Model(row["provider"], row["model"], row["price_tier"])].add(row)
    queues = {one: queue for one, queue in queues.items() if queue.calls or any(queue.total)}
    book = price_book(desk) if queues else None
    rows = []
    for one, queue in queues.items():
        assert book is not None
        rows.append(_row(_Pricing(book, one, queue, zone_of(tz), like)))
    rows.sort(key=lambda row: (-(row["_stake"] or 0), -row["calls"], row["provider"]))
    stakes = [row.pop("_stake") for row in rows]
    totals = {
        "calls": sum(row["calls"] for row in rows),
        "estimated_usd": usd_text(sum(one or 0 for one in stakes)),
        "models_without_estimate": sum(one is None for one in stakes),
    }
    return {
        "rows": rows, "totals": totals, "currency": "USD",
        "note": "estimates only: what is unpriced has no cost in any report",
    }  # fmt: skip


class _Pricing(NamedTuple):
    book: PriceBook
    of: _Model
    queue: _Queue
    zone: tzinfo
    like: str | None

    def at_ns(self, day: datetime) -> int:
        """The middle of a local day."""
        return ns_of((day + timedelta(hours=12)).replace(tzinfo=self.zone))

    @property
    def last_ns(self) -> int:
        return self.at_ns(max(day for day, _ in self.queue.days))

    def estimate(self) -> tuple[int | None, Likeness | None]:
        """Return the dollars in pico, and the card that they are made with."""
        if self.of.model is None or not any(self.queue.total):
            return None, None
        own = self._own()
        if own is not None:
            words = f"{own[1].provider} {own[1].model}, card {own[1].card_id} in force now"
            return own[0], Likeness(words, is_own=True)
        if self.like is not None:
            words = f"price of {self.like} (named)"
            return self._sum_like(self.like), Likeness(words, is_own=False)
        for one in self.book.similar(self.of.provider, self.of.model):
            found = self._sum(partial(self._listed, one))
            if found is not None:
                words = f"list price of {' '.join(one)} (a similar name)"
                return found, Likeness(words, is_own=False)
        return None, None

    def _listed(
        self, one: tuple[str, str], at_ns: int, _region: str | None = None
    ) -> RateCard | None:
        return self.book.list_card(*one, at_ns, self.of.tier)

    def _sum_like(self, like: str) -> int:
        """Return what a card of the books by its name, or a model, would make of it.

        Raises:
            QueryError: that has no price for such usage.
        """
        provider, _, name = like.rpartition("/")
        provider = provider or self.of.provider

        def find(at_ns: int, region: str | None) -> RateCard | None:
            return (
                self.book.named(like, at_ns)
                or self._listed((provider, name), at_ns)
                or self.book.resolve(provider, name, at_ns, self.of.tier, region)
            )

        total = self._sum(find)
        if total is None:
            raise QueryError("--like", f"{like[:64]!r} has no price for this usage")
        return total

    def _own(self) -> tuple[int, RateCard] | None:
        """Return what the cards that are in force now would make of it, if they price all of it."""
        provider, model, tier = self.of
        cards: list[RateCard | None] = []

        def find(at_ns: int, region: str | None) -> RateCard | None:
            cards.append(self.book.resolve(provider, model, at_ns, tier, region))
            return cards[-1]

        total = self._sum(find)
        card = cards[-1]
        return None if total is None or card is None else (total, card)

    def _sum(self, find: Callable[[int, str | None], RateCard | None]) -> int | None:
        """Return what cards, found by time and region, make of all days; None: not of all."""
        total = 0
        for (day, region), sums in self.queue.days.items():
            card = find(self.at_ns(day), region)
            cost = None if card is None else _cost(card, sums)
            if cost is None:
                return None
            total += cost
        return total

    def why(self) -> str:
        """Why the calls have no price."""
        if self.of.model is None:
            return "no model is known"
        if not any(self.queue.total):
            return "no usage is known"
        _, region = max(self.queue.days, key=lambda one: (one[0], one[1] or ""))
        at_ns = self.last_ns
        card = self.book.resolve(self.of.provider, self.of.model, at_ns, self.of.tier, region)
        if card is None:
            return "no card and no list price"
        missing = rate(card, self.queue.total).unpriced_kinds
        if missing:
            return f"no rate for {', '.join(missing)}"
        return "priced now: book it with tollbook prices rerate"


def _cost(card: RateCard, sums: list[int]) -> int | None:
    """Return what a day's sums cost without context steps; None where a kind has no rate."""
    # Sums of many calls say nothing of the size of one. The id is another card's: plans are kept.
    plain = replace(card, steps=(), card_id=f"{card.card_id}:base") if card.steps else card
    rated = rate(plain, Kinds(*sums))
    return None if rated.unpriced_kinds else rated.total


def _row(one: _Pricing) -> dict[str, Any]:
    queue, total = one.queue, one.queue.total
    stake, likeness = one.estimate()
    tenants = sorted(queue.tenants, key=lambda name: (-queue.tenants[name], name))
    return {
        "provider": one.of.provider, "model": one.of.model, "price_tier": one.of.tier,
        "calls": queue.calls, "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "since": min(day for day, _ in queue.days).date().isoformat(),
        "tenants": len(tenants), "tenants_affected": tenants[:TENANTS_SHOWN],
        "estimated_usd": None if stake is None else usd_text(stake),
        "estimated_with": "nothing similar: name a model with --like"
        if likeness is None else likeness.words,
        "is_estimate": True,
        "reported_cost_usd": None if queue.reported is None else usd_text(queue.reported),
        "why": one.why(), "_stake": stake,
    }  # fmt: skip
