"""The traffic: who called what, when, with how many tokens; and what the providers charge for it.

Rates are integers of 10^-12 USD for one token, so the truth needs no arithmetic but products.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

START: Final = datetime(2026, 7, 1, tzinfo=UTC)
END: Final = datetime(2026, 10, 1, tzinfo=UTC)
MONTHS: Final = ("2026-07", "2026-08", "2026-09")
TENANTS: Final = 200
PROVIDERS: Final = ("openai", "anthropic", "azure")
KINDS: Final = ("uncached", "cached", "written", "output")
NS: Final = 10**9
PLATFORM: Final = "platform"
"""The tenant that the company's own evaluations run as."""
PRICE_CHANGE: Final = datetime(2026, 8, 16, tzinfo=UTC)
PROVISIONED: Final = "gpt-4.1-ptu"
"""A deployment of Azure on capacity that is paid by the hour."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ns(moment: datetime) -> int:
    """Return nanoseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


class Rates(NamedTuple):
    """Pico of US dollars for one token."""

    uncached: int
    cached: int
    written: int
    output: int


class Model(NamedTuple):
    """A model of a provider, and how much of the traffic it has."""

    provider: str
    name: str
    tier: str
    """The provider's own word; empty is the ordinary one."""
    rates: Rates
    weight: int


MODELS: Final = (
    Model("openai", "gpt-4o-2024-08-06", "", Rates(2_500_000, 1_250_000, 0, 10_000_000), 16),
    Model("openai", "gpt-4o-mini-2024-07-18", "", Rates(150_000, 75_000, 0, 600_000), 22),
    Model("openai", "gpt-4.1-2025-04-14", "", Rates(2_000_000, 500_000, 0, 8_000_000), 8),
    Model("openai", "gpt-5-2025-08-07", "flex", Rates(625_000, 62_500, 0, 5_000_000), 4),
    Model(
        "anthropic", "claude-sonnet-4-5-20250929", "",
        Rates(3_000_000, 300_000, 3_750_000, 15_000_000), 16,
    ),
    Model(
        "anthropic", "claude-haiku-4-5-20251001", "",
        Rates(1_000_000, 100_000, 1_250_000, 5_000_000), 14,
    ),
    Model("azure", "gpt-4o", "", Rates(2_500_000, 1_250_000, 0, 10_000_000), 14),
    Model("azure", PROVISIONED, "", Rates(0, 0, 0, 0), 6),
)  # fmt: skip
CHEAPER: Final = Rates(120_000, 60_000, 0, 480_000)
"""Of gpt-4o-mini, from :data:`PRICE_CHANGE` on."""
MINI: Final = "gpt-4o-mini-2024-07-18"


class Record(NamedTuple):
    """One call as it happened at the provider."""

    number: int
    at_ns: int
    model: Model
    tenant: str | None
    """None: the application forgot to say."""
    feature: str
    tokens: tuple[int, int, int, int]
    """Of :data:`KINDS`."""


def rates_of(record: Record) -> Rates:
    """Return what the provider charges for a token of each kind, at the time of the call."""
    if record.model.name == MINI and record.at_ns >= unix_ns(PRICE_CHANGE):
        return CHEAPER
    return record.model.rates


def traffic(calls: int, seed: int) -> Iterator[Record]:
    """Yield the calls of the quarter in the order of time."""
    draw = random.Random(seed)  # noqa: S311 -- traffic, no secret
    first, span = unix_ns(START), unix_ns(END) - unix_ns(START)
    weights = [model.weight for model in MODELS]
    features = ("search", "chat", "summary", "agent")
    for number in range(calls):
        # Evenly spread, each somewhere in its own share of the time.
        at_ns = first + (number * 1000 + draw.randrange(1000)) * span // (calls * 1000)
        (model,) = draw.choices(MODELS, weights)
        chance = draw.random()
        feature = features[int(draw.random() * 4)]
        tenant: str | None
        if chance < 0.02:  # noqa: PLR2004 -- one call in fifty is nobody's
            tenant = None
        elif chance < 0.05:  # noqa: PLR2004 -- three in a hundred are evaluations
            tenant, feature = PLATFORM, "evaluation"
        else:
            # A square of a uniform number: few tenants make most of the calls.
            tenant = f"tenant-{int(draw.random() ** 2 * TENANTS):03}"
        cached = draw.choice((0, 0, 1024, 2048))
        written = draw.choice((0, 0, 0, 1024)) if model.provider == "anthropic" else 0
        tokens = (draw.randrange(50, 4000), cached, written, draw.randrange(20, 800))
        yield Record(number, at_ns - at_ns % 1000, model, tenant, feature, tokens)
