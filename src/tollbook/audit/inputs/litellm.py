"""LiteLLM: rows of ``LiteLLM_SpendLogs``, and the objects that its loggers write to buckets.

Fields as in LiteLLM's ``schema.prisma`` (model LiteLLM_SpendLogs), ``SpendLogsMetadata`` and the
``StandardLoggingPayload`` of its logging specification. Rows tell of single calls; those of one
session (a retry or a fallback keeps it) are looked at together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, spans_of, tags_of, told, without_content
from tollbook.audit.inputs.usage_words import tokens_at
from tollbook.capture.imports.providers import operation_named, provider_named_in, without_provider
from tollbook.capture.imports.row import json_text
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "litellm"
_CONTENT: Final = ("messages", "response", "proxy_server_request", "error_str")
_ROW: Final = frozenset({"request_id", "call_type"})
_PAYLOAD: Final = frozenset({"id", "call_type", "model_map_information", "hidden_params"})
_is_own_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
"""Whether LiteLLM made an id up (a UUID), the provider's answer having none."""
_NOBODY: Final = "default_user_id"
"""LiteLLM's user of keys that were made for nobody."""
_RESOURCE: Final = {"service.name": "litellm"}


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is a row of spend logs or a logged payload."""
    del head
    if not isinstance(first, dict):
        return False
    names = first.keys()
    is_row = names >= _ROW and not names.isdisjoint({"spend", "api_key", "startTime"})
    return is_row or names >= _PAYLOAD


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of rows."""

    def take(row: Fields) -> list[Span]:
        without_content(row, about, *_CONTENT)
        return [_span(row)]

    return spans_of(records, about, take, has_traces=False)


def _span(row: Fields) -> Span:
    row_id = row.required(row.id("request_id", "id"), "request_id")
    session = row.id("session_id", "trace_id", "metadata.trace_id")
    started_ns = row.required(row.time_ns("startTime", "start_time"), "startTime")
    ended_ns = row.time_ns("endTime", "end_time") or started_ns
    is_error = row.text("status", "metadata.status") == "failure"
    # What LiteLLM answered from its own cache was sent to nobody: it is no call to a model.
    is_hit = row.flag("cache_hit") is True
    attributes = _owner(row) | told(session__id=session)
    if not is_hit:
        attributes |= _call(row, row_id, is_error=is_error)
        attributes |= _stream(row, started_ns, ended_ns)
    return Span(
        trace_id=session or row_id,
        span_id=row_id,
        name=row.word("call_type") or "call",
        kind=3,
        started_at_ns=started_ns,
        ended_at_ns=ended_ns,
        attributes=attributes,
        resource=_RESOURCE,
        scope_name="litellm.spend_logs",
        is_error=is_error,
    )


def _call(row: Fields, row_id: str, *, is_error: bool) -> dict[str, Any]:
    name, model = row.text("custom_llm_provider"), row.text("model")
    api_base = row.text("api_base")
    provider, _ = provider_named_in(name, api_base, model, None)
    model = without_provider(model, provider, name)
    attributes = told(
        gen_ai__operation__name=operation_named(row.text("call_type")),
        gen_ai__provider__name=provider,
        gen_ai__request__model=row.text("model_group") or model,
        gen_ai__response__model=None if is_error else model,
        gen_ai__response__id=None if is_error or _is_own_id(row_id) else row_id,
        gen_ai__request__api_base=api_base,
        metadata__attempted_retries=row.count("metadata.attempted_retries"),
        litellm__fallback_from=row.text("metadata.fallback_from"),
        litellm__cost__total=row.usd("spend", "response_cost"),
        error__type=row.word(
            "metadata.error_information.error_class", "error_information.error_class"
        ),
    )
    code = row.word("metadata.error_information.error_code", "error_information.error_code")
    if code.isdecimal() and len(code) == 3:  # noqa: PLR2004 -- digits of an HTTP status
        attributes["http.response.status_code"] = int(code)
    if is_error and not row.count("total_tokens"):
        return attributes
    return attributes | _usage(row)


def _usage(row: Fields) -> dict[str, Any]:
    """Return the counts: of the usage in OpenAI's shape where it is kept, else of the columns.

    LiteLLM's prompt includes the cache, whatever the provider (LiteLLM, ``Usage``).
    """
    detailed = "metadata.usage_object."
    given, out = f"{detailed}prompt_tokens_details.", f"{detailed}completion_tokens_details."
    beside = "metadata.additional_usage_values."
    lifetimes = f"{given}cache_creation_token_details."
    return tokens_at(
        row,
        input=(f"{detailed}prompt_tokens", "prompt_tokens"),
        output=(f"{detailed}completion_tokens", "completion_tokens"),
        total=(f"{detailed}total_tokens", "total_tokens"),
        cache_read=(
            f"{given}cached_tokens",
            f"{detailed}cache_read_input_tokens",
            f"{beside}cache_read_input_tokens",
        ),
        cache_write=(
            f"{detailed}cache_creation_input_tokens",
            f"{given}cache_creation_tokens",
            f"{beside}cache_creation_input_tokens",
        ),
        cache_write_5m=(f"{lifetimes}ephemeral_5m_input_tokens",),
        cache_write_1h=(f"{lifetimes}ephemeral_1h_input_tokens",),
        reasoning=(f"{out}reasoning_tokens",),
        input_audio=(f"{given}audio_tokens",),
        output_audio=(f"{out}audio_tokens",),
    )


def _stream(row: Fields, started_ns: int, ended_ns: int) -> dict[str, Any]:
    """Tell a stream: LiteLLM puts the end there where nothing was streamed."""
    first_ns = row.time_ns("completionStartTime")
    is_stream = row.flag("stream") is True
    if first_ns is not None and started_ns <= first_ns < ended_ns:
        is_stream = True
    return {"gen_ai.request.stream": True} if is_stream else {}


def _owner(row: Fields) -> dict[str, Any]:
    attributes = told(
        metadata__user_api_key_alias=row.word("metadata.user_api_key_alias"),
        metadata__user_api_key_hash=row.id("api_key", "metadata.user_api_key_hash"),
        litellm__team__id=row.text("team_id", "metadata.user_api_key_team_id"),
    )
    for name in ("spend_logs_metadata", "requester_metadata"):
        document = row.mapping(f"metadata.{name}")
        if document:
            attributes[f"metadata.{name}"] = json_text(document)
    # The end user of the application goes before the person that the key was made for.
    end_user = row.text("end_user", "metadata.user_api_key_end_user_id")
    user = row.text("user", "metadata.user_api_key_user_id")
    if end_user is not None:
        attributes["litellm.end_user.id"] = end_user
    elif user not in {None, _NOBODY}:
        attributes["metadata.user_api_key_user_id"] = user
    return attributes | tags_of(row.items("request_tags"), "metadata.")
