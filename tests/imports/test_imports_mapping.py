"""Any log by a mapping; what is wrong with a mapping, a file or a row names the place."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.imports.conftest import Desk

MAPPING = """
source = "warehouse"
zone = "Europe/Berlin"
cache = "beside"
[fields]
id = "call.id"
started_at = "at"
duration_ms = "took"
model = "model"
tenant_id = "customer.account.id"
feature = "feature"
input_tokens = "usage.in"
output_tokens = "usage.out"
cache_read_tokens = "usage.cached"
cost = "cents"
http_status = "status"
[constants]
provider = "openai"
environment = "staging"
[cost]
unit = "cents"
[tags]
plan = "customer.plan"
"""
ROW: dict[str, Any] = {
    "call": {"id": 17}, "at": "2026-11-10 09:00:00", "took": 1500, "model": "gpt-4o-mini",
    "customer": {"account": {"id": "acme"}, "plan": "gold"}, "feature": "search",
    "usage": {"in": 600, "out": 100, "cached": 400}, "cents": 0.021, "status": 200,
}  # fmt: skip


def mapping(desk: Desk, text: str = MAPPING) -> Path:
    return desk.write("mapping.toml", text)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as a table has it: structures in columns of JSON text."""
    return {"call.id": row["call"]["id"]} | {
        name: value for name, value in row.items() if name != "call"
    }


@pytest.mark.parametrize("form", ["jsonl", "csv", "columns", "parquet"])
def test_a_log_by_its_mapping(desk: Desk, form: str) -> None:
    if form == "jsonl":
        path = desk.json_lines("calls.jsonl", [ROW])
    elif form == "csv":
        path = desk.csv("calls.csv", [flat(ROW)])
    elif form == "columns":
        row = {name: value for name, value in flat(ROW).items() if name != "usage"}
        path = desk.csv("calls.csv", [row | {f"usage.{k}": v for k, v in ROW["usage"].items()}])
    else:
        path = desk.root / "calls.parquet"
        # An aware time of Parquet needs no zone of the mapping.
        row = ROW | {"at": datetime(2026, 11, 10, 8, tzinfo=UTC)}
        pq.write_table(pa.Table.from_pylist([row]), path)

    done = desk.run("file", path, "--mapping", mapping(desk))

    assert (done.code, done.answer["booked"]) == (0, 1), done.text
    (call,) = desk.calls()
    assert call["called_at"] == datetime(2026, 11, 10, 8)  # noqa: DTZ001 -- UTC, as it is stored
    assert (call["tenant_id"], call["feature"], call["environment"]) == (
        "acme",
        "search",
        "staging",
    )
    assert (call["uncached_input_tokens"], call["cache_read_tokens"]) == (600, 400)
    assert call["reported_cost_usd"] == Decimal("0.00021")
    assert call["duration_ns"] == 1_500_000_000
    assert "gold" in str(call["tags"])


def test_the_providers_own_usage_goes_first(desk: Desk) -> None:
    text = """
source = "raw"
[fields]
id = "id"
started_at = "t"
model = "m"
raw_usage = "response.usage"
[time]
format = "unix_ms"
[raw_usage]
dialect = "anthropic"
"""
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 7,
             "cache_creation_input_tokens": 3,
             "cache_creation": {"ephemeral_1h_input_tokens": 3}}  # fmt: skip
    row = {"id": "a", "t": 1_762_761_600_000, "m": "claude-sonnet-4-5",
           "response": {"usage": usage}}  # fmt: skip
    assert desk.run("file", desk.json_lines("r.jsonl", [row]), "--mapping",
                    mapping(desk, text)).code == 0  # fmt: skip
    (call,) = desk.calls()
    kinds = ("uncached_input_tokens", "cache_read_tokens", "cache_write_1h_tokens")
    assert [call[kind] for kind in kinds] == [10, 7, 3]
    assert call["called_at"] == datetime(2025, 11, 10, 8)  # noqa: DTZ001 -- UTC, as it is stored


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        (("[fields]", "[feilds]"), "", "feilds"),
        (('source = "warehouse"', 'source = ""'), "source", "must be a name"),
        (('zone = "Europe/Berlin"', 'zone = "Mars/Olympus"'), "zone", "no time zone"),
        (('id = "call.id"', ""), "fields.id", "is missing"),
        (('started_at = "at"', ""), "fields.started_at", "is missing"),
        (('feature = "feature"', 'featrue = "feature"'), "fields.featrue", "no field of a call"),
        (('unit = "cents"', 'unit = "dollars"'), "cost.unit", "dollars"),
        (('cache = "beside"', "cache = 5"), "cache", "str"),
        (("[fields]", "[fields"), "", "TOML"),
        (("[tags]", '[time]\nformat = "sometime"\n[tags]'), "time.format", "expected one of"),
        (("[tags]", '[raw_usage]\ndialect = "openai"\n[tags]'), "raw_usage", "need each other"),
    ],
)
def test_a_wrong_mapping_names_file_key_and_what_was_expected(
    desk: Desk, change: tuple[str, str], key: str, words: str
) -> None:
    text = MAPPING.replace(*change)
    assert text != MAPPING
    path = mapping(desk, text)
    done = desk.run("file", desk.json_lines("r.jsonl", [ROW]), "--mapping", path)
    assert done.code == 2
    (line,) = done.text.strip().splitlines()
    assert str(path) in line
    assert key in line
    assert words in line
    assert not desk.data_dir.exists()


def test_a_mapping_goes_with_kind_file_only(desk: Desk) -> None:
    path = desk.json_lines("r.jsonl", [ROW])
    assert desk.run("file", path).code == 99  # click's own error, one line in the program
    assert desk.run("litellm", path, "--mapping", mapping(desk)).code == 99


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"at": "10/11/26"}, "at", "is not a time"),
        ({"at": None}, "at", "is missing"),
        ({"call": {}}, "call.id", "is missing"),
        ({"usage": {"in": -5}}, "usage.in", "is not a count"),
        ({"usage": {"in": 1.5}}, "usage.in", "is not a count"),
        ({"usage": {"in": "many"}}, "usage.in", "is not a count"),
        ({"cents": "2 EUR"}, "cents", "is not an amount"),
        ({"cents": -1}, "cents", "is not an amount"),
        ({"model": "x" * 300}, "model", "more than 256"),
        ({"model": "a\nb"}, "model", "control character"),
        ({"model": ["gpt"]}, "model", "is not text"),
        ({"status": 20}, "status", "HTTP status"),
        ({"at": "1999-01-01T00:00:00Z"}, "", "before 2015"),
        ({"at": "2100-01-01T00:00:00Z"}, "", "ahead of"),
    ],
)
def test_a_row_that_cannot_be_is_kept_with_its_reason(
    desk: Desk, change: dict[str, Any], field: str, words: str
) -> None:
    path = desk.json_lines("r.jsonl", [ROW, ROW | change, ROW | {"call": {"id": 18}}])

    done = desk.run("file", path, "--mapping", mapping(desk))

    assert (done.code, done.answer["booked"], done.answer["rejected"]) == (1, 2, 1)
    (refused,) = desk.refused()
    assert (refused["file"], refused["line"], refused["field"]) == (str(path), 2, field)
    assert words in refused["reason"]


def test_an_owner_that_is_no_id_is_not_used_and_said(desk: Desk) -> None:
    row = ROW | {"customer": {"account": {"id": '{"a":1}'}}}
    path = desk.json_lines("r.jsonl", [row])
    assert desk.run("file", path, "--mapping", mapping(desk)).code == 0
    assert desk.calls()[0]["tenant_id"] is None
