"""Whatever is wrong with a file: it is told with its place, and the rest is read."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.audit_inputs.small_product import (
    TREE,
    Got,
    after_length,
    jaeger,
    lines,
    otlp,
    protobuf,
    read_bytes,
    zipkin,
)

from tollbook.audit.inputs.limits import Limits
from tollbook.audit.inputs.pieces import Damage, Piece, pieces
from tollbook.audit.inputs.window import Window

TRACES = 30
MESSAGES = [otlp(f"{at + 1:032x}") for at in range(TRACES)]
SMALL = Limits(value_max_bytes=600, listed_max_bytes=2000, message_max_bytes=1 << 20)
WHOLE = lines({"resourceSpans": [one for told in MESSAGES for one in told["resourceSpans"]]})
LINES = lines(*MESSAGES)
FRAMED = b"".join(after_length(protobuf(one)) for one in MESSAGES)
ZIPKIN = json.dumps([{**one, "traceId": f"{at:032x}"} for at in range(30) for one in zipkin()])
FILES = {
    "lines": LINES,
    "one object": WHOLE,
    "indented": json.dumps(json.loads(WHOLE), indent=1).encode(),
    "framed": FRAMED,
    "zipkin": ZIPKIN.encode(),
    "jaeger": lines({"data": [jaeger()] * 20}),
    "text": b"hello\n" * 100,
    "binary": bytes(range(256)) * 20,
}


def _read(data: bytes, **options: Any) -> Got:
    with tempfile.TemporaryDirectory() as folder:
        return read_bytes(Path(folder), data, **options)


def _ids(got: Got) -> set[tuple[str, str]]:
    return {(one.trace_id, one.span_id) for one in got.spans}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FILES)),
    cuts=st.lists(
        st.tuples(st.integers(0, 1 << 30), st.integers(0, 60), st.binary(max_size=20)),
        min_size=1,
        max_size=4,
    ),
    end=st.integers(0, 1 << 30),
    limits=st.sampled_from([SMALL, Limits()]),
)
def test_damage_of_any_kind_raises_nothing(
    name: str, cuts: list[tuple[int, int, bytes]], end: int, limits: Limits
) -> None:
    data = FILES[name]
    for at, size, instead in cuts:
        start = at % len(data)
        data = data[:start] + instead + data[start + size :]
    got = _read(data[: end % (2 * len(data)) or 1], limits=limits)
    assert got.spans or got.troubles
    for trouble in got.troubles:
        assert trouble.problem
        assert "\n" not in trouble.problem


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["lines", "one object", "indented"]),
    at=st.floats(0.05, 0.95),
    size=st.integers(1, 40),
    instead=st.binary(max_size=10),
    limits=st.sampled_from([SMALL, Limits()]),
)
@example("one object", 0.12364787194846799, 39, b"", SMALL)  # what follows lies within a span
@example("one object", 0.7423534401882346, 24, b"", SMALL)  # the message ends there
@example("one object", 0.458984375, 6, b"", Limits())
@example("indented", 0.5923934513909733, 13, b"[\x7f\xd5", SMALL)
def test_damage_of_a_few_bytes_loses_what_is_around_them(
    name: str, at: float, size: int, instead: bytes, limits: Limits
) -> None:
    data = FILES[name]
    start = int(len(data) * at)
    got = _read(data[:start] + instead + data[start + size :], limits=limits)
    wanted = {(f"{n + 1:032x}", one[1]) for n in range(TRACES) for one in TREE}
    # Damage may hit where two traces meet; a message's own context may go with it
    assert len(wanted - _ids(got)) <= 9


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, len(FRAMED) - 1), instead=st.binary(min_size=1, max_size=8))
def test_damage_of_protobuf_loses_messages_around_it(at: int, instead: bytes) -> None:
    first_bytes = len(after_length(protobuf(MESSAGES[0])))
    at = max(at, first_bytes)  # by the first one it is known for what it is
    got = _read(FRAMED[:at] + instead + FRAMED[at + len(instead) :])
    wanted = {(f"{n + 1:032x}", one[1]) for n in range(TRACES) for one in TREE}
    assert len(wanted - _ids(got)) <= 6


@settings(max_examples=50, deadline=None)
@given(
    name=st.sampled_from(["lines", "one object", "indented", "zipkin"]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    limits=st.sampled_from([SMALL, Limits()]),
)
def test_it_does_not_matter_in_what_chunks_a_text_comes(
    name: str, sizes: list[int], limits: Limits
) -> None:
    data = FILES[name]

    def leaves(chunks: list[int]) -> list[str]:
        at = turn = 0

        def read() -> bytes:
            nonlocal at, turn
            part = data[at : at + chunks[turn % len(chunks)]]
            at, turn = at + len(part), turn + 1
            return part

        found: list[str] = []
        for one in pieces(Window(read), limits):
            assert isinstance(one, Piece)
            assert data[one.offset : one.offset + len(one.data)] == one.data
            assert data.count(b"\n", 0, one.offset) == one.line - 1
            found += _span_ids(json.loads(one.data))
        return found

    assert leaves(sizes) == leaves([1 << 20]) == _span_ids(_values(data))


def _values(data: bytes) -> list[Any]:
    try:
        return [json.loads(data)]
    except ValueError:
        return [json.loads(one) for one in data.splitlines()]


def _span_ids(value: Any) -> list[str]:
    if isinstance(value, list):
        return [one for inner in value for one in _span_ids(inner)]
    if not isinstance(value, dict):
        return []
    own = (
        [value["traceId"] + value.get("spanId", value.get("id", ""))] if "traceId" in value else []
    )
    return own + [one for inner in value.values() for one in _span_ids(inner)]


def test_a_line_that_is_damaged_is_named_and_its_other_spans_are_read(tmp_path: Path) -> None:
    bad = json.dumps(otlp("f" * 32)).replace('"kind": 3', '"kind": 3 3', 1)
    got = read_bytes(tmp_path, lines(otlp("a" * 32)) + bad.encode() + b"\n" + lines(otlp("b" * 32)))
    (trouble,) = got.troubles
    assert trouble.where.line == 2
    assert trouble.where.offset is not None
    assert trouble.problem == "is not JSON: expecting ',' delimiter"
    assert sorted(one.trace_id[0] for one in got.spans) == ["a"] * 3 + ["b"] * 3 + ["f"] * 2


def test_a_span_of_wrong_types_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    told = otlp()
    told["resourceSpans"][1]["scopeSpans"][0]["spans"][0]["name"] = ["not", "a", "name"]
    got = read_bytes(tmp_path, lines(otlp("a" * 32)) + lines(told))
    (trouble,) = got.troubles
    assert trouble.where.line == 2
    assert trouble.records == 1
    assert "Expected `str`, got `array`" in trouble.problem
    assert len(got.spans) == 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [("NaN", None), ("-Infinity", None), ("1e999", float("inf")), ('"\\ud800x"', "?x")],
)
def test_numbers_and_texts_that_json_has_not_leave_the_span(
    value: str, shown: Any, tmp_path: Path
) -> None:
    key = "stringValue" if value.startswith('"') else "doubleValue"
    text = json.dumps(otlp()).replace('{"doubleValue": 0.5}', f'{{"{key}": {value}}}')
    got = read_bytes(tmp_path, text.encode())
    assert got.tree == TREE
    told = next(one for one in got.spans if one.name == "chat gpt-4o-mini")
    assert told.attributes["gen_ai.request.temperature"] in {shown, None}


def test_bytes_that_are_no_utf_8_leave_the_span(tmp_path: Path) -> None:
    data = lines(otlp()).replace(b'"acme"', b'"ac\xff\xfeme"')
    got = read_bytes(tmp_path, data)
    assert got.tree == TREE


def test_the_last_of_a_name_that_comes_twice_is_taken(tmp_path: Path) -> None:
    data = lines(otlp()).replace(b'"name": "embeddings"', b'"name": "first", "name": "embeddings"')
    assert read_bytes(tmp_path, data).tree == TREE


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"resourceSpans":[' * 50_000,
        b'{"resourceSpans":[{"resource":' + b"[" * 100_000,
        lines({"resourceSpans": [{"resource": json.loads("[" * 400 + "]" * 400)}]})[:-3],
    ],
)
def test_deep_nesting_is_told(data: bytes, tmp_path: Path) -> None:
    got = read_bytes(tmp_path, data + b"\n" + lines(otlp()))
    assert got.tree == TREE
    assert got.troubles


def test_an_attribute_that_is_nested_deeply_costs_its_span_alone(tmp_path: Path) -> None:
    deep = '{"arrayValue": {"values": [' * 3000 + "]}}" * 3000
    data = json.dumps(otlp()).replace('{"doubleValue": 0.5}', deep).encode()
    got = read_bytes(tmp_path, data)
    assert len(got.spans) == 2
    assert [one.problem for one in got.troubles] == ["is not JSON: nested too deeply"]


def test_numbers_of_a_million_digits_are_not_computed(tmp_path: Path) -> None:
    digits = "9" * 1_000_000
    data = json.dumps(otlp()).replace('{"intValue": "120"}', f'{{"intValue": {digits}}}')
    got = read_bytes(tmp_path, data.encode() + b"\n" + lines(otlp("a" * 32)))
    assert len([one for one in got.spans if one.trace_id == "a" * 32]) == 3
    assert len(got.spans) >= 5


def test_a_text_larger_than_what_is_held_is_passed_over(tmp_path: Path) -> None:
    limits = Limits(value_max_bytes=100_000, listed_max_bytes=100_000)
    long = "x" * 3_000_000
    told = otlp()
    told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(
        {"key": "gen_ai.input.messages", "value": {"stringValue": long}}
    )
    got = read_bytes(tmp_path, lines(told) + lines(otlp("a" * 32)), limits=limits)
    assert {one.span_id for one in got.spans if one.trace_id == "a" * 32} == {
        one[1] for one in TREE
    }
    assert len(got.spans) == 5
    assert got.troubles[0].where.line == 1


def test_one_object_larger_than_what_is_held_is_read_by_its_lists() -> None:
    one_resource = otlp()["resourceSpans"][0]
    spans = one_resource["scopeSpans"][0]["spans"]
    one_resource["scopeSpans"][0]["spans"] = [
        {**spans[0], "spanId": f"{at + 1:016x}"} for at in range(2000)
    ]
    data = lines({"resourceSpans": [one_resource]})
    got = _read(data, limits=Limits(value_max_bytes=10_000))
    assert len(got.spans) == 2000
    assert {one.resource["service.name"] for one in got.spans} == {"web"}
    assert {one.scope_name for one in got.spans} == {"opentelemetry.instrumentation.fastapi"}
    assert got.troubles == []


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    data = lines({"resourceSpans": otlp()["resourceSpans"] * 20})
    got = read_bytes(tmp_path, data[: len(data) // 2])
    assert 25 <= len(got.spans) <= 30
    (trouble,) = got.troubles
    assert "too early" in trouble.problem
    assert trouble.where.offset == pytest.approx(len(data) // 2, abs=2000)


def test_zeros_in_a_file_are_passed_over(tmp_path: Path) -> None:
    data = lines(otlp("a" * 32)) + b"\0" * 5000 + lines(otlp("b" * 32))
    got = read_bytes(tmp_path, data)
    assert len(got.spans) == 6
    assert got.troubles == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\n ", "holds nothing but space"),
        (b"hello there\n", "is text of no known format"),
        (bytes(range(256)), "is binary data of no known format"),
        (b"\x89PNG\r\n\x1a\n", "is a picture"),
        (b"a" * 257 + b"ustar", "is a tar archive"),
        (b"\x04\x22\x4d\x18abc", "is compressed by lz4"),
        (b"SQLite format 3\0", "is a SQLite database"),
    ],
)
def test_what_is_no_export_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    got = read_bytes(tmp_path, data)
    (trouble,) = got.troubles
    assert trouble.problem.startswith(words)
    assert got.spans == []


def test_json_that_is_none_of_the_formats_is_counted(tmp_path: Path) -> None:
    got = read_bytes(tmp_path, lines(*[{"nothing": at} for at in range(200)]))
    (trouble,) = got.troubles
    assert trouble.records == 200
    assert trouble.where.line == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_texts_of_windows_are_read(encoding: str, tmp_path: Path) -> None:
    text = ("\ufeff" if encoding == "utf-16-be" else "") + lines(otlp(), otlp("a" * 32)).decode()
    got = read_bytes(tmp_path, text.replace("\n", "\r\n").encode(encoding))
    assert len(got.spans) == 6
    assert got.troubles == []


def test_no_trouble_quotes_what_was_said(tmp_path: Path) -> None:
    secret = "the patient is called"
    told = otlp()
    told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["kind"] = {secret: secret}
    broken = json.dumps(otlp()).replace('"acme"', f'"{secret}" x').encode()
    got = read_bytes(tmp_path, lines(told) + broken + b"\n" + lines({"message": secret}))
    assert len(got.troubles) == 3
    assert all(secret not in one.problem for one in got.troubles)


def test_what_is_broken_is_skipped_up_to_the_next_line() -> None:
    parts = iter([b'{"a":1}\nnonsense {"b"\n{"c":3}\n'])
    found = list(pieces(Window(lambda: next(parts, b""))))
    assert [one.data if isinstance(one, Piece) else one.line for one in found] == [
        b'{"a":1}',
        2,
        b'{"c":3}',
    ]
    assert isinstance(found[1], Damage)
