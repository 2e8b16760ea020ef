"""OpenRouter: single generations, and the activity of whole days.

Generations are records of ``GET /api/v1/generation`` (``GenerationResponseData``: the native token
counts are those billed) or lines of the activity page's CSV. Days are rows of
``GET /api/v1/activity`` (``ActivityItem``), each the sum of many requests to one endpoint: one
entry, tagged with how many. What OpenRouter says that it cost is what it bills.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.record import Record, cost, new_owner, tokens

if TYPE_CHECKING:
    from tollbook.capture.imports.row import Row

NAME: Final = "openrouter"
_NS_PER_MS: Final = 10**6
_DAY_NS: Final = timedelta(days=1) // timedelta(microseconds=1) * 1000


def record_of(row: Row, default_provider: str | None) -> Record:
    """Return the call of a row.

    Raises:
        RowError: a field is missing or not what it should be; the day is not over.
    """
    provider = default_provider or NAME
    if row.get("date") is not None and row.get("requests") is not None:
        return _day(row, provider)
    return _generation(row, provider)


def _generation(row: Row, provider: str) -> Record:
    row_id = row.required(row.text("generation_id", "id"), "id")
    started_ns = row.required(row.time_ns("created_at", "createdAt"), "created_at")
    took_ms = row.number("generation_time_ms", "generation_time", "latency")
    first_ms = row.number("time_to_first_token_ms")
    usage = tokens(
        input=row.count("native_tokens_prompt", "nativeTokensPrompt", "tokens_prompt"),
        output=row.count("native_tokens_completion", "nativeTokensCompletion", "tokens_completion"),
        cache_read=row.count("native_tokens_cached", "nativeTokensCached", "tokens_cached"),
        reasoning=row.count("native_tokens_reasoning", "nativeTokensReasoning", "tokens_reasoning"),
    )
    reported = row.usd("total_cost", "totalCost", "cost_total", "usage")
    owner = new_owner()
    user = row.text("external_user", "externalUser", "user")
    if user is not None:
        owner.put_field("user_id", user, "external_user")
    for tag, paths in (
        ("app", ("app_name",)), ("key", ("api_key_name",)),
        ("upstream", ("provider_name", "providerName")),
    ):  # fmt: skip
        text = row.text(*paths)
        if text is not None:
            owner.put_tag(tag, text, paths[0])
    model = row.required(row.text("model", "model_permaslug"), "model")
    return Record(
        row_id=row_id,
        started_at_ns=started_ns,
        ended_at_ns=None if took_ms is None else started_ns + int(took_ms * _NS_PER_MS),
        time_to_first_token_ns=None if first_ms is None else int(first_ms * _NS_PER_MS),
        provider=provider,
        model_requested=model,
        model_actual=model,
        usage=usage | cost(reported, is_invoiced=True),
        is_stream=row.flag("streamed") is True,
        provider_response_id=row_id,
        service_tier=row.text("service_tier", "serviceTier"),
        owner=owner,
    )


def _day(row: Row, provider: str) -> Record:
    started_ns = row.required(row.time_ns("date"), "date")
    if started_ns + _DAY_NS > clock.unix_ns():
        raise RowError("date", "the day is not over, so its sums still grow; import it later")
    model = row.required(row.text("model_permaslug", "modelPermaslug", "model"), "model")
    endpoint = row.text("endpoint_id", "endpointId")
    upstream = row.text("provider_name", "providerName")
    requests = row.required(row.count("requests"), "requests")
    byok = row.usd("byok_usage_inference", "byokUsageInference")
    usage: dict[str, Any] = tokens(
        input=row.count("prompt_tokens", "promptTokens"),
        output=row.count("completion_tokens", "completionTokens"),
        reasoning=row.count("reasoning_tokens", "reasoningTokens"),
    ) | cost(row.required(row.usd("usage"), "usage"), is_invoiced=True)
    owner = new_owner()
    owner.put_tag("requests", str(requests), "requests")
    if upstream is not None:
        owner.put_tag("upstream", upstream, "provider_name")
    notes = [f"the sum of {requests} requests of one day"]
    if byok:
        notes.append(f"with keys of one's own, providers bill {byok:f} USD besides")
    return Record(
        row_id=f"{row.text('date')}|{endpoint}|{model}|{upstream}",
        started_at_ns=started_ns,
        ended_at_ns=started_ns + _DAY_NS - 1,
        provider=provider,
        model_requested=model,
        model_actual=model,
        usage=usage,
        notes=notes,
        owner=owner,
    )
