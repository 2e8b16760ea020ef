"""Prices that are missing or uncertain (A11, A29, A30), costs that differ (A12), models (A25)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.duplicates import is_fetched
from tollbook.audit.rules.found import WHOLE, called, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_is_alias = re.compile(r"(.*[-:@/])?(latest|default|auto|preview)").fullmatch
_digits = re.compile(r"\d[\d.,]*")
_TOLERANCE_PER_MILLE: Final = 5
"""0.5 %: recorded answers of providers that tell their cost are within it."""
_ROUNDED_PICO: Final = 500_000
"""Half of the sixth decimal of a dollar, to which tools round the cost of a call."""
_NO_RATE: Final = "no rate for"
_ASKED_FOR: Final = "priced as the model that was asked for"
_ROUTERS: Final = frozenset(
    {"openrouter", "litellm", "portkey", "vercel", "huggingface", "unknown"}
)
"""Providers that send a request on to whoever has the model, or to another model."""
_LIFETIME: Final = "how long cache writes live is not told"


class Prices:
    """A11 and A29: calls that have no price, or one that need not be the one that was charged.

    Whether there is a price, and what is uncertain about it, is what the price book says. A model
    that is named by an alias, without the one that answered, has the price of whatever the alias
    meant on that day.

    Source: price pages of the providers; OpenAI and Anthropic, model aliases and snapshots.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call whose price is in doubt."""
        for span in trace.calls:
            call = span.call
            if call is None or call.kinds is None or is_fetched(call):
                continue
            if call.cost_pico is None:
                if call.price_problem is not None:
                    yield _unpriced(span, call)
                continue
            if call.price_problem is not None and call.is_price_doubtful:
                yield _doubted(span, _doubt(call.price_problem))
            model = call.model_actual or call.model_requested or ""
            if _is_alias(model.lower()):
                yield _doubted(span, f"{model} is an alias, and the model behind it is not told")
            if any(one.startswith(_LIFETIME) for one in call.usage_notes):
                yield _doubted(span, f"{_LIFETIME}, and it is charged as five minutes")


def _unpriced(span: SpanFact, call: CallFact) -> Hit:
    model = call.model_actual or call.model_requested
    if model is None:
        title = f"Calls that {called(span)} tells of name no model, and so have no price"
        return hit_of("A29", title, ("no model", called(span), span.service), [span])
    problem = call.price_problem or ""
    if _NO_RATE in problem:
        title = f"Not all that {model} of {call.provider} used has a price: {problem}"
        return hit_of("A11", title[:200], ("rate", call.provider, model, problem), [span])
    title = f"No price is known for {model} of {call.provider}"
    return hit_of("A29", title, (call.provider, model), [span])


def _doubt(problem: str) -> str:
    """Return what is in doubt about a price, without what is told as A25."""
    parts = [one for one in problem.split("; ") if not one.startswith(_ASKED_FOR)]
    return "; ".join(parts) or problem


def _doubted(span: SpanFact, problem: str) -> Hit:
    return hit_of(
        "A11",
        problem[:1].upper() + problem[1:200],
        (_digits.sub("#", problem),),
        [span],
        severity=Severity.NOTE if problem.startswith(_LIFETIME) else Severity.WARNING,
    )


class Costs:
    """A12 and A30: a cost on the span that is another than by the price book, or without a version.

    The comparison is one of integers: ``|reported - computed| * 1000 > reported * 5``. A difference
    of half a millionth of a dollar is how tools round.

    Source: measured over recorded answers with a provider's cost; semantic-conventions-genai PR 443
    (amount, currency, source).
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call with such a cost."""
        for span in trace.calls:
            call = span.call
            if call is None or call.reported_cost_pico is None:
                continue
            source = call.cost_source or called(span)
            if call.cost_pico is not None and differs(call.reported_cost_pico, call.cost_pico):
                model = call.model_actual or call.model_requested or "unnamed models"
                yield hit_of(
                    "A12",
                    f"Costs that {called(span)} tells of {model} ({source}) are not those by the"
                    " price book",
                    (source, called(span), call.provider, model),
                    [span],
                    factor_millis=call.reported_cost_pico * WHOLE // max(1, call.cost_pico),
                )
            if call.price_version is None and source != "provider":
                yield hit_of(
                    "A30",
                    f"Costs that {called(span)} tells ({source}) do not say by which prices",
                    (source, called(span)),
                    [span],
                )


def differs(reported_pico: int, computed_pico: int) -> bool:
    """Return whether two costs are more than 0.5 % and more than a rounding apart."""
    apart = abs(reported_pico - computed_pico)
    return apart > _ROUNDED_PICO and apart * 1000 > reported_pico * _TOLERANCE_PER_MILLE


class Models:
    """A25: the model that answered is not told, so a fallback or a router cannot be seen.

    A remark where the provider itself was asked: it answers with the model or a snapshot of it.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.response.model.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call that ended well without it."""
        for span in trace.calls:
            call = span.call
            if call is None or call.is_error or not call.is_call or is_fetched(call):
                continue
            if call.model_actual is None and call.model_requested is not None:
                yield hit_of(
                    "A25",
                    f"{called(span)} does not tell which model of {call.provider} answered",
                    (called(span), span.scope_version, call.provider),
                    [span],
                    severity=Severity.WARNING if _is_routed(call) else Severity.NOTE,
                )


def _is_routed(call: CallFact) -> bool:
    return call.provider in _ROUTERS or call.fallback_from is not None
