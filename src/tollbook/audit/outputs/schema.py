"""The JSON Schema of the public document, made from the structs that it is made from."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tollbook.audit.findings import Advice, Bar, Finding, Hop, Sketch, SpanRef
from tollbook.audit.outputs.as_json import FORMAT, public_name
from tollbook.audit.read import InputRead, Trouble
from tollbook.audit.report import AtRisk, Audit, Criterion, Defensibility

_STRUCTS: Final = {
    one.__name__: one
    for one in (
        Advice, AtRisk, Audit, Bar, Criterion, Defensibility, Finding, Hop, InputRead, Sketch,
        SpanRef, Trouble,
    )
}  # fmt: skip
_MONEY: Final = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{12}$"}
_POINTS: Final = {"type": "number", "minimum": 0, "maximum": 100}
_FACTOR: Final = {"type": "number", "minimum": 0}
_COMPARISON: Final = {
    "type": "object",
    "description": "With an earlier audit (--compare); not there without one.",
    "required": ["is_worse", "score", "changes"],
}
_WHERE: Final = {
    "type": "object",
    "required": ["source", "line", "offset"],
    "properties": {
        "source": {"type": "string"},
        "line": {"type": ["integer", "null"], "minimum": 1},
        "offset": {"type": ["integer", "null"], "minimum": 0},
    },
}


def schema() -> dict[str, Any]:
    """Return the schema; fields may be added in later versions, none changes its meaning."""
    defs: dict[str, Any] = msgspec.json.schema(Audit)["$defs"]
    for name, told in defs.items():
        if name in _STRUCTS:
            _as_public(told)
    defs["Trouble"]["properties"]["where"] = _WHERE
    finding, audit = defs["Finding"], defs.pop("Audit")
    finding["properties"]["score_after"] = {**_POINTS, "type": ["null", "number"]}
    finding["properties"]["spans"] = finding["properties"]["evidence"]
    finding["properties"]["evidence"] = {
        "type": "array", "items": {"type": "string"}, "description": "Ids of spans that prove it.",
    }  # fmt: skip
    defs["Hop"]["properties"]["words"] = {"type": "string"}
    totals = defs.pop("Defensibility")
    del audit["properties"]["defensibility"]
    properties = {
        "format": {"const": FORMAT},
        "currency": {"const": "USD"},
        **totals["properties"],
        **audit["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://github.com/tollbook/tollbook/blob/main/docs/audit.schema.json",
        "title": "An audit of traces by Tollbook",
        "description": (
            "Written by tollbook audit --format json. Money is decimal text in US dollars, scores "
            "are points of 100, times in nanoseconds are since 1970-01-01 UTC."
        ),
        "type": "object",
        "required": list(properties),
        "properties": {**properties, "comparison": _COMPARISON},
        "$defs": {name: one for name, one in sorted(defs.items()) if name != "Where"},
    }


def schema_text() -> str:
    """Return the schema as text, its lines ended."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def _as_public(told: dict[str, Any]) -> None:
    """Change the schema of a struct into that of its part of the document."""
    properties = {}
    for name, one in told["properties"].items():
        value = one
        if name.endswith("_pico"):
            value = _MONEY
        elif name == "factor_millis":
            value = _FACTOR
        elif name.endswith("_millis"):
            value = _POINTS
        if value is not one and {"type": "null"} in one.get("anyOf", ()):
            value = {**value, "type": ["null", value["type"]]}
        properties[public_name(name)] = {k: v for k, v in value.items() if k != "default"}
    told["properties"] = properties
    told["required"] = list(properties)
