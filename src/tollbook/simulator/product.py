"""A made-up product: its tenants with a skewed spread, their users and plans, its features.

Request sizes are lognormal with parameters like those fitted to public traces of production LLM
traffic (Azure LLM inference traces of 2023: conversation and code).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import random

Api = Literal["chat", "responses", "completions", "embeddings", "messages"]
_SKEW = 1.7  # of the Zipf law over tenants: the first 5 % get more than half
_FIRST_NAMES = (
    "northwind acorn harbour lumen cobalt juniper meridian saffron granite willow beacon ember "
    "orchard summit tidal velvet cedar falcon marble prairie"
)
_SECOND_NAMES = "labs health logistics legal retail energy media foods bank robotics travel books"
_FIRST = _FIRST_NAMES.split()
_SECOND = _SECOND_NAMES.split()
_SECOND_COUNT = len(_SECOND)
_PLANS = ("enterprise", "business", "team", "free")
_PLAN_FROM_RANK = (0.05, 0.25, 0.65)


class Tenant(NamedTuple):
    """A customer of the product."""

    id: str
    plan: str
    weight: float  # of its share of the traffic
    users: tuple[str, ...]


class Target(NamedTuple):
    """Where a feature sends its calls."""

    provider: str
    api: Api
    model: str
    weight: int


class Lognormal(NamedTuple):
    """A distribution of token counts, by the mean and deviation of their logarithm."""

    mu: float
    sigma: float
    most: int

    def draw(self, rng: random.Random) -> int:
        """Return a count from 1 to ``most``."""
        return max(1, min(self.most, round(rng.lognormvariate(self.mu, self.sigma))))


class Feature(NamedTuple):
    """A part of the product that calls models."""

    name: str
    weight: int
    targets: tuple[Target, ...]
    input: Lognormal
    output: Lognormal
    stream_share: float
    origins: tuple[str, ...] = ("user",)
    is_agent: bool = False
    prefix_tokens: int = 0  # of the system prompt and tools, which caching can serve


_CONVERSATION_IN: Final = Lognormal(6.6, 1.0, 60_000)
_CONVERSATION_OUT: Final = Lognormal(5.0, 0.85, 8_000)
_CODE_IN: Final = Lognormal(7.0, 1.35, 60_000)
_CODE_OUT: Final = Lognormal(2.8, 0.85, 4_000)

FEATURES: Final = (
    Feature(
        "chat",
        40,
        (
            Target("openai", "chat", "gpt-4o-mini", 4),
            Target("openai", "chat", "gpt-4o", 2),
            Target("anthropic", "messages", "claude-sonnet-5", 3),
            Target("openai", "responses", "gpt-5-mini", 3),
        ),
        _CONVERSATION_IN,
        _CONVERSATION_OUT,
        0.75,
        prefix_tokens=1536,
    ),
    Feature(
        "search",
        14,
        (
            Target("openai", "chat", "gpt-4.1-mini", 3),
            Target("anthropic", "messages", "claude-haiku-4-5", 2),
        ),
        _CODE_IN,
        _CODE_OUT,
        0.35,
    ),
    Feature(
        "summarise",
        12,
        (
            Target("anthropic", "messages", "claude-haiku-4-5", 3),
            Target("openai", "responses", "gpt-4o-mini", 2),
            Target("openai", "completions", "gpt-3.5-turbo-instruct", 1),
        ),
        _CODE_IN,
        _CONVERSATION_OUT,
        0.4,
        origins=("scheduled", "user"),
    ),
    Feature(
        "agent",
        5,
        (
            Target("anthropic", "messages", "claude-sonnet-4-6", 3),
            Target("anthropic", "messages", "claude-opus-4-5", 1),
            Target("openai", "responses", "gpt-5", 3),
            Target("openai", "chat", "o4-mini", 2),
        ),
        _CODE_IN,
        _CONVERSATION_OUT,
        0.55,
        is_agent=True,
        prefix_tokens=3072,
    ),
    Feature(
        "indexing",
        10,
        (
            Target("openai", "embeddings", "text-embedding-3-small", 4),
            Target("openai", "embeddings", "text-embedding-3-large", 1),
        ),
        _CODE_IN,
        Lognormal(0, 0, 1),
        0.0,
        origins=("system", "scheduled"),
    ),
    Feature(
        "moderated-reply",
        6,
        (Target("openai", "chat", "gpt-4.1", 1), Target("openai", "chat", "gpt-5", 1)),
        _CONVERSATION_IN,
        _CODE_OUT,
        0.6,
    ),
)


def make_tenants(count: int, rng: random.Random) -> list[Tenant]:
    """Return tenants in a random order, their weights by a Zipf law."""
    tenants: list[Tenant] = []
    names = rng.sample(range(len(_FIRST) * _SECOND_COUNT), count)
    for rank, name in enumerate(names, 1):
        label = f"{_FIRST[name // _SECOND_COUNT]}-{_SECOND[name % _SECOND_COUNT]}"
        plan = _PLANS[sum(rank > edge * count for edge in _PLAN_FROM_RANK)]
        size = max(1, round(200 / rank**0.7))
        users = tuple(f"u{name:03d}-{number:03d}" for number in range(size))
        tenants.append(Tenant(label, plan, 1 / rank**_SKEW, users))
    rng.shuffle(tenants)
    return tenants


TENANTS_MAX: Final = len(_FIRST) * _SECOND_COUNT
"""As many tenants as there are names."""
