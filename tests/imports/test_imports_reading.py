"""Files as they come: shapes of JSON, damage, size; times in every form."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.capture.imports import reading_json
from tollbook.capture.imports.errors import ImportFileError, RowError
from tollbook.capture.imports.reading import Progress, check_readable, read_rows
from tollbook.capture.imports.reading_json import read_json
from tollbook.capture.imports.row import Row
from tollbook.capture.imports.times import nanoseconds

if TYPE_CHECKING:
    from tests.imports.conftest import Desk

PATH = Path("log.json")


def read(data: bytes, limit: int = 1000) -> list[Any]:
    return [row[2] if row[2] is not None else row[3]
            for row in read_json(PATH, io.BytesIO(data), limit)]  # fmt: skip


_rows = st.lists(
    st.dictionaries(
        st.text(max_size=6),
        st.one_of(st.text(max_size=20), st.integers(-5, 5), st.none(), st.lists(st.booleans())),
        max_size=4,
    ).filter(lambda row: not set(row) & set(reading_json._LISTS)),
    max_size=12,
)


@settings(max_examples=40)
@given(rows=_rows, indent=st.sampled_from([None, 2]), chunk=st.integers(3, 50))
def test_every_shape_gives_the_same_rows(
    rows: list[dict[str, Any]], indent: int | None, chunk: int
) -> None:
    """However the file is cut into chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading_json, "_CHUNK_BYTES", chunk)
        whole = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
        assert read(whole, 5000) == rows
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        assert read(lines, 5000) == rows
        envelope = json.dumps({"data": rows}, indent=indent).encode()
        assert read(envelope, 100_000) == rows


def test_one_object_over_several_lines_is_one_row() -> None:
    assert read(b'{\n "id": 1,\n "x": [1, 2]\n}\n{"id": 2}') == [{"id": 1, "x": [1, 2]}, {"id": 2}]


def test_a_line_that_is_cut_off_is_told_in_a_whole_sentence() -> None:
    assert read(b'{"a": 1}\n{"b": "x') == [{"a": 1}, "is not JSON: unterminated string"]


def test_damaged_lines_are_told_and_passed_over() -> None:
    found = read(b'{"a": 1}\nnonsense\n[1]\n{"b": "' + b"x" * 2000 + b'"}\n{"c": 3}\n{"d": ')
    assert found[0] == {"a": 1}
    assert found[1].startswith("is not JSON")
    assert found[2] == "is not an object"
    assert found[3] == "is longer than 1000 characters"
    assert found[4] == {"c": 3}
    assert found[5].startswith("is not JSON")
    assert read(b'{"a": \n{"b": 2}\n')[1] == {"b": 2}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PAR1 something", "expected { or ["),
        (b'[{"a": 1}, {"b": ', "line 1: is not JSON from here on"),
        (b'[{"a": 1}\n, nonsense]', "line 2: is not JSON from here on"),
        (b'[{"a": 1}', "ends within its list"),
        (b'[{"a": "' + b"x" * 2000, "longer than 1000"),
        (b'{"a": 1}\n\xff\xfe', "UTF-8"),
    ],
)
def test_a_file_that_is_damaged_names_the_line(data: bytes, words: str) -> None:
    with pytest.raises(ImportFileError, match=r"log\.json") as raised:
        read(data)
    assert words in raised.value.message


def rows_of(path: Path) -> list[tuple[int, Any]]:
    return [(row.line, row.values or row.problem) for row in read_rows(path, Progress(1))]


