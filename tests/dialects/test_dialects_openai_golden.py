"""Cases told as facts in ``golden_openai.json``: usage as providers send it, what it bills."""

from __future__ import annotations

import json
from decimal import Decimal
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

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "golden_openai.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("dialect", ["openai", "azure"])
@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_golden(case: dict[str, Any], dialect: str) -> None:
    opened = CallOpened(
        b"0" * 16, 1, Identity(), "p", dialect, case["operation"], Metering.METERED, "POST", "/",
        "m",
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 2, Status.OK, 200, usage_complete=True,
        usage=tuple(json.dumps(usage).encode() for usage in case["usage"]),
    )  # fmt: skip
    measured = dialect_named(dialect).measure(Call(opened, closed, Evidence("w", 0, 0, "1")))
    assert measured.kinds == Kinds(**case["kinds"])
    assert measured.source is UsageSource.REPORTED
    assert measured.tier == case.get("tier")
    usd = case.get("reported_usd")
    assert measured.reported_cost_pico == (None if usd is None else int(Decimal(usd) * 10**12))
    if "says" in case:
        assert case["says"] in " ".join(measured.problems)
    else:
        assert measured.problems == ()
