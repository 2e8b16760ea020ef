"""The file: versions, locks, other files; transactions; exact money; the hash."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash
from tollbook.ledger.errors import (
    LedgerFileError,
    LedgerInUseError,
    NewerDatabaseError,
    NoLedgerError,
    NotALedgerError,
    OlderDatabaseError,
)
from tollbook.ledger.exact import MONEY_MAX, money_array, pico_list, pico_sum
from tollbook.ledger.schema import MONEY_ARROW, SCHEMA_VERSION
from tollbook.ledger.store import connect_readonly, open_store
from tollbook.ledger.usagetext import usage_array, usage_objects, usage_text
from tollbook.money import usd_decimal

if TYPE_CHECKING:
    from pathlib import Path

W = Any


def test_a_newer_file_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    open_store(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, now()::TIMESTAMP, '9.9')")
    for opening in (open_store, connect_readonly):
        with pytest.raises(NewerDatabaseError) as caught:
            opening(path)
        assert caught.value.exit_code == 2
        assert str(caught.value) == (
            f"{path}: ledger schema version 99 is newer than this tollbook knows"
            f" ({SCHEMA_VERSION}); upgrade tollbook"
        )


def test_an_older_file_is_migrated_by_writing_not_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE schema_version (version INTEGER, applied_at TIMESTAMP,"
            " tollbook_version VARCHAR)"
        )
    with pytest.raises(OlderDatabaseError, match="start tollbook up once"):
        connect_readonly(path)
    open_store(path).close()
    with connect_readonly(path) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    open_store(path).close()


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, database = tmp_path / "text", tmp_path / "database"
    text.write_bytes(b"hello " * 1000)
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE payroll (x INTEGER)")
    for path in (text, database):
        before = path.read_bytes()
        with pytest.raises(NotALedgerError, match="not a ledger") as caught:
            open_store(path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before


def test_missing_and_unusable_places(tmp_path: Path) -> None:
    with pytest.raises(NoLedgerError, match="no ledger here yet"):
        connect_readonly(tmp_path / "ledger.duckdb")
    with pytest.raises(LedgerFileError, match="cannot be opened"):
        open_store(tmp_path / "nowhere" / "ledger.duckdb")


def test_a_file_open_elsewhere_names_the_process(world: W) -> None:
    code = (
        "import sys, pathlib\n"
        "from tollbook.ledger.store import connect_readonly, open_store\n"
        "from tollbook.ledger.errors import LedgerInUseError\n"
        "for opening in (open_store, connect_readonly):\n"
        "    try: opening(pathlib.Path(sys.argv[1]))\n"
        "    except LedgerInUseError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.store.path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(f"process {os.getpid()} has it open" in line for line in lines)
    assert LedgerInUseError.exit_code == 2


def test_a_reader_sees_committed_entries_only(world: W) -> None:
    world.call(world.writer())
    reader = world.store.reader()
    with world.store.transaction():
        world.ingester.step()
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    assert reader.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    reader.close()


_PICO = st.integers(-MONEY_MAX, MONEY_MAX) | st.integers(-(10**13), 10**13)


@given(st.lists(st.none() | _PICO, max_size=40))
def test_money_goes_through_arrow_exactly(amounts: list[int | None]) -> None:
    array = money_array(amounts)
    assert array.type == MONEY_ARROW
    assert pico_list(array) == amounts
    assert array.to_pylist() == [None if one is None else usd_decimal(one) for one in amounts]
    array.validate(full=True)
    assert pico_list(array[1:]) == amounts[1:]
    assert pico_sum(array) == sum(one or 0 for one in amounts)
    assert pico_sum(pa.chunked_array([array[1:], array])) == sum(
        one or 0 for one in amounts[1:] + amounts
    )


def test_money_beyond_the_column_is_refused() -> None:
    with pytest.raises(OverflowError):
        money_array([10**38])


_TEXTS = st.lists(st.none() | st.text(max_size=8), min_size=1, max_size=30)
_HEAD = BatchHead(1, 0, 1, 1, 1, 0, GENESIS)


@given(_TEXTS, st.data())
def test_the_hash_is_of_the_values_not_of_their_place_in_memory(
    texts: list[str | None], data: st.DataObject
) -> None:
    amounts = money_array([len(text or "") for text in texts])
    table = pa.table({"a": pa.array(texts, pa.string()), "b": amounts})
    cut = data.draw(st.integers(0, len(texts)))
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    padded = pa.concat_tables([table, table]).slice(len(texts), len(texts))
    digest = batch_hash(_HEAD, table, ["a", "b"])
    assert batch_hash(_HEAD, pieces, ["a", "b"]) == digest
    assert batch_hash(_HEAD, padded, ["a", "b"]) == digest
    at = data.draw(st.integers(0, len(texts) - 1))
    other = [*texts]
    other[at] = data.draw((st.none() | st.text(max_size=8)).filter(lambda new: new != texts[at]))
    changed = table.set_column(0, "a", pa.array(other, pa.string()))
    assert batch_hash(_HEAD, changed, ["a", "b"]) != digest
    assert batch_hash(_HEAD._replace(cost_pico=1), table, ["a", "b"]) != digest


_JSON = st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=3).map(msgspec.json.encode)


@settings(max_examples=200)
@example([b'""'])
@given(st.lists(st.binary(max_size=12) | _JSON, min_size=1, max_size=4))
def test_usage_text_is_byte_for_byte(usage: list[bytes]) -> None:
    assert usage_objects(usage_text(usage)) == tuple(usage)


_USAGE = st.lists(st.binary(max_size=4) | st.sampled_from([b"{}", b"{", b"}", b"{},{", b" {}"]))


@settings(max_examples=300)
@given(st.lists(_USAGE.map(tuple), min_size=1, max_size=6))
def test_usage_texts_of_many_calls_are_those_of_each(usages: list[tuple[bytes, ...]]) -> None:
    texts = [usage_text(usage) if usage else None for usage in usages]
    assert usage_array(usages).to_pylist() == texts
