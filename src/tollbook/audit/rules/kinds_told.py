"""Kinds of tokens that one instrumentation tells of a model and another never does (A26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.found import called, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_CALLS_MIN: Final = 20
"""Fewer calls without a cached token may have had none."""
_PLACES_MAX: Final = 2000
_CACHEABLE_MIN_TOKENS: Final = 1024
"""Shorter prompts are not cached (OpenAI and Anthropic, prompt caching)."""
_WORDS: Final = {"cache_read": "tokens read from the cache", "reasoning": "tokens of reasoning"}


class _Teller:
    """What an instrumentation told of a model."""

    def __init__(self, first: SpanFact) -> None:
        self.first = first
        self.calls = 0
        self.cost_pico: int | None = None
        self.told: set[str] = set()


class KindsTold:
    """A26: cached tokens, or those of reasoning, that an instrumentation does not tell.

    Known by another one that tells of them for the same model, over enough calls with prompts long
    enough to be cached; and by instrumentations that are known to leave them out.

    Source: prompt caching of OpenAI and Anthropic: prompts of 1,024 tokens and more; the AI SDK
    before version 6 has no attribute for the cache.
    """

    def __init__(self) -> None:
        self._tellers: dict[tuple[str, str, str, str], _Teller] = {}

    def observe(self, trace: Trace) -> None:
        """Count the calls of a trace."""
        for span in trace.calls:
            call = span.call
            if call is None or call.kinds is None or call.is_error:
                continue
            self._count(span, call)

    def _count(self, span: SpanFact, call: CallFact) -> None:
        assert call.kinds is not None
        model = (call.model_actual or call.model_requested or "").lower()
        key = (call.provider, model, called(span), span.scope_version)
        teller = self._tellers.get(key)
        if teller is None:
            if not model or len(self._tellers) >= _PLACES_MAX:
                return
            teller = self._tellers[key] = _Teller(span)
        kinds = call.kinds
        if kinds.cache_read_tokens or call.counts.get("cache_read") is not None:
            teller.told.add("cache_read" if kinds.cache_read_tokens else "cache_read of none")
        if kinds.reasoning_tokens or call.counts.get("reasoning") is not None:
            teller.told.add("reasoning" if kinds.reasoning_tokens else "reasoning of none")
        if any("does not tell what was read from the cache" in one for one in call.usage_notes):
            teller.told.add("known not to")
        if kinds.input_tokens >= _CACHEABLE_MIN_TOKENS:
            teller.calls += 1
            if call.cost_pico is not None:
                teller.cost_pico = (teller.cost_pico or 0) + call.cost_pico

    def finish(self) -> Iterator[Hit]:
        """Yield a hit for each instrumentation and model that lacks what others tell."""
        told: dict[tuple[str, str], set[str]] = {}
        for (provider, model, _, _), teller in self._tellers.items():
            told.setdefault((provider, model), set()).update(teller.told)
        for (provider, model, _, _), teller in self._tellers.items():
            if teller.calls < _CALLS_MIN:
                continue
            for kind in _WORDS:
                is_silent = kind not in teller.told and f"{kind} of none" not in teller.told
                by_others = kind in told[provider, model]
                if is_silent and (by_others or (kind == "cache_read" and _is_known(teller))):
                    yield _silent(teller, kind, provider, model)


def _is_known(teller: _Teller) -> bool:
    return "known not to" in teller.told


def _silent(teller: _Teller, kind: str, provider: str, model: str) -> Hit:
    who = f"{called(teller.first)} {teller.first.scope_version}".strip()
    return hit_of(
        "A26",
        f"{who} never tells {_WORDS[kind]} of {model}, which {provider} counts apart",
        (kind, called(teller.first), teller.first.scope_version, provider, model),
        [teller.first],
        severity=Severity.WARNING if kind == "cache_read" else Severity.NOTE,
        counted=(teller.calls, teller.cost_pico),
    )
