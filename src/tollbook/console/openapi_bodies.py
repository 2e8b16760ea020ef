"""Bodies of the API's document that no Struct describes: files, and what is answered to them."""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final[dict[str, Any]] = {"schema": {"type": "string"}}
_MONEY: Final[dict[str, Any]] = {"type": "string", "description": "US dollars, as decimal text."}
_FINDING: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["mode", "severity", "evidence", "hop", "calls", "cost_usd", "fix"],
    "properties": {
        "mode": {"type": "string", "description": "Such as `background-jobs`."},
        "severity": {"type": "string", "enum": ["error", "warning", "note"]},
        "evidence": {
            "type": "array", "items": {"type": "string"}, "description": "Ids of spans.",
        },
        "hop": {"type": ["object", "null"], "description": "Where identity is lost."},
        "calls": {"type": "integer"},
        "cost_usd": _MONEY,
        "fix": {"type": ["object", "null"], "description": "The smallest change that mends it."},
    },
}  # fmt: skip
_AUDIT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "The audit, as `tollbook audit --format json` writes it.",
    "required": ["format", "score", "calls", "defensible_calls", "findings"],
    "properties": {
        "format": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 100},
        "calls": {"type": "integer"},
        "defensible_calls": {"type": "integer"},
        "cost_usd": _MONEY,
        "at_risk_usd": _MONEY,
        "findings": {"type": "array", "items": _FINDING},
    },
}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /api/v1/audit": {
        "summary": "Audit traces or logs of calls",
        "requestBody": {
            "required": True,
            "description": "One file as it is, or several in a form; at most 64 MiB.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["files"],
                        "properties": {
                            "files": {
                                "type": "array", "items": {"type": "string", "format": "binary"},
                            },
                        },
                    },
                },
            },
        },
        "responses": {
            "200": {
                "description": "The audit, in the format that was asked for.",
                "content": {
                    "application/json": {"schema": _AUDIT},
                    "application/sarif+json": {"schema": {"type": "object"}},
                    "application/xml": _TEXT, "text/html": _TEXT, "text/csv": _TEXT,
                },
            },
        },
    },
}  # fmt: skip
"""By method and path; they take the place of what the framework made up."""
