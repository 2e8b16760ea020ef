"""The list of batches: what was submitted, booked, given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.batch.batch_kit import HOUR_NS, LINE_USD, BatchWorld, tenant

from tollbook.cli.calls import calls
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.reports.batches import batches_query, run_batches
from tollbook.reports.errors import QueryError
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOW = datetime(2027, 1, 1, tzinfo=UTC)


class Asked:
    def __init__(self, world: BatchWorld) -> None:
        self._connection = world.store.reader()

    def rows(self, **options: str) -> list[dict[str, Any]]:
        query = batches_query([("since", "all"), *options.items()], _NOW)
        report = run_batches(DuckdbReader(self._connection), query)
        decoded = msgspec.json.decode(msgspec.json.encode(report))
        assert decoded["completeness"]["incidents"] == 0
        rows: list[dict[str, Any]] = decoded["rows"]
        return rows

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def asked(world: BatchWorld) -> Iterator[Asked]:
    one = Asked(world)
    yield one
    one.close()


def test_a_batch_from_open_to_booked(world: BatchWorld, asked: Asked) -> None:
    world.write(world.submission(lines=2))
    (row,) = asked.rows()
    shown = {name: row[name] for name in ("batch_id", "tenant", "state", "lines", "booked")}
    assert shown == {
        "batch_id": "batch_1", "tenant": "acme", "state": "open", "lines": 2, "booked": 0,
    }  # fmt: skip
    world.write(world.ended(lines=2))
    (row,) = asked.rows()
    assert (row["state"], row["unread"], row["status"]) == ("waiting", "file-out", "completed")
    world.write(world.result("a"), world.result("b", usage=(), problem="x"), world.read(2))
    (row,) = asked.rows()
    assert (row["state"], row["booked"], row["unpriced"], row["unread"]) == ("booked", 2, 1, "")
    assert float(row["cost_usd"]) == float(LINE_USD)
    world.write(world.result("a"))
    assert asked.rows()[0]["seen_again"] == 1


def test_states_that_are_not_the_usual(world: BatchWorld, asked: Asked) -> None:
    world.settling(72 * HOUR_NS)
    world.write(world.submission(), world.seen("batch_2", status="failed", is_ended=True))
    world.now_ns += 73 * HOUR_NS
    world.drain()
    world.write(world.seen("batch_3", status="in_progress", problem="HTTP 500"))
    rows = asked.rows()
    found = {row["batch_id"]: (row["state"], row["tenant"], row["problem"]) for row in rows}
    assert found == {
        "batch_1": ("settled", "acme", None),
        "batch_2": ("empty", "unknown", None),
        "batch_3": ("open", "unknown", "HTTP 500"),
    }
    assert [row["batch_id"] for row in asked.rows(states="open,settled")] == ["batch_3", "batch_1"]
    assert asked.rows(provider="anthropic") == []
    assert len(asked.rows(limit="1")) == 1


def test_the_owner_may_be_that_of_the_file(world: BatchWorld, asked: Asked) -> None:
    frames = world.upload({})
    named = msgspec.structs.replace(frames[1], identity=tenant("globex"))
    world.write(named, world.seen(input_ids=("file-in",), status="validating"))
    assert asked.rows()[0]["tenant"] == "globex"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"states": "done"}, "--states: 'done' is not one of open, waiting"),
        ({"limit": "0"}, "--limit"),
        ({"where": "tenant=a"}, "where"),
        ({"color": "red"}, "color"),
    ],
)
def test_wrong_options_are_named(options: dict[str, str], problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        batches_query(list(options.items()), _NOW)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_the_command_lists_them(world: BatchWorld, form: str) -> None:
    world.write(world.submission(lines=1), world.ended(), world.result("a"), world.read(1))
    world.store.close()
    options = ["--batch", "--since", "all", "--until", "2027-01-01", "--format", form]
    done = CliRunner().invoke(calls, [*options, "--data", str(world.root)])
    assert done.exit_code == 0, done.output
    for word in ("batch_1", "acme", "booked", LINE_USD):
        assert word in done.output
    world.store = open_store(world.root / LEDGER_FILE, threads=1)


def test_the_command_says_that_there_are_none(world: BatchWorld) -> None:
    world.store.close()
    done = CliRunner().invoke(
        calls, ["--batch", "--format", "table", "--data", str(world.root)]
    )  # fmt: skip
    assert done.exit_code == 0
    assert "No batches in this range." in done.output
    world.store = open_store(world.root / LEDGER_FILE, threads=1)
