"""Examples of the API's document: values by the names of fields, and whole answers."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import msgspec

VALUES: Final = MappingProxyType(
    {
        "tenant": "acme", "owner": "acme", "period": "2026-10", "month": "2026-10",
        "provider": "openai", "model": "gpt-5-mini", "reason": "agreed on 3 November",
        "name": "pro", "kind": "token", "currency": "EUR", "since": "2026-10-01",
        "until": "2026-11-01", "by": "tenant", "feature": "search", "user": "anna",
        "amount_usd": "100", "role": "viewer", "budget": "monthly", "format": "csv",
        "text": "name,amount\n", "body": "{}", "line_id": "2026-10-tl-0123456789abcdef",
        "export_id": "01a1fff3-0899-7b40-9588-41b3ca0c7ff0", "label": "ci",
    }
)  # fmt: skip
_BY_TYPE: Final[dict[str, Any]] = {
    "string": "text", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {},
}  # fmt: skip


def example_of(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return a value for a field: one of its own, else one that its name or type suggests.

    Args:
        name: of the field.
        schema: of the field.
        schemas: of the document, by name; what the field's may refer to.
    """
    while "$ref" in schema or "anyOf" in schema:
        named = schemas.get(schema.get("$ref", "").rpartition("/")[2])
        schema = schema["anyOf"][0] if named is None else named
    if "enum" in schema or schema.get("default") is not None:
        return schema["enum"][0] if "enum" in schema else schema["default"]
    kind = str(schema.get("type", "string"))
    if kind == "object":
        fields = schema.get("properties", {})
        return {one: example_of(one, fields[one], schemas) for one in schema.get("required", ())}
    if kind == "array" and schema.get("minItems"):
        return [example_of(name, schema.get("items", {}), schemas)]
    if name in VALUES and kind == "string":
        return VALUES[name]
    return schema.get("minimum", _BY_TYPE.get(kind, "text"))


@lru_cache(maxsize=1)
def recorded_answers() -> dict[str, Any]:
    """Return answers of a real ledger by method and route, cut to one row of each list.

    ``tools/api_examples.py`` writes them.
    """
    text = files("tollbook.console").joinpath("answer_examples.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])


_COMPLETENESS: Final[dict[str, Any]] = {
    "complete_until": "2026-11-21T20:59:41Z",
    "unattributed": {"calls": 14, "cost_usd": "0.023008850000"},
    "unpriced": {"calls": 0, "cost_usd": None},
    "estimated": {"calls": 2, "cost_usd": "0.001200000000"},
    "unmetered": {"calls": 0, "cost_usd": "0.000000000000"},
    "interrupted": {"calls": 1, "cost_usd": "0.000400000000"},
    "incidents": 0,
}
_TOTALS: Final[dict[str, Any]] = {
    "calls": 783, "input_tokens": 3122846, "output_tokens": 163315, "cache_read_tokens": 1701884,
    "cache_write_tokens": 0, "cost_usd": "3.494638850000",
}  # fmt: skip
_QUERY: Final[dict[str, Any]] = {
    "since": "2026-11-01T00:00:00Z", "until": "2026-11-21T21:00:00Z", "tz": "UTC",
    "by": ["tenant"], "where": [],
    "measures": ["calls", "input_tokens", "output_tokens", "cache_read_tokens",
                 "cache_write_tokens", "cost_usd"],
    "order": [], "limit": 10000, "booked_before": None, "billing_period": None,
    "entry_window": None,
}  # fmt: skip
ANSWERS: Final[dict[str, Any]] = {
    "POST /api/v1/audit": {
        "format": "tollbook-audit-1", "currency": "USD", "score": 73.4, "calls": 1204,
        "defensible_calls": 388, "cost_usd": "41.000000000000", "at_risk_usd": "10.750000000000",
        "findings": [
            {"mode": "background-jobs", "severity": "error", "evidence": ["00f067aa0ba902b7"],
             "title": "Calls of worker started by web have no tenant", "rule": "A02",
             "hop": {"crossing": "queue"}, "calls": 214, "cost_usd": "8.420000000000",
             "fix": {"title": "Send baggage along with the task"}},
        ],
    },
    "GET /api/v1/spend": {
        "rows": [
            {"tenant": "acme", "calls": 769, "input_tokens": 3108846, "output_tokens": 162315,
             "cache_read_tokens": 1701884, "cache_write_tokens": 0, "cost_usd": "3.471630000000"},
            {"tenant": "unknown", "calls": 14, "input_tokens": 14000, "output_tokens": 1000,
             "cache_read_tokens": 0, "cache_write_tokens": 0, "cost_usd": "0.023008850000"},
        ],
        "totals": _TOTALS, "completeness": _COMPLETENESS, "query": _QUERY, "currency": "USD",
    },
    "POST /api/v1/portal/tokens": {
        "token": "eyJ0eXAiOiJKV1Qi...", "path": "/portal/?token=eyJ0eXAiOiJKV1Qi...",
        "tenant": "acme", "parts": ["usage", "billed"],
        "jti": "01a1fff3-089b-7b40-9588-41b3ca0c7ff0", "expires_at": "2026-11-21T21:15:00Z",
    },
    "GET /portal/api/usage": {
        "rows": [{"day": "2026-11-20", "calls": 120, "errors": 1, "input_tokens": 98000,
                  "output_tokens": 4100, "cache_read_tokens": 0, "billable_usd": "0.412000000000"}],
        "totals": {"calls": 120, "errors": 1, "input_tokens": 98000, "output_tokens": 4100,
                   "cache_read_tokens": 0, "billable_usd": "0.412000000000"},
        "by": ["day"], "since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z",
        "tz": "UTC", "complete_until": "2026-11-21T20:59:41Z", "currency": "USD",
    },
    "GET /portal/api/budgets": {
        "rows": [{"name": "calls", "unit": "requests", "window": "day", "is_hard": True,
                  "limit": 1000, "used": 120, "left": 880, "used_percent": "12.0",
                  "is_rolling": False, "resets_at": "2026-11-22T00:00:00Z"}],
        "currency": "USD",
    },
    "GET /portal/api/statements": {
        "rows": [{"period": "2026-10", "state": "final", "billed_usd": "41.120000000000",
                  "files": ["csv", "pdf"]}],
        "currency": "USD",
    },
}  # fmt: skip
