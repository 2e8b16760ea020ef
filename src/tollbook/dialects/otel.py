"""Usage that a span of an OpenTelemetry instrumentation told, whichever provider it is of.

Not an API: nothing is routed to it. ``CallClosed.usage`` is one JSON object that
:func:`usage_object` made, with the attributes as they were received.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tollbook.call import Metering, Status, UsageSource
from tollbook.dialects.anthropic import Anthropic
from tollbook.dialects.azure import Azure
from tollbook.dialects.base import Measured
from tollbook.dialects.bedrock import Bedrock
from tollbook.dialects.cohere import Cohere
from tollbook.dialects.estimate import NOT_MEASURED, measure_with
from tollbook.dialects.gemini import Gemini
from tollbook.dialects.ollama import Ollama
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.otel_cost import cost_of
from tollbook.dialects.otel_counts import Counts, counts_of
from tollbook.dialects.otel_inclusive import cache_is_within
from tollbook.dialects.otel_kept import usage_attributes
from tollbook.dialects.otel_kinds import kinds_of
from tollbook.dialects.otel_langfuse import langfuse_counts
from tollbook.dialects.otel_litellm import litellm_counts
from tollbook.dialects.otel_names import LANGFUSE_USAGE, LITELLM_USAGE
from tollbook.dialects.otel_raw import RawUsage, json_object, raw_usage
from tollbook.dialects.usage_log import MAX_USAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.call import Call
    from tollbook.dialects.base import Dialect
    from tollbook.usage import Kinds

NAME: Final = "otel"
INVOKE_AGENT: Final = "invoke_agent"
"""The operation of a span that sums up the calls below it."""
_OWN: Final[dict[str, Dialect]] = {
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "azure": Azure(),
    "gemini": Gemini(),
    "bedrock": Bedrock(),
    "cohere": Cohere(),
    "ollama": Ollama(),
}
_HAS_LIFETIMES: Final = frozenset({"anthropic", "bedrock"})
_NO_OUTPUT: Final = frozenset({"embeddings", "rerank"})
_MAX_NOTES: Final = 8


class _Told(Struct):
    attributes: dict[str, Any] = {}
    scope: str = ""
    version: str = ""
    notes: list[str] = []


_decode: Final = msgspec.json.Decoder(_Told, float_hook=Decimal).decode


def usage_object(
    attributes: Mapping[str, Any], scope: str, version: str, notes: Sequence[str] = ()
) -> bytes:
    """Return what a span tells of usage as one JSON object, the same for the same span.

    Args:
        attributes: all of the span; those of usage are kept, without texts.
        scope: name of the instrumentation scope.
        version: of the instrumentation.
        notes: what stands beside the numbers in words, for explain.
    """
    kept = usage_attributes(attributes)
    told: dict[str, Any] = {"scope": scope[:128], "version": version[:64], "attributes": kept}
    if notes:
        told["notes"] = list(notes)[:_MAX_NOTES]
    raw = _encode(told)
    if raw is None or len(raw) > MAX_USAGE_BYTES:
        # Counts are short: what is long, or cannot be written, is a document that holds them.
        told["attributes"] = {
            name: value
            for name, value in kept.items()
            if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 64)  # noqa: PLR2004 -- digits
        }
        told["notes"] = [*notes, "the usage is too large: only its numbers were kept"][-_MAX_NOTES:]
        raw = _encode(told)
    if raw is None or len(raw) > MAX_USAGE_BYTES:
        return b'{"notes":["the usage is too large; it was not kept"]}'
    return raw


def _encode(told: dict[str, Any]) -> bytes | None:
    try:
        return msgspec.json.encode(told)
    except (msgspec.EncodeError, TypeError, ValueError, UnicodeError, RecursionError):
        return None


class Otel:
    """Measures what spans told; see :meth:`tollbook.dialects.base.Dialect.measure`."""

    name = NAME

    def measure(self, call: Call) -> Measured:
        """Turn what the span told into disjoint kinds. Nothing is estimated without its text."""
        opened, closed = call.opened, call.closed
        if (
            opened.metering is not Metering.METERED
            or not closed.is_billable
            or closed.status is Status.REJECTED
        ):
            return NOT_MEASURED
        told = _read(closed.usage)
        problems = list(told.notes)
        cost = cost_of(told.attributes, opened.provider, problems)
        measured = self._measured(call, told, problems)
        if measured.reported_cost_pico is None and cost is not None:
            measured = replace(measured, reported_cost_pico=cost)
        return measured

    def _measured(self, call: Call, told: _Told, problems: list[str]) -> Measured:
        # A sum over calls has beside it, if anything, the provider's usage of the last one.
        raw = None if call.opened.operation == INVOKE_AGENT else raw_usage(told.attributes)
        if raw is not None:
            measured = _as_provider(call, raw)
            if measured is not None:
                where = f"read from the provider's own usage in {raw.where}"
                return replace(measured, problems=(*problems, where, *measured.problems))
        kinds, lacks = _kinds(call, told, problems)
        if kinds is None:
            return _unknown(call, problems)
        if lacks and call.opened.operation in _NO_OUTPUT:
            lacks = tuple([side for side in lacks if side != "output"])
        if lacks:
            problems.append(f"the span has no count of the {' and the '.join(lacks)}")
        source = UsageSource.ESTIMATED if lacks else UsageSource.REPORTED
        return Measured(kinds, source, tuple(problems))


def _read(usage: tuple[bytes, ...]) -> _Told:
    if not usage:
        return _Told()
    try:
        return _decode(usage[0])
    except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
        return _Told(notes=["what the span told of usage cannot be read"])


def _kinds(call: Call, told: _Told, problems: list[str]) -> tuple[Kinds | None, tuple[str, ...]]:
    provider = call.opened.provider
    model = (call.closed.model_actual or call.opened.model_requested or "").lower()
    has_lifetimes = provider in _HAS_LIFETIMES or "claude" in model
    details = json_object(told.attributes.get(LANGFUSE_USAGE))
    if details is not None:
        counts = langfuse_counts(details, problems)
        return kinds_of(counts, None, has_lifetimes=has_lifetimes, problems=problems)
    of_litellm = litellm_counts(told.attributes.get(LITELLM_USAGE))
    if of_litellm is not None:
        return kinds_of(of_litellm, None, has_lifetimes=has_lifetimes, problems=problems)
    counts = counts_of(told.attributes, problems)
    if call.opened.operation == "rerank" and counts.search_units:
        if (counts.input or counts.output or counts.total) is not None:
            problems.append("billed by search units: the tokens beside them are not charged")
        counts = Counts(search_units=counts.search_units)
    if provider == "cohere":
        _as_billed(counts, told.attributes)
    if "ai.usage.promptTokens" in told.attributes and counts.cache_read is None:
        problems.append("the AI SDK before version 6 does not tell what was read from the cache")
    decision = cache_is_within(counts, told.scope, provider, model, told.attributes)
    if decision is not None:
        within = "includes" if decision.is_inclusive else "leaves out"
        problems.append(f"the input {within} the cache's tokens: {decision.reason}")
    return kinds_of(counts, decision, has_lifetimes=has_lifetimes, problems=problems)


def _as_billed(counts: Counts, attributes: Mapping[str, Any]) -> None:
    """Put billed units first: pydantic-ai has them in its details, and what was consumed above."""
    billed = counts_of(
        {
            "gen_ai.usage.input_tokens": attributes.get("gen_ai.usage.details.input_tokens"),
            "gen_ai.usage.output_tokens": attributes.get("gen_ai.usage.details.output_tokens"),
        },
        [],
    )
    if billed.input is not None:
        counts.input, counts.total = billed.input, None
    if billed.output is not None:
        counts.output, counts.total = billed.output, None


def _as_provider(call: Call, raw: RawUsage) -> Measured | None:
    dialect = _OWN.get(raw.dialect)
    if dialect is None:
        return None
    closed = replace(call.closed, usage=raw.objects)
    asked = replace(call.opened, dialect=raw.dialect)
    measured = dialect.measure(replace(call, opened=asked, closed=closed))
    kinds = measured.kinds
    if kinds is None or not any(kinds[:-1]):
        # Nothing was read: what would be estimated has no text to go by.
        return measured if measured.source is UsageSource.REPORTED else None
    return measured


def _unknown(call: Call, problems: list[str]) -> Measured:
    """Estimate from the text where its length is known; else nothing is known."""
    if call.opened.input_chars or call.closed.output_chars:
        bare = replace(call, closed=replace(call.closed, usage=()))
        measured = measure_with(_nothing_read, bare)
        return replace(measured, problems=(*problems, *measured.problems))
    problems.append("the span tells no usage")
    return Measured(None, UsageSource.NONE, tuple(problems))


def _nothing_read(objects: tuple[bytes, ...]) -> Any:
    raise AssertionError(objects)
