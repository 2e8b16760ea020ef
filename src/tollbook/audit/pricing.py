"""What calls cost, by list prices or by a price book of one's own; exact, and dated.

A call is priced as the ledger prices it: the card of the model that answered, in the tier and the
region it was served in, at the time it began. What is uncertain is said beside the price.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook import clock
from tollbook.audit.price_words import reported_words, said_of, unknown_model
from tollbook.prices.listprices import LIST_SOURCE, list_provider_ids, maker_of
from tollbook.prices.names import list_id_of
from tollbook.prices.pricelist import LIST
from tollbook.prices.rating import rate
from tollbook.prices.tiers import with_batch

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.prices.book import PriceBook
    from tollbook.prices.card import RateCard

_SIMILAR_MAX: Final = 64
_ANSWERS_MAX: Final = 8192
_DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CALL_MAX_PICO: Final = 10**18
"""A million dollars: no call costs that, a count that is made up may."""
_FREE_OF_CHARGE: Final = "not charged: the provider refused or was never reached"


class NoPrices:
    """Prices nothing."""

    words = "no prices"

    def price(self, fact: SpanFact) -> SpanFact:
        """Return it as it is."""
        return fact


class _Answer(NamedTuple):
    """What prices the calls of a model in a tier and a region on a day."""

    card: RateCard | None
    text: str | None
    problems: tuple[str, ...]
    is_doubtful: bool


class _Pricer:
    """Prices calls with a price book."""

    def __init__(self, book: PriceBook, words: str, price_age_max_days: int) -> None:
        self.words = words
        self._book = book
        self._known = list_provider_ids()
        self._age_max = timedelta(days=price_age_max_days)
        self._near: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._answers: dict[tuple[str, str | None, str | None, bool, str | None, int], _Answer] = {}

    def price(self, fact: SpanFact) -> SpanFact:
        """Return it with the cost of its call, or with why there is none."""
        call = fact.call
        if call is None:
            return fact
        if not call.is_billable:
            return replace(fact, call=replace(call, cost_pico=0, price_problem=_FREE_OF_CHARGE))
        return replace(fact, call=self._priced(call, fact.started_at_ns or fact.ended_at_ns))

    def _priced(self, call: CallFact, at_ns: int) -> CallFact:
        told = call.reported_cost_pico if call.cost_source == "provider" else None
        if told is not None and call.provider in self._book.uses_reported:
            return _as_told(call, told, reported_words(call.provider), is_doubtful=False)
        if call.kinds is None:
            return self._unused(call, at_ns, told)
        found = self._answer(call, at_ns)
        if found.card is None:
            return _without(call, "; ".join(found.problems), told)
        rated = rate(found.card, call.kinds)
        if rated.unpriced_kinds:
            missing = (f"no rate for {kind}" for kind in rated.unpriced_kinds)
            return _without(call, "; ".join((*found.problems, *missing)), told)
        if rated.total > _CALL_MAX_PICO:
            return _without(call, "the cost is beyond any amount of money for one call", told)
        said, is_doubtful = said_of(rated.flags)
        problems = (*found.problems, *said)
        return replace(
            call,
            cost_pico=rated.total,
            price_card=found.text,
            price_problem="; ".join(problems) if problems else None,
            is_price_doubtful=found.is_doubtful or is_doubtful,
        )

    def _unused(self, call: CallFact, at_ns: int, told: int | None) -> CallFact:
        """Return a call without usage, with whether only that was missing for a price."""
        without = _without(call, "no usage is known", told)
        if told is not None:
            return without
        found = self._answer(call, at_ns)
        is_waiting = found.card is not None and not found.is_doubtful
        return replace(without, is_price_waiting=is_waiting)

    def _answer(self, call: CallFact, at_ns: int) -> _Answer:
        model = call.model_actual or call.model_requested
        key = (
            call.provider, model, call.service_tier, call.is_batch, call.region, at_ns // _DAY_NS,
        )  # fmt: skip
        answer = self._answers.get(key)
        if answer is None or (answer.card is not None and answer.card.daily_window is not None):
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
            answer = self._answers[key] = self._looked_up(call, model, at_ns)
        return answer

    def _looked_up(self, call: CallFact, model: str | None, at_ns: int) -> _Answer:
        if model is None:
            return _Answer(None, None, ("the span names no model",), is_doubtful=True)
        problems: list[str] = []
        provider, is_doubtful = self._provider(call.provider, model, problems)
        if call.model_actual is None:
            problems.append("priced as the model that was asked for: what answered is not told")
        if not at_ns:
            at_ns, is_doubtful = _ns(clock.utc_now()), True
            problems.append("the call has no time: today's price is used")
        tier = with_batch(call.service_tier) if call.is_batch else call.service_tier
        card = self._book.resolve(provider, model, at_ns, tier, call.region)
        if card is None:
            near = self._similar(provider, model)
            return _Answer(None, None, (unknown_model(provider, model, near),), is_doubtful=True)
        stale = self._stale(card, at_ns)
        if stale is not None:
            problems.append(stale)
        text = f"{card.provider}/{card.model}, {card.source}, card {card.card_id}"
        return _Answer(card, text, tuple(problems), is_doubtful or stale is not None)

    def _similar(self, provider: str, model: str) -> list[tuple[str, str]]:
        """Return models of like names, for the first of those that have no price.

        Comparing names takes milliseconds; an input may hold a million names that are none.
        """
        key = provider, model
        if key not in self._near:
            if len(self._near) >= _SIMILAR_MAX:
                return []
            self._near[key] = self._book.similar(provider, model)
        return self._near[key]

    def _provider(self, told: str, model: str, problems: list[str]) -> tuple[str, bool]:
        """Return the provider by the name that the book knows, and whether that is a guess."""
        if told in self._book.providers:
            return told, False
        list_id = list_id_of(told, self._known)
        if list_id is not None:
            return list_id, False
        maker = maker_of(model)
        if maker is None:
            return told, True
        problems.append(
            f"the provider {told!r} has no list prices: priced as {maker}, who makes {model}"
        )
        return maker, True

    def _stale(self, card: RateCard, at_ns: int) -> str | None:
        """Say that the list may have been another one by then."""
        if LIST.read_on is None or not card.source.startswith(LIST_SOURCE):
            return None
        day = (_EPOCH + timedelta(days=at_ns // _DAY_NS)).date()
        if day <= LIST.read_on + self._age_max:
            return None
        return f"the price list is of {LIST.read_on}, {(day - LIST.read_on).days} days before"


class ListPricer(_Pricer):
    """Prices calls by the list prices of their time.

    Args:
        price_age_max_days: calls so much later than the list are priced, and it is said.
    """

    def __init__(self, price_age_max_days: int = 30) -> None:
        from tollbook.config import Config  # noqa: PLC0415 -- where it is used
        from tollbook.prices.book import PriceBook  # noqa: PLC0415 -- as above

        book = PriceBook.of_config(Config(), "the settings")
        super().__init__(book, f"list prices, {list_words()}", price_age_max_days)


class BookPricer(_Pricer):
    """Prices calls as the ledger of a Tollbook would: its own prices before those of the list.

    Args:
        config: the ``tollbook.toml`` with ``[[prices]]``; the cards of the books in its
            ``store.dir`` are used too, where there are any.
        price_age_max_days: see :class:`ListPricer`.

    Raises:
        ConfigError: the file, or a card in it, cannot be used.
        BookTextError: a card of the books cannot be read.
    """

    def __init__(self, config: Path, price_age_max_days: int = 30) -> None:
        import os  # noqa: PLC0415 -- where it is used

        from tollbook.audit.price_books import prices_in  # noqa: PLC0415 -- as above
        from tollbook.config import load_config  # noqa: PLC0415 -- as above
        from tollbook.prices.book import PriceBook  # noqa: PLC0415 -- as above

        settings = load_config(config, os.environ)
        book = PriceBook.of_config(settings, str(config))
        prices, problems = prices_in(settings.store.dir, book.providers)
        book.take(prices)
        cards = len(book.contracts)
        words = f"{config} ({cards} own {'price' if cards == 1 else 'prices'}), else {list_words()}"
        super().__init__(book, "; ".join((words, *problems)), price_age_max_days)


def list_words() -> str:
    """Return which price list is used."""
    return LIST_SOURCE + ("" if LIST.read_on is None else f" of {LIST.read_on}")


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _as_told(call: CallFact, cost_pico: int, card: str, *, is_doubtful: bool) -> CallFact:
    return replace(call, cost_pico=cost_pico, price_card=card, is_price_doubtful=is_doubtful)


def _without(call: CallFact, problem: str, told: int | None) -> CallFact:
    """Return a call that no card prices: the provider's own figure is used, where there is one."""
    if told is not None and 0 <= told <= _CALL_MAX_PICO:
        return replace(
            _as_told(call, told, reported_words(call.provider), is_doubtful=False),
            price_problem=f"{problem}; the provider's own figure is used",
        )
    return replace(call, price_problem=problem, is_price_doubtful=True)
