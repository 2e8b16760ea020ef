"""From files to a report: what was read is in it, whatever was wrong with the rest."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit_inputs.small_product import TRACE_ID, lines, otlp, pairs
from tests.audit_inputs.test_audit_inputs_formats import LOGS

from bench import audit_traffic
from tollbook.audit.engine import audit
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import NoPrices
from tollbook.audit.settings import AuditSettings

if TYPE_CHECKING:
    from tollbook.audit.report import Audit


def _audited(*paths: Path | str, **options: Any) -> Audit:
    return audit(open_inputs([str(one) for one in paths]), NoPrices(), AuditSettings(**options))


def test_a_report_says_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(otlp("a" * 32)) + b'{"resourceSpans":[{\n')
    (tmp_path / "b").write_bytes(b"")
    made = _audited(tmp_path)
    assert (made.spans, made.traces, made.calls) == (3, 1, 2)
    assert [(Path(one.source).name, one.spans, one.troubles) for one in made.inputs] == [
        ("a.jsonl", 3, 1),
        ("b", 0, 1),
    ]
    assert [(Path(one.where.source).name, one.where.line) for one in made.troubles] == [
        ("a.jsonl", 2),
        ("b", None),
    ]


def test_an_event_of_a_log_is_no_second_call_beside_its_span(tmp_path: Path) -> None:
    (tmp_path / "logs.jsonl").write_bytes(lines(LOGS))
    alone = _audited(tmp_path)
    assert (alone.spans, alone.calls) == (1, 1)
    (tmp_path / "traces.jsonl").write_bytes(lines(otlp(TRACE_ID)))
    both = _audited(tmp_path)
    assert (both.spans, both.calls) == (4, 2)


_HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([TRACE_ID, "eee19b7ec3c1b174", "1" * 5000, "\ud800", 10**40]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_value_anywhere_in_a_span_raises(data: st.DataObject) -> None:
    told = otlp()
    span = told["resourceSpans"][1]["scopeSpans"][0]["spans"][0]
    name = data.draw(st.sampled_from([*span, "events", "links", "flags", "traceState"]))
    value = data.draw(_HOSTILE)
    span[name] = value
    if data.draw(st.booleans()):
        span["attributes"] = pairs({"gen_ai.operation.name": "chat"})
        span["attributes"][0]["value"] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_text(json.dumps(told) + "\n" + json.dumps(otlp("a" * 32)) + "\n")
        made = _audited(path)
    assert made.spans >= 5


def test_repeated_ids_and_circles_of_parents_are_read_through(tmp_path: Path) -> None:
    told = otlp()
    first, second, third = (one["scopeSpans"][0]["spans"][0] for one in told["resourceSpans"])
    first["parentSpanId"] = second["spanId"]
    third["parentSpanId"] = third["spanId"]
    (tmp_path / "x").write_bytes(lines(told, told, told))
    made = _audited(tmp_path)
    assert (made.spans, made.traces, made.calls) == (9, 1, 2)


_MEASURE = """
import re, sys
from pathlib import Path
from tollbook.audit.engine import audit
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import NoPrices
from tollbook.audit.settings import AuditSettings
made = audit(open_inputs(sys.argv[1:]), NoPrices(), AuditSettings(held_max_bytes=2 << 20))
assert not made.troubles, made.troubles
# Of this program alone: what getrusage tells may be of the process that started it
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(made.spans, int(peak_kb) // 1024)
"""


def _peak_mb(path: Path, spans: int) -> int:
    command = [sys.executable, "-c", _MEASURE, str(path)]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    read, peak_mb = map(int, run.stdout.split())
    assert read == spans
    return peak_mb


@pytest.mark.parametrize("form", ["lines", "one object"])
def test_memory_does_not_grow_with_the_file(form: str, tmp_path: Path) -> None:
    path = tmp_path / "traces"
    peaks_mb = []
    for size_bytes in (9_000_000, 30_000_000):
        spans = audit_traffic.write(path, size_bytes)
        if form == "one object":
            messages = path.read_bytes().splitlines()
            elements = [one[len(b'{"resourceSpans":[') : -2] for one in messages]
            path.write_bytes(b'{"resourceSpans":[' + b",".join(elements) + b"]}")
        peaks_mb.append(_peak_mb(path, spans))
    # What is more are 21 MB of text, and some 150 MB as spans
    assert peaks_mb[1] - peaks_mb[0] < 20
