"""Helicone: requests as ``@helicone/export`` and ``POST /v1/request/query-clickhouse`` give them.

Fields as in Helicone's ``HeliconeRequest``. With the bodies in the export (``--include-body``) the
provider's own usage is read; without them Helicone's counts, whose prompt tokens are the
provider's own: Anthropic's leave out those of the cache, others include them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.capture.imports.providers import (
    operation_at,
    provider_named_in,
    without_provider,
)
from tollbook.capture.imports.record import Record, cost, new_owner, tokens
from tollbook.capture.imports.row import Row, json_text
from tollbook.dialects.otel_names import RAW_ELSEWHERE
from tollbook.identity.names import put_mapping

if TYPE_CHECKING:
    from tollbook.identity.values import ClaimsBuilder

NAME: Final = "helicone"
_NS_PER_MS: Final = 10**6
_OK: Final = range(200, 300)
_LOST: Final = range(-(10**6), 0)  # Helicone's own codes: cancelled, timed out
_NO_CACHE: Final = ("00000000-0000-0000-0000-000000000000",)
_SESSION: Final = {"helicone-session-id": "agent_run_id", "helicone-session-name": "workflow_id",
                   "helicone-session-path": "workflow_step"}  # fmt: skip


def record_of(row: Row, default_provider: str | None) -> Record:
    """Return the call of a row.

    Raises:
        RowError: a field is missing or not what it should be.
    """
    model = row.text("model", "response_model", "model_override", "request_model")
    name, url = row.text("provider"), row.text("target_url")
    provider, notes = provider_named_in(name, url, model, default_provider)
    started_ns = row.required(row.time_ns("request_created_at", "created_at"), "request_created_at")
    delay_ms = row.number("delay_ms", "latency")
    first_ms = row.count("time_to_first_token")
    status = _status(row)
    is_hit = row.text("cache_reference_id") not in (None, *_NO_CACHE)
    if is_hit:
        notes.append("answered from Helicone's cache: nothing was sent to the provider")
    is_error = status is not None and status not in _OK
    return Record(
        row_id=row.required(row.text("request_id", "id"), "request_id"),
        started_at_ns=started_ns,
        ended_at_ns=None if delay_ms is None else started_ns + int(delay_ms * _NS_PER_MS),
        time_to_first_token_ns=first_ms * _NS_PER_MS if first_ms else None,
        provider=provider,
        operation=operation_at(row.text("request_path", "path") or url),
        model_requested=without_provider(row.text("request_model") or model, provider, name),
        model_actual=without_provider(model, provider, name),
        usage={} if is_error else _usage(row, provider),
        notes=notes,
        is_error=is_error,
        http_status=status if status is not None and status > 0 else None,
        is_billable=not is_hit,
        is_stream=row.flag("request_body.stream") is True,
        provider_response_id=row.text("response_body.id"),
        owner=_owner(row),
    )


def _status(row: Row) -> int | None:
    text = row.text("response_status", "status")
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def _usage(row: Row, provider: str) -> dict[str, Any]:
    usage = cost(row.usd("cost", "costUSD", "cost_usd"))
    own = row.mapping("response_body.usage", "response_body.usageMetadata")
    if own:
        text = json_text(own)
        usage[RAW_ELSEWHERE[0]] = text
    given = row.count("prompt_tokens")
    read = row.count("prompt_cache_read_tokens")
    written = row.count("prompt_cache_write_tokens")
    if provider in {"anthropic", "bedrock"} and given is not None:
        given += (read or 0) + (written or 0)
    return usage | tokens(
        input=given,
        output=row.count("completion_tokens"),
        cache_read=read,
        cache_write=written,
        reasoning=row.count("reasoning_tokens"),
        input_audio=row.count("prompt_audio_tokens"),
        output_audio=row.count("completion_audio_tokens"),
    )


def _owner(row: Row) -> ClaimsBuilder:
    owner = new_owner()
    properties = row.mapping("request_properties", "properties")
    sessions = {name: properties[name] for name in properties if name.lower() in _SESSION}
    rest = {name: value for name, value in properties.items() if name not in sessions}
    put_mapping(owner, rest, "request_properties")
    for name, value in sessions.items():
        if isinstance(value, str) and value:
            owner.put_field(_SESSION[name.lower()], value, name)
    user = row.text("request_user_id", "user_id", "helicone_user")
    if user is not None and "user_id" not in owner.fields:
        owner.put_field("user_id", user, "request_user_id")
    return owner
