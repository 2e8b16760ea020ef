"""``insights.cache_opportunity``: stable prefixes that were paid at the full price."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.insights.asked import Asked, Finding, answer, checked_limit, query_of, shown
from tollbook.insights.cache_rules import LIFETIME_S, prefix_tokens_min
from tollbook.ledger.cards import BooksShelf
from tollbook.money import usd_text
from tollbook.prices.rating import rates_in_step, step_edges
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percent, rounded
from tollbook.reports.prefixes import Minimum, Repeats, prefix_repeats, provider_models
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.desk import Desk
    from tollbook.prices.card import RateCard

_FRESH: Final = KINDS.index("uncached_input_tokens")
_READ: Final = KINDS.index("cache_read_tokens")
_WRITTEN: Final = KINDS.index("cache_write_5m_tokens")
_LIFETIME_MAX_S: Final = 86_400
METHOD: Final = (
    "A prefix is the system prompt and the definitions of tools, told apart by its fingerprint; "
    "its tokens are the input of the call in proportion to the weight of the request. Looked at "
    "are prefixes that the provider caches for the model (from 1,024 to 4,096 tokens on). A call "
    "whose prefix the same provider and model have seen within the cache's lifetime before could "
    "have read it: what of the prefix was neither read nor written would have cost the rate of a "
    "cache read instead. Any other call would have written it: that costs the rate of a cache "
    "write, where the provider has one. Both by the price card that each call was charged with. "
    "The saving of a prefix is what reading saves less what writing adds; where that is not "
    "positive, nothing is claimed. Fees for keeping an explicit cache are not counted."
)


class CacheRequest(Asked, kw_only=True):
    """How long a cache holds."""

    lifetime_s: int = LIFETIME_S
    """Seconds that an unused prefix stays cached."""


class _Sums:
    """One prefix of one feature and model."""

    def __init__(self) -> None:
        self.calls = self.repeats = self.full = self.cached = self.tokens = 0
        self.read_saves = self.write_adds = 0

    def add(self, one: Repeats, card: RateCard) -> None:
        """Add calls at one price."""
        rates, _ = rates_in_step(card, one.input_tokens_min)
        fresh, read, written = rates[_FRESH], rates[_READ], rates[_WRITTEN]
        self.calls += one.calls
        self.repeats += one.calls if one.is_repeat else 0
        self.full += one.full_tokens
        self.cached += one.cached_tokens
        self.tokens += one.prefix_tokens
        if fresh is None or read is None:
            return
        paid = fresh.cost_pico(one.full_tokens)
        if one.is_repeat:
            self.read_saves += paid - read.cost_pico(one.full_tokens)
        elif written is not None:
            self.write_adds += written.cost_pico(one.full_tokens) - paid

    @property
    def net(self) -> int:
        """What caching would have saved, less what writing adds; may be negative."""
        return self.read_saves - self.write_adds


class _Key(NamedTuple):
    feature: str | None
    provider: str
    model: str
    prefix: str


def cache_opportunity(desk: Desk, asked: CacheRequest) -> dict[str, Any]:
    """Answer with the prefixes that caching would have saved dollars on."""
    if not 1 <= asked.lifetime_s <= _LIFETIME_MAX_S:
        raise QueryError("--lifetime-s", f"is not between 1 and {_LIFETIME_MAX_S}")
    query = replace(query_of(asked), by=("feature",))
    met = provider_models(desk.reader, query)
    cards = BooksShelf(desk.books).find({card_id for *_, card_id in met})
    minimums = [
        Minimum(provider, model, tokens)
        for provider, model in sorted({(provider, model) for provider, model, _ in met})
        if (tokens := prefix_tokens_min(model)) is not None
    ]
    edges = sorted({edge for card in cards.values() for edge in step_edges(card)})
    sums: dict[_Key, _Sums] = defaultdict(_Sums)
    for one in prefix_repeats(desk.reader, query, minimums, asked.lifetime_s, edges):
        card = cards.get(one.card_id)
        if card is not None:
            sums[_Key(one.group[0], one.provider, one.model, one.prefix)].add(one, card)
    ranked = sorted(sums.items(), key=lambda item: (-item[1].net, str(item[0])))
    worth = [(key, one) for key, one in ranked if one.net > 0]
    saving = sum(one.net for _, one in worth)
    return answer(desk, query, Finding(
        rows=[_row(*item) for item in worth[: checked_limit(asked.limit)]],
        by=("feature", "provider", "model", "prefix"), method=METHOD, at_stake=saving,
        totals={
            "prefixes": len(worth), "calls": sum(one.calls for _, one in worth),
            "full_price_tokens": sum(one.full for _, one in worth),
            "saving_usd": usd_text(saving), "not_worth_prefixes": len(ranked) - len(worth),
            "cached_percent": percent(
                sum(one.cached for _, one in ranked), sum(one.tokens for _, one in ranked)
            ),
        },
        headline=_words(worth, saving),
        more={"minimums": [one._asdict() for one in minimums], "lifetime_s": asked.lifetime_s},
    ))  # fmt: skip


def _row(key: _Key, one: _Sums) -> dict[str, Any]:
    return {
        **key._asdict(), "calls": one.calls, "repeats": one.repeats,
        "prefix_tokens_per_call": rounded(one.tokens, one.calls),
        "full_price_tokens": one.full, "cached_percent": percent(one.cached, one.tokens),
        "read_saves_usd": usd_text(one.read_saves), "write_adds_usd": usd_text(one.write_adds),
        "saving_usd": usd_text(one.net),
    }  # fmt: skip


def _words(worth: list[tuple[_Key, _Sums]], saving: int) -> str:
    if not worth:
        return "No stable prefix was paid at the full price where caching would have saved."
    key, best = worth[0]
    return (
        f"Caching stable prefixes would have saved {shown(saving)}; most for "
        f"{key.feature or 'no feature'} with {key.model}: {shown(best.net)} on "
        f"{best.repeats:,} repeated calls."
    )
