"""Cases told as facts in ``golden_*.json``: usage as each provider sends it, what it bills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.dialects.registry import dialect_named
from tollbook.usage import Kinds

DEFAULTS = {
    "anthropic": ("chat", "/v1/messages"),
    "gemini": ("generate_content", "/v1beta/models/gemini-2.5-flash:generateContent"),
    "bedrock": ("chat", "/model/amazon.nova-micro-v1:0/converse"),
    "cohere": ("chat", "/v2/chat"),
}
CASES: list[tuple[str, dict[str, Any]]] = [
    (dialect, case)
    for dialect in DEFAULTS
    for case in json.loads((Path(__file__).parent / f"golden_{dialect}.json").read_text("utf-8"))
]


@pytest.mark.parametrize(("dialect", "case"), CASES, ids=[f"{of} {c['case']}" for of, c in CASES])
def test_golden(dialect: str, case: dict[str, Any]) -> None:
    operation, path = DEFAULTS[dialect]
    path = case.get("path", path)
    operation = case.get("operation", operation)
    assert dialect_named(dialect).route("POST", path).operation == operation
    opened = CallOpened(
        b"0" * 16, 1, Identity(), "p", dialect, operation, Metering.METERED, "POST", path, "m",
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 2, Status.OK, 200, usage_complete=True,
        usage=tuple(json.dumps(usage).encode() for usage in case["usage"]),
    )  # fmt: skip
    measured = dialect_named(dialect).measure(Call(opened, closed, Evidence("w", 0, 0, "1")))
    assert measured.kinds == Kinds(**case["kinds"])
    assert measured.source is UsageSource.REPORTED
    further = [(part.label, part.model, part.kinds) for part in measured.further]
    assert further == [
        (label, model, Kinds(**kinds)) for label, model, kinds in case.get("further", [])
    ]
    if "says" in case:
        assert case["says"] in " ".join(measured.problems)
    else:
        assert measured.problems == ()
