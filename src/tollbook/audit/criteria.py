"""What a charge needs to be defended: each criterion, its weight, and why it weighs so much.

The weights are thousandths and sum to 1000. They follow what a dispute asks first: whose it is,
then how the amount came about (tokens, model, price), then whether the provider's own records show
the same call, then whether it may be the same call again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.trace import Trace

WHOLE_MILLIS: Final = 1000
PAYERS: Final = ("tenant_id", "team_id")
CACHED_FROM_TOKENS: Final = 1024
"""The shortest prompt that most providers keep: of a shorter one nothing can have been cached.
OpenAI 1,024 tokens, Gemini 2,048 and more (their pages on prompt caching)."""
CLAUDE_CACHED_FROM_TOKENS: Final = 512
"""Of Claude 5; 1,024 to 4,096 of older ones (Anthropic, Prompt caching, cache limitations)."""
_CLAUDE_5: Final = re.compile(r"claude-[a-z]+-([5-9]|[1-9]\d)(?!\d)")
_CACHES: Final = frozenset({
    "anthropic", "azure", "bedrock", "deepseek", "fireworks", "gemini", "groq", "moonshot",
    "openai", "openrouter", "vertex", "xai",
})  # fmt: skip
"""Providers that price cached input differently, so that a count without it is no amount."""
_CHATS: Final = frozenset({"chat", "responses", "text_completion", "generate_content"})
_CACHE_COUNTS: Final = frozenset({
    "cache_read", "cache_write", "cache_write_5m", "cache_write_1h",
})  # fmt: skip
_NO_OUTPUT: Final = frozenset({
    "embeddings", "image", "moderation", "rerank", "speech", "transcription",
})  # fmt: skip
"""Operations that are not billed by tokens of output, or not by tokens at all."""
_UNTOLD: Final = frozenset({"estimated", "none"})
_NOBODY: Final = frozenset({"", "unknown"})


class Seen(NamedTuple):
    """A call, and what its trace says about it."""

    trace: Trace
    span: SpanFact
    call: CallFact
    is_repeat_unclear: bool
    """Whether it may be a retry, a fallback or the same call again, and nothing says so."""


class Needed(NamedTuple):
    """One criterion."""

    name: str
    title: str
    lacking: str
    """What is said of dollars that lack it."""
    weight_millis: int
    why: str
    is_met: Callable[[Seen], bool]


def has_owner(seen: Seen) -> bool:
    """Whether a tenant or a team is named by the call, a span above it, or its process."""
    if any(name in seen.span.process_owner for name in PAYERS):
        return True
    return any(seen.trace.owner_of(seen.span, name) is not None for name in PAYERS)


def has_tokens(seen: Seen) -> bool:
    """Whether input and output are told, and what was cached where that changes the price."""
    call = seen.call
    if call.kinds is None or call.usage_source in _UNTOLD:
        return False
    counts = call.counts
    if counts and "input" not in counts and not call.kinds.input_tokens:
        return False
    if counts and call.operation not in _NO_OUTPUT and "output" not in counts:
        return bool(call.kinds.output_tokens)
    return not _may_hide_cache(call)


def _may_hide_cache(call: CallFact) -> bool:
    if call.provider not in _CACHES or call.operation not in _CHATS or call.kinds is None:
        return False
    kinds = call.kinds
    if kinds.input_tokens < _cached_from_tokens(call) or not _CACHE_COUNTS.isdisjoint(call.counts):
        return False
    cached = kinds.cache_read_tokens + kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens
    is_raw = any("the provider's own usage" in one for one in call.usage_notes)
    return not cached and not is_raw


def _cached_from_tokens(call: CallFact) -> int:
    if call.provider == "deepseek":
        return 1  # no least length is told (DeepSeek, Context Caching)
    is_claude_5 = _CLAUDE_5.search(call.model_actual or call.model_requested or "") is not None
    return CLAUDE_CACHED_FROM_TOKENS if is_claude_5 else CACHED_FROM_TOKENS


def has_price(seen: Seen) -> bool:
    """Whether the price in force is known by its version: ours, or that of who priced it."""
    call = seen.call
    if call.price_card is not None and call.cost_pico is not None and not call.is_price_doubtful:
        return True
    return call.price_version is not None and call.reported_cost_pico is not None


def has_model(seen: Seen) -> bool:
    """Whether the model that answered is told; the one that was asked for may be an alias."""
    return seen.call.model_actual is not None


def has_id(seen: Seen) -> bool:
    """Whether the provider knows the call by an id that is told."""
    return seen.call.response_id is not None or seen.call.request_id is not None


def is_single(seen: Seen) -> bool:
    """Whether it is clear which attempt it is."""
    return not seen.is_repeat_unclear


def has_path(seen: Seen) -> bool:
    """Whether the provider's bill has a place for it: when, and which key, region or endpoint."""
    call = seen.call
    is_dated = bool(seen.span.started_at_ns or seen.span.ended_at_ns)
    account = call.api_key_id or call.region or call.host or call.batch_id
    return is_dated and call.provider not in _NOBODY and account is not None


NEEDED: Final = (
    Needed(
        "owner", "A tenant or a team", "Nobody who pays is named", 300,
        "Without it there is nobody to charge; no other fact makes up for it.", has_owner,
    ),
    Needed(
        "token_kinds", "Tokens by kind", "Tokens by kind are not told", 150,
        "The amount is tokens times prices, and kinds of one model differ in price by a "
        "factor of up to 200: a cached token is no fresh one. An estimate is no measure.",
        has_tokens,
    ),
    Needed(
        "price", "A price card with a version", "The price is not known", 150,
        "Prices change and depend on tier and region; who pays may ask which one was in force.",
        has_price,
    ),
    Needed(
        "model_actual", "The model that answered", "The model that answered is not told", 150,
        "Names are aliases and routers choose: what was asked for is not always what is billed.",
        has_model,
    ),
    Needed(
        "request_id", "The provider's id of the call", "The provider's id is not told", 100,
        "The one thing by which the provider's support and exports find the same call.", has_id,
    ),
    Needed(
        "retries", "Retries and fallbacks marked", "It may be a retry or the same call again", 75,
        "A repeated call is a second charge: it is right where the provider billed both, and "
        "that is only told by the marks.", is_single,
    ),
    Needed(
        "billing_path", "A place in the provider's bill", "Its place in the bill is not told", 75,
        "A bill is by account and day: with the time and the key, region or endpoint, the sum of "
        "the calls can be held against a line of it.", has_path,
    ),
)  # fmt: skip
"""In the order in which a call that lacks several is booked to one."""
BY_NAME: Final = {one.name: one for one in NEEDED}
assert sum(one.weight_millis for one in NEEDED) == WHOLE_MILLIS
