"""Calls with their scores, a line each, as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO

from tests.audit_score.made_traces import call, span, trace

from tollbook.audit.outputs.calls import COLUMNS, csv_rows, jsonl_rows, row_of
from tollbook.audit.scoring import Scoring

TRACE = trace(
    span(1, call(1, cost_pico=125_000_000)),
    span(2, call(2, cost_pico=None, kinds=None), owner={}, service='=HYPERLINK("x")'),
)


def test_each_call_is_a_line_of_json() -> None:
    file = BytesIO()
    write = jsonl_rows(file)
    Scoring(lambda *of: write(row_of(*of))).observe(TRACE, {"t1:s2": "streaming"})
    first, second = map(json.loads, file.getvalue().splitlines())
    assert tuple(first) == COLUMNS == tuple(second)
    assert (first["score"], first["lacks"], first["cause"]) == (100.0, [], None)
    assert (first["cost_usd"], first["tenant_id"]) == ("0.000125000000", "acme")
    assert (first["input_tokens"], first["output_tokens"]) == (1000, 100)
    assert (second["score"], second["cause"]) == (40.0, "streaming")
    assert second["lacks"] == ["owner", "token_kinds", "price"]
    assert (second["cost_usd"], second["input_tokens"]) == (None, None)


def test_each_call_is_a_line_of_csv_and_no_formula() -> None:
    file = StringIO(newline="")
    write = csv_rows(file)
    Scoring(lambda *of: write(row_of(*of))).observe(TRACE, {"t1:s2": "streaming"})
    rows = list(csv.DictReader(StringIO(file.getvalue())))
    assert [row["span_id"] for row in rows] == ["s1", "s2"]
    assert rows[1]["service"] == '\'=HYPERLINK("x")'
    assert rows[1]["lacks"] == "owner token_kinds price"
    assert rows[1]["cost_usd"] == ""
