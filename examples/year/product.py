"""The product whose year it is: its tenants, features, models, and how much it is used when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

DAYS: Final = 365
HOURS: Final = DAYS * 24
HOUR_US: Final = 3_600 * 10**6
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: Final = (
    "alder", "beacon", "cobalt", "delta", "ember", "fjord", "granite", "harbour", "indigo",
    "juniper", "kestrel", "lagoon", "meridian", "nimbus", "orchard", "pioneer", "quartz", "ridge",
    "summit", "tundra",
)  # fmt: skip
_TRADES: Final = (
    "bank", "books", "clinics", "dental", "energy", "foods", "games", "hotels", "insurance", "labs",
    "law", "logistics", "media", "motors", "pharma", "retail", "robotics", "schools", "telecom",
    "travel",
)  # fmt: skip


class Model(NamedTuple):
    """A model that the product uses."""

    provider: str
    name: str
    share: float


class Feature(NamedTuple):
    """What users do with the product, and what it sends for that."""

    name: str
    team: str
    share: float
    models: tuple[float, ...]
    """Weight of each of :data:`MODELS`."""
    input_tokens: int
    output_tokens: int
    cached: float
    """Share of the input that is read from a cache."""
    layers: tuple[float, float, float, float]
    """Shares of the input: prompt, tool, context, user."""
    is_agent: bool = False


MODELS: Final = (
    Model("openai", "gpt-4o-2024-08-06", 0.22), Model("openai", "gpt-4o-mini-2024-07-18", 0.3),
    Model("openai", "gpt-4.1-mini-2025-04-14", 0.1),
    Model("anthropic", "claude-sonnet-4-5-20250929", 0.16),
    Model("anthropic", "claude-haiku-4-5-20251001", 0.14),
    Model("openai", "text-embedding-3-small", 0.06),
    Model("openai", "acme-tuned-1", 0.002),
)  # fmt: skip
"""The last one has no price anywhere."""
FEATURES: Final = (
    Feature("support-chat", "support", 0.3, (1, 4, 1, 1, 4, 0, 0.02), 2600, 320, 0.45,
            (0.35, 0.05, 0.45, 0.15)),
    Feature("search", "platform", 0.22, (0, 5, 2, 0, 1, 3, 0), 900, 90, 0.1,
            (0.2, 0.0, 0.6, 0.2)),
    Feature("agent", "automation", 0.14, (2, 0, 0, 5, 1, 0, 0), 7200, 640, 0.6,
            (0.2, 0.4, 0.35, 0.05), is_agent=True),
    Feature("summaries", "content", 0.16, (3, 3, 1, 1, 0, 0, 0), 5200, 420, 0.05,
            (0.1, 0.0, 0.8, 0.1)),
    Feature("extraction", "content", 0.1, (4, 1, 0, 0, 0, 0, 0), 3100, 45, 0.0,
            (0.6, 0.1, 0.0, 0.3)),
    Feature("drafts", "content", 0.05, (1, 1, 0, 3, 1, 0, 0), 1500, 900, 0.2,
            (0.4, 0.0, 0.3, 0.3)),
    Feature("translation", "platform", 0.03, (0, 3, 1, 0, 1, 0, 0.05), 800, 700, 0.0,
            (0.3, 0.0, 0.0, 0.7)),
)  # fmt: skip
"""``extraction`` uses a large model for small outputs."""


def tenant_names(count: int) -> list[str]:
    """Return names of customers, each once."""
    names = [f"{place}-{trade}" for trade in _TRADES for place in _PLACES]
    return [
        names[at % len(names)] + (f"-{at // len(names) + 1}" if at >= len(names) else "")
        for at in range(count)
    ]


def weight_of_hours(start: datetime) -> npt.NDArray[Any]:
    """Return how busy each hour of the year is: growth, week and day, a holiday, a peak."""
    hours = np.arange(HOURS)
    at = [start + timedelta(hours=int(hour)) for hour in hours]
    of_day = np.array([0.35 + max(0.0, 1 - abs(one.hour - 13.5) / 9) for one in at])
    of_week = np.array([0.45 if one.weekday() >= 5 else 1.0 for one in at])  # noqa: PLR2004 -- Saturday
    growth = 1 + 0.9 * hours / HOURS
    season = np.array([0.6 if (one.month, one.day) in _QUIET else 1.0 for one in at])
    season *= np.array([1.5 if one.month == 3 and 10 <= one.day <= 16 else 1.0 for one in at])  # noqa: PLR2004 -- a campaign
    weights = of_day * of_week * growth * season
    shares: npt.NDArray[Any] = weights / weights.sum()
    return shares


_QUIET: Final = {(12, day) for day in range(24, 32)} | {(1, 1)}
