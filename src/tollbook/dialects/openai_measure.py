"""What a call of the OpenAI API is billed for beside what its usage says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.call import UsageSource
from tollbook.dialects.openai_fees import TOKENS_BY_SIZE
from tollbook.dialects.openai_tools import WEB_SEARCH_PREVIEW

if TYPE_CHECKING:
    from tollbook.call import Call
    from tollbook.dialects.base import Measured

_SEARCH_MODEL: Final = "-search-"
_PREVIEW: Final = b'"web_tool":"' + WEB_SEARCH_PREVIEW.encode() + b'"'
_uses_sources = re.compile(rb'"num_sources_used":\s*[1-9]').search
_XAI_TOOLS: Final = b'"server_side_tool_usage_details"'
LIVE_SEARCH: Final = "live-search"
BACKGROUND: Final = (
    "a response in the background: its usage comes with a later retrieval, so this is an estimate"
)


def with_search(call: Call, measured: Measured) -> Measured:
    """Return the usage of a chat completion with its web search.

    Search models (``gpt-4o-search-preview``, ``gpt-5-search-api``) search once for every request,
    and the usage does not count it (OpenAI, Pricing, Web search).
    """
    model = call.closed.model_actual or call.opened.model_requested
    kinds = measured.kinds
    if kinds is not None and kinds.web_search_requests:
        return _with_live_search(call, measured)
    if model is None or _SEARCH_MODEL not in model or kinds is None:
        return measured
    return replace(measured, kinds=kinds._replace(web_search_requests=1))


def as_response(call: Call, measured: Measured) -> Measured:
    """Return the usage of a response, flagged where it is not yet known or in part inferred."""
    if measured.further and TOKENS_BY_SIZE in measured.problems:
        return replace(measured, source=UsageSource.ESTIMATED)
    if measured.kinds is not None and measured.kinds.web_search_requests:
        measured = _with_version(call, measured)
    asked = call.opened.asked
    if asked and asked.get("background") and not call.closed.usage:
        return replace(measured, problems=(*measured.problems, BACKGROUND))
    return measured


def _with_live_search(call: Call, measured: Measured) -> Measured:
    """Name xAI's live search in the tier: until 2026 it billed each source that it used.

    https://docs.x.ai/docs/guides/live-search; tools that run on its servers took its place.
    """
    if not any(_uses_sources(one) and _XAI_TOOLS not in one for one in call.closed.usage):
        return measured
    return replace(measured, tier=LIVE_SEARCH)


def _with_version(call: Call, measured: Measured) -> Measured:
    """Add the older version of the web search tool to the words of the tier."""
    if not any(_PREVIEW in usage for usage in call.closed.usage):
        return measured
    words = (measured.tier or call.closed.service_tier, WEB_SEARCH_PREVIEW)
    return replace(measured, tier="+".join(word for word in words if word))
