"""What is known about prices that depend on where a call is served. Data, with its sources.

Price lists name one price per model. Providers add to it by region; where that is documented, the
rule is here, and where a region is named and nothing is documented, the price is used and says
that it is the list price of another region. Never silently.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    Find = Callable[[str], str | None]
    """A model's name to the list's own name for it, None where the list does not have it."""


class Scope(NamedTuple):
    """How a model is priced in a region."""

    name: str
    """What to look up in the list."""
    factor: Fraction | None = None
    """What to multiply the rates of tokens by; fees by the piece are the same everywhere."""
    reason: str | None = None
    """Where the factor is documented."""
    is_known: bool = True
    """False: the list has no price for the region, and no rule is known."""


_TEN_PERCENT: Final = Fraction(11, 10)
_GOVCLOUD: Final = Fraction(6, 5)
_GLOBAL: Final = frozenset({"global", "not_available"})
_AWS_GEOGRAPHY: Final = re.compile(
    r"(?P<geography>us-gov|us|eu|apac|jp|au|in|ca|sa|global)\.(?P<base>.+)"
)
_AWS_GOVCLOUD: Final = re.compile(
    r"anthropic\.claude-([a-z]+-([5-9]|4-[5-9])).*|amazon\.nova-.*|nvidia\..*|openai\.gpt-oss.*"
)
"""Models known to cost a fifth more there (LiteLLM's price table, entries of us-gov regions)."""
_AWS_LIST_REGIONS: Final = frozenset({"us-east-1", "us-east-2", "us-west-2"})
"""Whose prices the list has; they are the same in the three."""
_AWS_SOURCE: Final = "https://aws.amazon.com/bedrock/pricing/"
_VERTEX_SOURCE: Final = "https://cloud.google.com/vertex-ai/generative-ai/pricing"
_VERTEX_DEARER: Final = re.compile(
    # Claude from Sonnet and Haiku 4.5 on; Gemini from 3.1 Flash-Lite on, where it has regions.
    r"claude-(sonnet|haiku|opus)-4-[5-9].*|claude-[a-z]+-([5-9]|[1-9][0-9]).*"
    r"|gemini-3\.1-flash-(lite|image)|gemini-3\.[5-9]-flash.*|gemini-4-argon.*"
)
_VERTEX_ALIKE: Final = re.compile(
    r"gemini-(1|2)\..*|gemini-(flash|pro)-1\.5.*|gemini-pro|claude-3.*"
)
"""One price in all regions."""
_ANTHROPIC_SOURCE: Final = "https://platform.claude.com/docs/en/manage-claude/data-residency"
_OPENAI_SOURCE: Final = "https://developers.openai.com/api/docs/guides/data-residency"
_OPENAI_BEFORE: Final = re.compile(
    # Models released before 5 March 2026 cost the same everywhere.
    r"gpt-(3|4).*|gpt-5([.-][0-3].*|-.*)?|o[1-4].*|text-.*|chatgpt-4o.*|tts-.*|whisper-.*|dall-e.*"
    r"|gpt-image-1([.-].*)?|gpt-(realtime|audio)(-1\.5|-mini|-20.*)?|omni-moderation.*|codex-mini.*"
    r"|computer-use.*|gpt-oss.*"
)
_TOGETHER_SOURCE: Final = "https://docs.together.ai/docs/serverless/geo-specific-inference"


def scope_of(list_id: str, model: str, region: str | None, find: Find) -> Scope:
    """Return how a model is priced where it is served.

    Args:
        list_id: provider id of the price list.
        model: as it was called, Bedrock's geography prefix included.
        region: where it is served; None where nobody says.
        find: looks up a name in the list.
    """
    place = None if region is None else region.lower()
    if list_id == "aws":
        return _bedrock(model, place, find)
    if place is None or place in _GLOBAL:
        return Scope(model)
    rule = _RULES.get(list_id)
    return Scope(model, is_known=False) if rule is None else rule(model, place)


def region_of(base_url: str) -> str | None:
    """Return the region that an address of a provider names, None where it names none."""
    host = (urlsplit(base_url).hostname or "").lower()
    for pattern in _HOSTS:
        match = pattern.fullmatch(host)
        if match:
            return match["region"]
    return None


_HOSTS: Final = (
    re.compile(r"bedrock-(runtime|mantle)(-fips)?\.(?P<region>[a-z]+(-[a-z]+)+-\d)\..+"),
    re.compile(r"(?P<region>[a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com"),
    re.compile(r"aiplatform\.(?P<region>us|eu)\.rep\.googleapis\.com"),
    re.compile(r"(?P<region>us|eu|in|jp|au|ca|kr|sg|gb|ae)\.api\.openai\.com"),
    re.compile(r"(?P<region>us|ca)-api\.together\.ai"),
)


def _bedrock(model: str, region: str | None, find: Find) -> Scope:
    """Bedrock: the profile's geography, else the region.

    From Claude 4.5 on there are two prices, global and regional; the list has both, the regional
    one for the geographies and for calls in a region. GovCloud is a fifth above the global price,
    as it is for Nova, Nemotron and gpt-oss; older models have prices of their own there.
    Other models have a price in each region, of which the list has that of the United States.
    """
    if model.startswith("arn:"):
        region, model = (*model.split(":"), "", "", "")[3] or region, model.rpartition("/")[2]
    match = _AWS_GEOGRAPHY.fullmatch(model)
    geography, base = (match["geography"], match["base"]) if match else (None, model)
    if geography == "us-gov" or (region or "").startswith("us-gov-"):
        name = next((one for one in (f"global.{base}", base) if find(one)), base)
        if not _AWS_GOVCLOUD.match(base):
            return Scope(name, is_known=False)
        return Scope(name, _GOVCLOUD, f"{_AWS_SOURCE}: GovCloud")
    found = find(model)
    name = model if found else base
    found = found or find(base)
    if geography == "global" or found is None or found.startswith(("regional.", "global.")):
        # A profile of the whole world, or a price that the list has by geography.
        return Scope(name, is_known=geography != "global" or _is_worldwide(found))
    is_listed = geography == "us" or (
        geography is None and (region is None or region in _AWS_LIST_REGIONS)
    )
    return Scope(name, is_known=is_listed)


def _is_worldwide(found: str | None) -> bool:
    return found is None or found.startswith(("global.", "regional.anthropic.claude-3"))


def _vertex(model: str, region: str) -> Scope:  # noqa: ARG001 -- the same in all regions
    name = model.rpartition("/")[2]
    if _VERTEX_DEARER.fullmatch(name):
        return Scope(model, _TEN_PERCENT, f"{_VERTEX_SOURCE}: regional and multi-region endpoints")
    return Scope(model, is_known=_VERTEX_ALIKE.fullmatch(name) is not None)


def _anthropic(model: str, region: str) -> Scope:
    if region == "us":
        return Scope(model, _TEN_PERCENT, _ANTHROPIC_SOURCE)
    return Scope(model, is_known=False)


def _openai(model: str, region: str) -> Scope:  # noqa: ARG001 -- the same in all regions
    if _OPENAI_BEFORE.fullmatch(model):
        return Scope(model)
    return Scope(model, _TEN_PERCENT, _OPENAI_SOURCE)


def _together(model: str, region: str) -> Scope:
    if region in {"us", "ca"}:
        return Scope(model, Fraction(5, 4), _TOGETHER_SOURCE)
    return Scope(model, is_known=False)


_RULES: Final = {
    "google": _vertex,
    "anthropic": _anthropic,
    "openai": _openai,
    "together": _together,
}
