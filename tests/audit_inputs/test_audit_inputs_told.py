"""What an input is taken for, and which line a span is on, is right or said to be unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit_inputs.small_product import jaeger, lines, otlp, read_bytes

from tollbook.audit.command import main
from tollbook.audit.engine import audit
from tollbook.audit.inputs.errors import WrongKindError
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import NoPrices
from tollbook.audit.read import Batch

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = "tenant_id,model,prompt_tokens,completion_tokens,timestamp\n"


def _places(path: Path) -> list[tuple[int | None, int | None, str]]:
    (one,) = open_inputs([str(path)])
    return [
        (part.where.line, part.where.offset, span.span_id)
        for part in one
        if isinstance(part, Batch)
        for span in part.spans
    ]


@pytest.mark.parametrize("indent", [0, 1, 4])
@pytest.mark.parametrize("links", [0, 1])
def test_each_span_of_an_indented_file_has_its_line(
    tmp_path: Path, indent: int, links: int
) -> None:
    message: dict[str, Any] = otlp()
    if links:
        span = message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        span["links"] = [{"traceId": "9" * 32, "spanId": "8" * 16}]
    text = json.dumps(message, indent=indent)
    (tmp_path / "a.json").write_text(text)
    places = _places(tmp_path / "a.json")
    assert len(places) == len({line for line, _, _ in places}) == 3
    for line, offset, span_id in places:
        assert line is not None
        assert offset is not None
        begins = text.count("\n", 0, offset) + 1
        assert line == begins
        at = text.index(f'"{span_id}"')
        assert abs(text.count("\n", 0, at) + 1 - line) <= 12, "within the span"


def test_where_the_line_of_a_span_is_not_sure_none_is_told(tmp_path: Path) -> None:
    message: dict[str, Any] = otlp()
    for of_resource in message["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                span.pop("startTimeUnixNano")
                span["links"] = [{"traceId": "9" * 32, "spanId": "8" * 16}]
                of_scope["spans"] = [span, {**span, "spanId": "7" * 16}]
    (tmp_path / "a.json").write_text(json.dumps(message, indent=1))
    places = _places(tmp_path / "a.json")
    assert places
    assert {line for line, _, _ in places} == {None}
    assert all(offset for _, offset, _ in places)


def test_a_zero_byte_in_a_cell_costs_no_more_than_the_cell(tmp_path: Path) -> None:
    rows = "acme,gpt-4o,10,5,2026-11-01T00:00:00Z\nac\0me,gpt-4o,10,5,2026-11-01T00:00:00Z\n"
    path = tmp_path / "a.csv"
    path.write_text(_NAMES + rows)
    made = audit(open_inputs([str(path)]), NoPrices())
    assert (made.spans, made.calls, made.troubles) == (2, 2, ())
    assert "tenant_id is no plain id" in made.inputs[0].notes[0]
    assert "first at line 3" in made.inputs[0].notes[0]


def test_a_binary_file_with_a_line_of_names_is_no_table(tmp_path: Path) -> None:
    got = read_bytes(tmp_path, b"a,b\n" + bytes(range(32)) * 40)
    assert [one.problem for one in got.troubles] == ["is binary data of no known format"]


@pytest.mark.parametrize("cell", ["1.000", "12.345.678", " 1.000 "])
def test_a_count_that_may_be_two_is_told(tmp_path: Path, cell: str) -> None:
    got = read_bytes(tmp_path, f"{_NAMES}a,gpt-4o,{cell},5,2026-11-01\n".encode())
    assert got.spans == []
    (trouble,) = got.troubles
    assert trouble.where.line == 2
    assert "prompt_tokens" in trouble.problem
    assert "may be thousands or a fraction" in trouble.problem


@pytest.mark.parametrize("cell", ["1000", "1000.0", "0.000", "7"])
def test_a_count_that_is_sure_is_taken(tmp_path: Path, cell: str) -> None:
    got = read_bytes(tmp_path, f"{_NAMES}a,gpt-4o,{cell},5,2026-11-01\n".encode())
    assert (len(got.spans), got.troubles) == (1, [])


def test_what_is_not_of_the_kind_that_was_named_is_refused(tmp_path: Path) -> None:
    otlp_lines, jaeger_json = lines(otlp()), json.dumps({"data": [jaeger()]}).encode()
    with pytest.raises(WrongKindError, match="is otlp-json, not jaeger as --kind says"):
        read_bytes(tmp_path, otlp_lines, kind="jaeger")
    with pytest.raises(WrongKindError, match="is jaeger, not otlp-json"):
        read_bytes(tmp_path, jaeger_json, kind="otlp-json")
    with pytest.raises(WrongKindError, match="is table, not zipkin"):
        read_bytes(tmp_path, f"{_NAMES}a,gpt-4o,1,5,2026-11-01\n".encode(), kind="zipkin")
    assert len(read_bytes(tmp_path, otlp_lines, kind="otlp-json").spans) == 3
    assert len(read_bytes(tmp_path, otlp_lines, kind="otlp-jsonl").spans) == 3
    assert read_bytes(tmp_path, jaeger_json, kind="jaeger").spans


def test_only_one_result_of_an_audit_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(otlp()))
    made, traces = str(tmp_path / "made.json"), str(tmp_path / "a.jsonl")
    assert main([traces, "--quiet", "--output", made]) == 0
    capsys.readouterr()
    for paths in ([made, made], [traces, made]):
        assert main(paths) == 2
        told = capsys.readouterr().err
        assert "made.json is the result of an audit" in told
        assert "--compare" in told


def test_each_input_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").write_bytes(b'\n{"resourceSpans":[{\n')
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'a'}: is empty" in told
    assert f"{tmp_path / 'b'}:2: " in told
