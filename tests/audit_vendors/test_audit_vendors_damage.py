"""Whatever a record holds: a Trouble with its line, and the rest is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.audit.extract import Extractor
from tollbook.audit.inputs.registry import About, Record, formats
from tollbook.audit.read import Batch, InputRead, Trouble
from tollbook.audit.settings import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.inputs.registry import Format

_DATA = Path(__file__).parent / "data"
_LINES = {
    "langsmith": "langsmith_runs.jsonl",
    "langfuse": "langfuse_observations_then_traces.jsonl",
    "phoenix": "phoenix_dataframe.jsonl",
    "honeycomb": "honeycomb_events.jsonl",
    "datadog": "datadog_apm.jsonl",
    "litellm": "litellm_spend_logs.jsonl",
    "helicone": "helicone_requests.jsonl",
}
_SPOILT: dict[str, dict[str, Any]] = {
    "langsmith": {"start_time": "yesterday"},
    "langfuse": {"startTime": {"a": 1}},
    "phoenix": {"start_time": []},
    "honeycomb": {"data": {"trace.trace_id": "a", "duration_ms": "slow"}},
    "datadog": {"start": -3},
    "litellm": {"startTime": None},
    "helicone": {"prompt_tokens": -1},
}
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["1e999", "{", '{"a": 1}', "[1, 2]", "2026-11-20", "0", "é\ud800"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def _records(kind: str) -> list[dict[str, Any]]:
    if kind in _LINES:
        return [json.loads(one) for one in (_DATA / _LINES[kind]).read_text().splitlines()]
    name = {"openrouter": "openrouter_activity.csv", "table": "table.csv"}[kind]
    head, *rows = (_DATA / name).read_text().splitlines()
    return [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]


def _read(one: Format, values: list[dict[str, Any]]) -> list[Batch | Trouble]:
    about = About(source="x", read=InputRead(source="x"))
    records = [Record(value, line) for line, value in enumerate(values, 1)]
    return list(one.read(iter(records), about))


@pytest.mark.parametrize("kind", _LINES)
def test_a_damaged_record_is_told_by_its_line(
    look: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    """The third line is cut off, the fifth has a value that cannot be: all others are read."""
    values = _records(kind)
    values.insert(3, values[0] | _SPOILT[kind])
    lines = [json.dumps(one) for one in values]
    lines.insert(2, lines[0][:40])
    path = tmp_path / "export"
    path.write_text("\n".join(lines))
    seen = look(path)
    assert sorted(one.where.line for one in seen.troubles) == [3, 5]
    assert seen.read.troubles == 2
    assert len(seen.calls) == 4
    spoilt = next(one for one in seen.troubles if one.where.line == 5)
    assert spoilt.records == 1
    assert "yesterday" not in spoilt.problem
    assert "slow" not in spoilt.problem


@pytest.mark.parametrize("one", formats(), ids=lambda one: one.NAME)
def test_records_are_of_one_format_only(one: Format) -> None:
    """No format takes what is another's, whatever the order in which they are asked."""
    for kind in (*_LINES, "openrouter"):
        for value in _records(kind):
            if one.NAME not in {kind, "table"}:
                assert not one.sniff(b"", value), (one.NAME, kind)


@pytest.mark.parametrize("first", [None, [], "text", 3, {}, {"a": 1}, {"id": "x", "name": "y"}])
def test_nothing_known_is_of_no_format(first: Any) -> None:
    """When in doubt a format says no."""
    assert [one.NAME for one in formats() if one.sniff(b"", first)] == []


@pytest.mark.parametrize("one", formats(), ids=lambda one: one.NAME)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_nothing_raises(one: Format, data: st.DataObject) -> None:
    """Any of the fields may hold anything, also spans made of it are looked at."""
    values = _records(one.NAME)
    value = dict(data.draw(st.sampled_from(values)))
    names = st.sampled_from(sorted(value)) | st.text(max_size=8)
    value |= data.draw(st.dictionaries(names, _ANY, max_size=4))
    one.sniff(b"", value)
    extractor = Extractor(DEFAULT)
    for part in _read(one, [value, values[0]]):
        if isinstance(part, Batch):
            for span in part.spans:
                extractor.fact(span, 0, part)


@pytest.mark.parametrize("one", formats(), ids=lambda one: one.NAME)
def test_troubles_of_records_are_passed_on(one: Format) -> None:
    """What the reader of the file could not read stays told."""
    about = About(source="x", read=InputRead(source="x"))
    trouble = Trouble(about.where(Record({}, 7)), "is cut off", 1)
    [value, *_] = _records(one.NAME)
    parts = list(one.read(iter([Record(value, 1), trouble]), about))
    assert [part for part in parts if isinstance(part, Trouble)] == [trouble]


def test_deep_and_wide_attributes_are_bounded() -> None:
    """A span with a hundred thousand members, or a thousand levels, keeps some of them."""
    [one] = [one for one in formats() if one.NAME == "honeycomb"]
    deep: dict[str, Any] = {}
    for _ in range(1000):
        deep = {"x": deep}
    wide = {f"a{number}": number for number in range(100_000)}
    base = {"trace.trace_id": "t", "trace.span_id": "s", "time": "2026-11-20T10:00:00Z"}
    [part] = _read(one, [base | wide | {"deep": deep}])
    assert isinstance(part, Batch)
    assert 100 < len(part.spans[0].attributes) <= 512
