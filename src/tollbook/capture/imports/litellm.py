"""LiteLLM: rows of the table ``LiteLLM_SpendLogs``, and dumps of ``GET /spend/logs``.

Fields as in LiteLLM's ``schema.prisma`` (model LiteLLM_SpendLogs) and, in ``metadata``,
``SpendLogsMetadata`` and ``usage_object`` (the usage as LiteLLM has put it into OpenAI's shape;
prompt tokens include those of the cache). ``spend`` is LiteLLM's own arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.capture.imports.providers import (
    operation_named,
    provider_named_in,
    without_provider,
)
from tollbook.capture.imports.record import Record, cost, new_owner, tokens
from tollbook.capture.imports.row import Row, json_text
from tollbook.dialects.otel_names import LITELLM_USAGE
from tollbook.identity.names import put_mapping
from tollbook.identity.vendors import put_tag_list

if TYPE_CHECKING:
    from tollbook.identity.values import ClaimsBuilder

NAME: Final = "litellm"
_KEY_CHARS: Final = 12
_NS_PER_S: Final = 10**9


def record_of(row: Row, default_provider: str | None) -> Record:
    """Return the call of a row.

    Raises:
        RowError: a field is missing or not what it should be.
    """
    name = row.text("custom_llm_provider")
    model = row.text("model")
    provider, notes = provider_named_in(name, row.text("api_base"), model, default_provider)
    model = without_provider(model, provider, name)
    started_ns = row.required(row.time_ns("startTime", "start_time"), "startTime")
    first_ns = row.time_ns("completionStartTime")
    ended_ns = row.time_ns("endTime", "end_time")
    is_error = row.text("status") == "failure"
    is_hit = row.flag("cache_hit") is True
    if is_hit:
        notes.append("answered from LiteLLM's cache: nothing was sent to the provider")
    row_id = row.required(row.text("request_id"), "request_id")
    return Record(
        row_id=row_id,
        started_at_ns=started_ns,
        ended_at_ns=ended_ns,
        # LiteLLM puts the end there where nothing was streamed.
        time_to_first_token_ns=first_ns - started_ns
        if first_ns is not None and started_ns <= first_ns and first_ns != ended_ns
        else None,
        provider=provider,
        operation=operation_named(row.text("call_type")),
        model_requested=row.text("model_group") or model,
        model_actual=model,
        usage={} if is_error and not row.count("total_tokens") else _usage(row),
        notes=notes,
        is_error=is_error,
        error_type=row.text("metadata.error_information.error_class") if is_error else None,
        http_status=_status(row) if is_error else 200,
        is_billable=not is_hit,
        provider_response_id=row_id,
        api_key_id=_key(row),
        owner=_owner(row),
    )


def _usage(row: Row) -> dict[str, Any]:
    usage = tokens(
        input=row.count("prompt_tokens"),
        output=row.count("completion_tokens"),
        total=row.count("total_tokens"),
        cache_read=row.count(
            "metadata.usage_object.prompt_tokens_details.cached_tokens",
            "metadata.additional_usage_values.cache_read_input_tokens",
        ),
        cache_write=row.count("metadata.additional_usage_values.cache_creation_input_tokens"),
    ) | cost(row.usd("spend"))
    detailed = row.mapping("metadata.usage_object")
    if detailed:
        usage[LITELLM_USAGE] = json_text(detailed)
    return usage


def _status(row: Row) -> int | None:
    code = row.text("metadata.error_information.error_code")
    return int(code) if code is not None and code.isdecimal() and len(code) == 3 else None  # noqa: PLR2004 -- HTTP


def _key(row: Row) -> str | None:
    """Name the hashed key shortly, as the gateway names keys that are not ours."""
    hashed = row.text("api_key")
    return None if hashed is None else f"litellm:{hashed[:_KEY_CHARS]}"


def _owner(row: Row) -> ClaimsBuilder:
    owner = new_owner()
    # What the application sent with the request goes before what the proxy knows of its key.
    for path in ("metadata.spend_logs_metadata", "metadata.requester_metadata"):
        put_mapping(owner, row.mapping(path), path)
    put_tag_list(owner, row.items("request_tags"), "request_tags")
    for field, path in (
        ("user_id", "end_user"), ("user_id", "user"), ("team_id", "team_id"),
        ("agent_run_id", "session_id"),
    ):  # fmt: skip
        text = row.text(path)
        if text is not None and field not in owner.fields:
            owner.put_field(field, text, path)
    alias = row.text("metadata.user_api_key_alias")
    if alias is not None:
        owner.put_tag("key", alias, "metadata.user_api_key_alias")
    return owner
