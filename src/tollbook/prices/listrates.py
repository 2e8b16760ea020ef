"""What the list's prices are as rates: one kind each, with the steps of long contexts."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import structs

from tollbook.money import Rate
from tollbook.prices.card import Step, rates_of
from tollbook.prices.listed import Tiered
from tollbook.prices.pricelist import LIST
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tollbook.prices.listed import Price

KIND_PRICES = {
    "uncached_input_tokens": ("input_mtok",),
    "cache_read_tokens": ("cache_read_mtok",),
    "cache_write_5m_tokens": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h_tokens": ("cache_write_1h_mtok",),
    "input_audio_tokens": ("input_audio_mtok",),
    "cache_read_audio_tokens": ("cache_audio_read_mtok",),
    "input_image_tokens": ("input_image_mtok",),
    "cache_read_image_tokens": ("cache_image_read_mtok",),
    "input_video_tokens": ("input_video_mtok",),
    "visible_output_tokens": ("output_mtok",),
    "reasoning_tokens": ("output_reasoning_mtok",),
    "output_audio_tokens": ("output_audio_mtok",),
    "output_image_tokens": ("output_image_mtok",),
    "citation_tokens": ("output_citation_mtok",),
    "web_search_requests": ("web_searches_kcount",),
    "file_search_requests": ("storage_searches_kcount",),
    "code_sessions": ("code_executions_kcount",),
    "search_units": ("rerank_searches_kcount",),
    "audio_ms": ("audio_hours", "input_audio_hours"),
    "characters": ("input_mchars",),
    "requests": ("requests_kcount",),
}
COUNTED = frozenset(key for keys in KIND_PRICES.values() for key in keys)
_SECONDS = frozenset({"audio_hours", "input_audio_hours", "output_audio_hours"})
"""The list counts these in seconds, the ledger in milliseconds."""
_UNITS_PER = {key: per * (1000 if key in _SECONDS else 1) for key, per in LIST.units.items()}


def rate_in(key: str, price: Price, input_tokens: int) -> Rate:
    """Return the rate for so much input; a tier applies above its start (strictly)."""
    if isinstance(price, Tiered):
        reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
        return Rate.usd_per(reached[-1] if reached else price.base, _UNITS_PER[key])
    return Rate.usd_per(price, _UNITS_PER[key])


def steps_of(
    own: Mapping[str, str], prices: Mapping[str, Price], standard: Mapping[str, Price],
    fixed: Mapping[str, Rate],
) -> tuple[Step, ...]:  # fmt: skip
    """Return the context steps.

    Where a tier has one price and the standard price has steps, the tier's price steps up in the
    same proportion: the list has no price for the two together, and the step says so.
    """
    thresholds = sorted({
        tier.start
        for key in own.values()
        for price in (prices[key], standard.get(key))
        if isinstance(price, Tiered)
        for tier in price.tiers
    })  # fmt: skip
    steps = []
    for start in thresholds:
        rates, is_inferred = dict(fixed), False
        for kind, key in own.items():
            if kind in fixed:
                continue
            price, usual = prices[key], standard.get(key)
            rates[kind] = rate_in(key, price, start + 1)
            if isinstance(usual, Tiered) and not isinstance(price, Tiered):
                below, above = rate_in(key, usual, 0), rate_in(key, usual, start + 1)
                if below.numerator:
                    rates[kind] = rates[kind].times(Fraction(*above) / Fraction(*below))
                    is_inferred = True
        caution = (
            f"no price for this tier over {start} input tokens; it is raised as the standard one is"
            if is_inferred else None
        )  # fmt: skip
        steps.append(Step(start, rates_of(rates), caution=caution))
    return tuple(steps)


def scaled_step(step: Step, factor: Fraction, kinds: Collection[str]) -> Step:
    """Return a step with the rates of some kinds scaled; the others stay as they are."""
    rates = tuple(
        one if one is None or kind not in kinds else one.times(factor)
        for kind, one in zip(KINDS, step.rates, strict=True)
    )
    return structs.replace(step, rates=rates)
