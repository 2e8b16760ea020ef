"""Names of models and of providers: as they are configured and called, and as the list has them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.prices.regional import region_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.config.schema import Provider

_NS_PER_S: Final = 1_000_000_000
_LIST_IDS: Final = {
    "bedrock": "aws",
    "gemini": "google",
    "vertex": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "togetherai": "together",
    "together-ai": "together",
    "azure-openai": "azure",
    "mistralai": "mistral",
    "zhipu": "zhipuai",
}
"""Usual names of providers to their ids in the list, where these differ."""
_BY_DIALECT: Final = {"bedrock": "aws", "gemini": "google", "azure": "azure", "cohere": "cohere"}
"""Dialects that one provider speaks; OpenAI's and Anthropic's are spoken by many."""


_INVOICED_AS_REPORTED: Final = frozenset({"openrouter", "perplexity"})
"""Whose figure is what they bill: a reseller's price depends on the host it chose, and Perplexity's
on searches that it alone counts (docs/adr)."""


class ProviderPrices(NamedTuple):
    """What the configuration says about the prices of one provider."""

    list_id: str
    """Id in the list, or the provider's own name where the list does not have it."""
    region: str | None = None
    """Where it serves, as its address says."""
    models: Mapping[str, str] = {}
    """Deployments and profiles to the names of models."""
    uses_reported: bool = False
    """Its own figure is the cost of a call, where it gives one."""


def provider_prices(name: str, provider: Provider, known: frozenset[str]) -> ProviderPrices:
    """Return what the configuration of a provider says about its prices.

    Args:
        name: of the provider, in the configuration.
        provider: its section.
        known: the ids of the list.
    """
    list_id = provider.list_prices or _list_id(name, provider.dialect, known)
    policy = provider.reported_cost or ("use" if list_id in _INVOICED_AS_REPORTED else "keep")
    return ProviderPrices(list_id, region_of(provider.base_url), provider.models, policy == "use")


def _list_id(name: str, dialect: str, known: frozenset[str]) -> str:
    if name in known:
        return name
    return _LIST_IDS.get(name) or _BY_DIALECT.get(dialect, name)


def list_id_of(name: str, known: frozenset[str]) -> str | None:
    """Return the list's id of a provider by any usual name, None where the list has it not."""
    list_id = _LIST_IDS.get(name, name)
    return list_id if list_id in known else None


def spellings(list_id: str, model: str) -> Iterator[str]:
    """Yield the names under which the list may have a model, the most exact first."""
    yield model
    short = model.rpartition("/")[2]
    if list_id == "openrouter":
        # What only chooses among the hosts of a model does not change whose price it is.
        plain = re.sub(r":(nitro|floor|exacto|online)$", "", model)
        if plain != model:
            yield plain
        return
    if short != model:
        # arn:aws:bedrock:...:inference-profile/NAME, publishers/google/models/NAME
        yield short
    if "@" in short:
        yield short.replace("@", "-")
        yield short.partition("@")[0]


class _Redirect(NamedTuple):
    list_id: str
    names: re.Pattern[str]
    target: str
    from_ns: int


_XAI_RETIREMENT: Final = int(datetime(2026, 5, 15, 19, tzinfo=UTC).timestamp()) * _NS_PER_S
"""12:00 Pacific time. https://docs.x.ai/developers/migration/may-15-retirement

The page was changed: its first version names replacements and says that the old names stop working,
users report that they are served and billed as these since."""
_DEEPSEEK_V4: Final = int(datetime(2026, 4, 24, tzinfo=UTC).timestamp()) * _NS_PER_S
"""The two names were DeepSeek V4 Flash from its release until they were shut down on 24 July 2026.
https://api-docs.deepseek.com/news/news260424"""
_REDIRECTS: Final = (
    _Redirect(
        "x-ai",
        re.compile(
            r"grok-4-1-fast(-(non-)?reasoning)?(-latest)?|grok-4-fast(-(non-)?reasoning)?(-latest)?"
            r"|grok-4(-0709|-latest)?|grok-3(-latest)?"
        ),
        "grok-4.3", _XAI_RETIREMENT,
    ),
    _Redirect("x-ai", re.compile(r"grok-code-fast-1(-0825)?"), "grok-build-0.1", _XAI_RETIREMENT),
    _Redirect(
        "deepseek", re.compile(r"deepseek-(chat|reasoner)"), "deepseek-v4-flash", _DEEPSEEK_V4
    ),
)  # fmt: skip
"""Retired names that a provider still answers to, with the model that it bills from then on."""


def billed_name(list_id: str, model: str, at_ns: int) -> tuple[str, int | None, int | None]:
    """Return the model that is billed for a name at a time, and from when until when that holds.

    Times are nanoseconds since the epoch, None for without end.
    """
    for one in _REDIRECTS:
        if one.list_id == list_id and one.names.fullmatch(model.lower()):
            if at_ns >= one.from_ns:
                return one.target, one.from_ns, None
            return model, None, one.from_ns
    return model, None, None