def test_csv_as_spreadsheets_write_it(desk: Desk) -> None:
    text = '\ufeffid;text\r\n1;"a\r\nb"\r\n\r\n2;"c;d"\r\n3\r\n'
    found = rows_of(desk.write("a.csv", text))
    assert found == [
        (2, {"id": "1", "text": "a\r\nb"}),
        (5, {"id": "2", "text": "c;d"}),
        (6, "has 1 cells, the line of names has 2"),
    ]
    assert rows_of(desk.write("b.tsv", "id\ttext\n1\ta,b\n")) == [(2, {"id": "1", "text": "a,b"})]
    assert rows_of(desk.write("empty.csv", "")) == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b'id,x\n1,"open\n'),
        ("a.csv", b"id,x\n1,\xff\n"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 100, mtime=0)[:-12]),
        ("a.jsonl.gz", b"not gzip"),
        ("a.parquet", b"not parquet"),
        ("a.parquet", b""),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(desk: Desk, name: str, data: bytes) -> None:
    path = desk.write(name, data)
    with pytest.raises(ImportFileError, match=name):
        rows_of(path)
    assert desk.run("litellm", path).code == 2


def test_a_file_that_is_not_there(desk: Desk) -> None:
    with pytest.raises(ImportFileError, match="no such file"):
        check_readable(desk.root / "missing.csv")
    assert desk.run("litellm", desk.root / "missing.csv").code == 2
    assert not desk.data_dir.exists()


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("2026-11-10T08:00:00Z", "auto", "2026-11-10 08:00:00"),
        ("2026-11-10T08:00:00.123456789+00:00", "auto", "2026-11-10 08:00:00.123456789"),
        ("2026-11-10 09:00:00", "auto", "2026-11-10 08:00:00"),
        ("2026-11-10 09:00", "iso", "2026-11-10 08:00:00"),
        ("2026-11-10T13:30+0530", "auto", "2026-11-10 08:00:00"),
        ("2026-11-10 08:00:00.5 UTC", "auto", "2026-11-10 08:00:00.5"),
        ("2026-11-10", "auto", "2026-11-09 23:00:00"),
        (1_794_297_600, "auto", "2026-11-10 08:00:00"),
        ("1794297600.25", "auto", "2026-11-10 08:00:00.25"),
        (1_794_297_600_000, "auto", "2026-11-10 08:00:00"),
        (1_794_297_600_000_000, "auto", "2026-11-10 08:00:00"),
        (1_794_297_600_000_000_001, "auto", "2026-11-10 08:00:00.000000001"),
        ("1794297600000", "unix_ms", "2026-11-10 08:00:00"),
        ("10.11.2026 09:00:00", "%d.%m.%Y %H:%M:%S", "2026-11-10 08:00:00"),
    ],
)
def test_times(value: Any, form: str, expected: str) -> None:
    whole, _, fraction = expected.partition(".")
    moment = nanoseconds(f"{whole}Z", UTC)
    assert moment is not None
    assert nanoseconds(value, BERLIN, form) == moment + int(fraction.ljust(9, "0") or 0)


@given(
    value=st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.decimals(), st.none())
)
def test_what_is_no_time_is_none_and_no_defect(value: Any) -> None:
    for form in ("auto", "iso", "unix_ms", "%Y"):
        found = nanoseconds(value, timezone(timedelta(hours=1)), form)
        assert found is None or isinstance(found, int)


def test_fields_are_found_by_path_also_within_text() -> None:
    row = Row({"a": {"b": {"c": 1}}, "a.b.d": 2, "j": '{"x": {"y": "0.10"}}',
               "twice": '"{\\"z\\":3}"',
               "": 1, "gen_ai": {"usage.in": 4}})  # fmt: skip
    assert row.count("a.b.c") == 1
    assert row.count("a.b.d") == 2
    assert row.usd("j.x.y") == Decimal("0.10")
    assert row.count("twice.z") == 3
    assert row.count("gen_ai.usage.in") == 4
    assert row.get("a.b.c.d", "nothing") is None
    assert row.asked["j.x.y"] == "0.10"


@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.none())))
def test_a_field_is_what_it_should_be_or_a_row_error(value: Any) -> None:
    row = Row({"x": value})
    for ask in (row.text, row.count, row.number, row.usd, row.time_ns, row.flag):
        with contextlib.suppress(RowError):
            ask("x")
