"""Which column of an unknown log is what, by the names that teams give them.

Nothing is guessed from values: a name that is not here is left alone, and what was taken for what
is said in the report, so that a mapping can be written where the guess is wrong.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tollbook.audit.kept.content import is_content

MEANINGS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("request_id", "call_id", "requestid", "generation_id", "log_id", "event_id", "id",
           "uuid", "_id"),
    "response_id": ("response_id", "provider_response_id", "completion_id", "responseid"),
    "provider_request_id": ("provider_request_id", "x_request_id", "openai_request_id"),
    "trace_id": ("trace_id", "traceid"),
    "span_id": ("span_id", "spanid"),
    "parent_span_id": ("parent_span_id", "parent_id", "parentspanid", "parentid"),
    "started_at": ("started_at", "start_time", "starttime", "request_time", "request_created_at",
                   "timestamp", "ts", "time", "created_at", "createdat", "created", "event_time",
                   "datetime", "date_time", "date"),
    "ended_at": ("ended_at", "end_time", "endtime", "finished_at", "completed_at"),
    "duration_ms": ("duration_ms", "latency_ms", "durationms", "latencyms", "elapsed_ms",
                    "response_time_ms"),
    "provider": ("provider", "llm_provider", "model_provider", "vendor", "api_provider"),
    "model": ("response_model", "model", "model_name", "modelname", "model_id", "llm_model",
              "engine", "deployment", "deployment_name"),
    "model_requested": ("model_requested", "requested_model", "request_model", "model_group"),
    "operation": ("operation", "call_type", "request_type", "endpoint", "request_path", "path",
                  "url"),
    "input": ("input_tokens", "prompt_tokens", "inputtokens", "prompttokens", "tokens_in",
              "tokens_input", "tokens_prompt", "input_token_count", "prompt_token_count",
              "num_input_tokens", "n_input_tokens", "in_tokens"),
    "output": ("output_tokens", "completion_tokens", "outputtokens", "completiontokens",
               "tokens_out", "tokens_output", "tokens_completion", "output_token_count",
               "completion_token_count", "candidates_token_count", "num_output_tokens",
               "n_output_tokens", "out_tokens"),
    "total": ("total_tokens", "totaltokens", "tokens_total", "total_token_count", "tokens"),
    "cache_read": ("cache_read_tokens", "cache_read_input_tokens", "cached_tokens",
                   "cached_input_tokens", "input_cached_tokens", "prompt_cache_hit_tokens",
                   "cached_content_token_count"),
    "cache_write": ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens"),
    "reasoning": ("reasoning_tokens", "reasoning_output_tokens", "thoughts_token_count"),
    "cost": ("cost_usd", "usd", "cost", "total_cost", "response_cost", "spend", "price_usd"),
    "tenant_id": ("tenant_id", "tenant", "tenantid", "tenant_name", "customer_id", "customer",
                  "customerid", "organization_id", "organisation_id", "org_id", "orgid", "org",
                  "organization", "account_id", "accountid", "account", "workspace_id",
                  "workspace", "company_id", "company", "client_id"),
    "user_id": ("user_id", "userid", "end_user_id", "end_user", "enduser_id", "user", "user_name",
                "username", "user_email"),
    "team_id": ("team_id", "team", "teamid", "department"),
    "feature": ("feature", "feature_name", "use_case"),
    "api_key_id": ("api_key_id", "api_key_name", "key_name", "key_alias", "key_id", "key_hash",
                   "virtual_key", "api_key_hash", "api_key"),
    "http_status": ("http_status", "status_code", "http_status_code", "response_status",
                    "response_code"),
    "status": ("status", "outcome", "result_status"),
    "error_type": ("error_type", "error_class", "error_code"),
    "is_stream": ("is_stream", "stream", "streaming", "streamed"),
    "session_id": ("session_id", "conversation_id", "thread_id", "sessionid"),
    "attempt": ("attempt", "attempt_number"),
    "retries": ("retry_count", "retries", "attempted_retries"),
    "retry_of": ("retry_of",),
    "fallback_from": ("fallback_from", "fallback_from_model"),
    "service_tier": ("service_tier",),
    "batch_id": ("batch_id",),
    "service": ("service", "service_name", "app", "application", "app_name"),
    "environment": ("environment", "env"),
}  # fmt: skip
"""Meanings to names, the ones believed first in front; written with underscores."""
_BY_NAME: Final = {
    name: (rank, meaning) for meaning, names in MEANINGS.items() for rank, name in enumerate(names)
}
_ALONE: Final = frozenset(
    {"id", "uuid", "_id", "ts", "time", "date", "created", "status", "path", "url", "user", "org",
     "account", "app", "service", "model", "team", "engine", "cost", "usd", "attempt", "tokens",
     "customer", "company", "endpoint", "provider", "vendor", "feature", "workspace"}
)  # fmt: skip
"""Names that mean another thing within some structure: taken at the top, and in a few holders."""
_HOLDERS: Final = frozenset(
    {"metadata", "usage", "request", "response", "context", "attributes", "fields", "data",
     "properties", "tags", "labels", "log", "event", "identity", "llm"}
)  # fmt: skip
_PATHS_MAX: Final = 2000
_DEPTH_MAX: Final = 4
_to_name = re.compile(r"[^a-z0-9]+").sub
_camel = re.compile(r"(?<=[a-z0-9])(?=[A-Z])").sub


def meaning_of(path: tuple[str, ...]) -> tuple[int, str] | None:
    """Return how soon a field is believed (0 first) and what it means, None for nothing known."""
    parts = [_to_name("_", _camel("_", part).lower()).strip("_") or part for part in path]
    for start in range(len(parts)):
        name = "_".join(parts[start:])
        found = _BY_NAME.get(name)
        if found is None or (start and name in _ALONE and parts[start - 1] not in _HOLDERS):
            continue
        return found[0] + 100 * start, found[1]
    return None


class Guess:
    """What the columns of an input were taken for."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._ranked: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self.taken: dict[str, tuple[str, ...]] = {}
        """Meanings to the field that was used first."""

    def learn(self, values: dict[str, Any]) -> None:
        """Look at the names of a record, with those within it; never at content."""
        self._learn(values, ())

    def _learn(self, values: dict[str, Any], above: tuple[str, ...]) -> None:
        for name, value in values.items():
            path = (*above, name)
            if isinstance(value, dict):
                if len(path) < _DEPTH_MAX and not is_content(".".join(path)):
                    self._learn(value, path)
            elif path not in self._seen and len(self._seen) < _PATHS_MAX:
                self._seen.add(path)
                found = meaning_of(tuple(part for one in path for part in one.split(".")))
                if found is not None:
                    ranked = self._ranked.setdefault(found[1], [])
                    ranked.append((found[0], path))
                    ranked.sort()

    @property
    def meanings(self) -> set[str]:
        """What was recognised."""
        return set(self._ranked)

    def find(self, values: dict[str, Any], meaning: str) -> tuple[str, Any]:
        """Return the name of the field that tells something, and its value; None where none."""
        for _, path in self._ranked.get(meaning, ()):
            value: Any = values
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None and value != "" and not isinstance(value, (dict, list)):
                self.taken.setdefault(meaning, path)
                return ".".join(path), value
        return "", None

    def words(self) -> list[str]:
        """Say what was taken for what."""
        return [
            f"{meaning.replace('_', ' ')} from {'.'.join(path)}"
            for meaning, path in sorted(self.taken.items())
        ]
