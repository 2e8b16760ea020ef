"""The passes of one Anthropic answer, each billed at the model that made it.

``usage.iterations`` lists them where there was more than one: the turns of a server-side tool loop
(``message``), the summary of a context that had grown too long (``compaction``), a second model
asked for advice (``advisor_message``) and the model that took over from one that declined
(``fallback_message``). The top level leaves out compaction and advisors, and after a fallback it is
the last pass only: what is billed is the sum over all passes (Anthropic, Compaction; Advisor tool;
Refusals and fallback). A pass that was declined before it produced anything is not billed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from tollbook.dialects.base import Part
from tollbook.dialects.counts import Count
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_THE_ANSWER: Final = frozenset({"message", "fallback_message"})
"""Passes that make the answer's own text, when its model made them."""
_MAX_LABEL_CHARS: Final = 64
_MAX_PARTS: Final = 64
_NOTHING: Final = Kinds(requests=0)
_is_date = re.compile(r"[-@]\d{8}").fullmatch


class CacheCreation(Struct, gc=False):
    """Cache writes by lifetime."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class Pass(Struct, gc=False):
    """One of ``usage.iterations``."""

    type: str | None = None
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None


class HasWrites(Protocol):
    """A usage object, whole or of one pass."""

    cache_creation_input_tokens: Count | None
    cache_creation: CacheCreation | None


def writes_of(usage: HasWrites, problems: list[str]) -> tuple[int, int]:
    """Return cache writes of five minutes and of one hour."""
    total = usage.cache_creation_input_tokens
    split = usage.cache_creation
    if split is None:
        return total or 0, 0  # five minutes is the API's default
    five, hour = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
    rest = (five + hour if total is None else total) - five - hour
    if rest > 0:
        problems.append(f"{rest} cache-written tokens have no lifetime: read as five minutes")
        five += rest
    elif rest < 0:
        problems.append(
            f"the split of cache writes ({five} + {hour}) exceeds their total ({total}):"
            " cut to the total"
        )
        cut = min(-rest, five)
        five -= cut
        hour += rest + cut
    return five, hour


def by_pass(
    whole: Kinds, passes: Sequence[Pass], model: str | None, problems: list[str]
) -> tuple[Kinds, tuple[Part, ...]]:
    """Return what the model of the answer made for it, and the parts priced for themselves.

    Args:
        whole: what the top level counts.
        passes: ``usage.iterations``.
        model: the model that the answer names; None where it names none.
        problems: gets what was contradictory.

    Returns:
        Kinds and parts; together they are what is billed.
    """
    if any(each.input_tokens is None or each.output_tokens is None for each in passes):
        problems.append("iterations without counts: only the top level was counted")
        return whole, ()
    fallback = next((each for each in passes if each.type == "fallback_message"), None)
    if fallback is not None:
        passes = [each for each in passes if each.type != "message" or _produced(each)]
        if any(each.type == "message" and each.model is None for each in passes):
            problems.append("a pass before the fallback names no model: priced as the answer's")
        model = model or fallback.model
    own = Kinds(requests=whole.requests)
    parts: dict[tuple[str, str | None], Kinds] = {}
    for each in passes:
        kinds = _kinds_of(each, problems)
        label = (each.type or "")[:_MAX_LABEL_CHARS]
        is_own = label in _OF_THE_ANSWER and (model is None or same_model(each.model, model))
        if is_own or (len(parts) == _MAX_PARTS and (label, each.model) not in parts):
            own = _sum(own, kinds)
        else:
            parts[label, each.model] = _sum(parts.get((label, each.model), _NOTHING), kinds)
    further = tuple([Part(kinds, of, label) for (label, of), kinds in parts.items()])
    return _with_details(own, whole), further


def same_model(one: str | None, other: str) -> bool:
    """Whether two names are one model, with its date or without."""
    if one is None or one == other:
        return True
    long, short = (one, other) if len(one) > len(other) else (other, one)
    return long.startswith(short) and bool(_is_date(long[len(short) :]))


def _kinds_of(each: Pass, problems: list[str]) -> Kinds:
    five, hour = writes_of(each, problems)
    return Kinds(
        each.input_tokens or 0,
        each.cache_read_input_tokens or 0,
        five,
        hour,
        visible_output_tokens=each.output_tokens or 0,
        requests=0,
    )


def _with_details(own: Kinds, whole: Kinds) -> Kinds:
    """Return the answer's own kinds with what only the top level tells about them."""
    written = whole.cache_write_5m_tokens + whole.cache_write_1h_tokens
    if own.cache_write_5m_tokens + own.cache_write_1h_tokens == written:
        # Passes may have no split by lifetime where the top level has one.
        own = own._replace(
            cache_write_5m_tokens=whole.cache_write_5m_tokens,
            cache_write_1h_tokens=whole.cache_write_1h_tokens,
        )
    thinking = min(whole.reasoning_tokens, own.visible_output_tokens)
    return own._replace(
        web_search_requests=whole.web_search_requests,
        code_sessions=whole.code_sessions,
        reasoning_tokens=thinking,
        visible_output_tokens=own.visible_output_tokens - thinking,
    )


def _sum(one: Kinds, other: Kinds) -> Kinds:
    return Kinds(*[a + b for a, b in zip(one, other, strict=True)])


def _produced(each: Pass) -> bool:
    return bool(
        each.output_tokens or each.cache_read_input_tokens or each.cache_creation_input_tokens
    )
