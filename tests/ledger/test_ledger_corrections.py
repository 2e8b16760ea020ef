"""Re-rating and verification."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.call import Status
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.rerate import apply, preview, rerate
from tollbook.ledger.verify import verify

W = Any


def _previewed(world: W, since_ns: int | None = None, until_ns: int | None = None) -> Any:
    connection = world.store.reader()
    try:
        return preview(connection, world.price_book, since_ns, until_ns)
    finally:
        connection.close()


def test_rerate_previews_then_appends_reversal_and_charge_once(world: W) -> None:
    writer = world.writer()
    world.call(writer, input_tokens=1000, output_tokens=0)
    world.call(writer, input_tokens=3000, output_tokens=0)
    world.drain()
    assert _previewed(world).rows == ()
    world.price_book = world.prices("3", "8")
    before = world.rows("SELECT * FROM entries")
    shown = _previewed(world)
    (row,) = shown.rows
    assert (row.tenant_id, row.provider, row.model, row.calls) == ("acme", "openai", "m-1", 2)
    assert (row.old_cost, row.new_cost) == (8_000_000_000, 12_000_000_000)
    assert row.old_card_ids != row.new_card_ids
    assert world.rows("SELECT * FROM entries") == before
    assert rerate(world.store, world.shelf, world.price_book) == shown
    assert world.rows("SELECT * FROM entries ORDER BY entry_id LIMIT 2") == before
    entries = world.rows(
        "SELECT kind, replaces, calls, uncached_input_tokens, cost_usd FROM entries"
        " WHERE entry_id > 2 ORDER BY entry_id"
    )
    assert entries == [
        ("reversal", 1, -1, -1000, Decimal("-0.002")),
        ("reversal", 2, -1, -3000, Decimal("-0.006")),
        ("charge", 1, 1, 1000, Decimal("0.003")),
        ("charge", 2, 1, 3000, Decimal("0.009")),
    ]
    old, new = row.old_card_ids[0], row.new_card_ids[0]
    assert world.rows("SELECT DISTINCT reason FROM entries WHERE kind <> 'charge'") == [
        (f"price card changed: {old} -> {new}",)
    ]
    assert rerate(world.store, world.shelf, world.price_book).rows == ()
    assert world.rows("SELECT sum(cost_usd), sum(calls) FROM entries") == [(Decimal("0.012"), 2)]
    assert world.verify().is_clean


def test_a_model_that_gets_a_price_becomes_priced(world: W) -> None:
    writer = world.writer()
    opened = world.opened(model_requested="new-model")
    writer.append(opened)
    writer.append(world.closed(opened))
    writer.flush()
    world.drain()
    world.price_book = world.prices("1", "1", models="new-*")
    (row,) = _previewed(world).rows
    assert (row.old_unpriced_calls, row.new_unpriced_calls, row.difference) == (1, 0, 15_000_000)
    rerate(world.store, world.shelf, world.price_book)
    assert world.rows("SELECT price_state FROM entries ORDER BY entry_id") == [
        ("unpriced",), ("unpriced",), ("priced",),
    ]  # fmt: skip
    assert world.verify().is_clean


def test_rerate_looks_only_at_its_window_and_at_what_a_price_can_touch(world: W) -> None:
    writer = world.writer()
    first, second = world.call(writer), world.call(writer)
    refused = world.opened()
    writer.append(refused)
    writer.append(world.closed(refused, status=Status.REJECTED, is_billable=False, usage=()))
    writer.flush()
    world.drain()
    world.price_book = world.prices("3", "9")
    assert _previewed(world, first.started_at_ns, second.started_at_ns).calls == 1
    assert _previewed(world, second.started_at_ns).calls == 1
    assert _previewed(world).calls == 2


def test_apply_keeps_cards_and_the_event_in_the_books(world: W) -> None:
    world.call(world.writer())
    world.drain()
    world.price_book = world.prices("3", "9")
    with open_books(world.root) as books:
        BooksShelf(books).remember([
            *world.shelf.find(world.shelf.kept).values()
        ])  # fmt: skip
        report = apply(world.store, books, world.price_book, actor="ann")
        (event,) = list_events(books, action="rerate.applied")
        assert (event.actor, event.detail["calls"]) == ("ann", 1)
        assert event.detail["difference_pico_usd"] == str(report.difference)
        assert apply(world.store, books, world.price_book, actor="ann").calls == 0
        assert len(list_events(books, action="rerate.applied")) == 1
        connection = world.store.reader()
        assert verify(connection, BooksShelf(books)).is_clean
        connection.close()


_CHANGES = [
    ("cost_usd = cost_usd + 0.000000000001", {"hash", "batch", "components", "price"}, True),
    ("uncached_input_tokens = uncached_input_tokens + 1", {"hash", "kinds"}, True),
    ("visible_output_tokens = -1", {"hash", "kinds"}, True),
    ("usage_raw = replace(usage_raw, '10', '11')", {"hash", "kinds", "price"}, True),
    ("usage_raw = 'no json'", {"hash", "evidence"}, True),
    ("price_card_id = 'gone'", {"hash", "card"}, True),
    ("price_state = 'free'", {"hash", "price"}, True),
    ("calls = 2", {"hash", "components", "active"}, True),
    ("tenant_id = 'other'", {"hash"}, False),
    ("user_id = ''", {"hash"}, False),
    ("called_at = called_at + INTERVAL 1 microsecond", {"hash"}, False),
    ("call_id = '00000000-0000-7000-8000-000000000000'", {"hash"}, False),
    ("batch_id = 9", {"hash", "batch"}, True),
    ("entry_id = 99", {"hash", "ids"}, False),
    ("is_stream = NOT is_stream", {"hash"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("change", "checks", "names_entry"), _CHANGES)
def test_verify_names_what_was_changed_behind_its_back(
    world: W, change: str, checks: set[str], *, names_entry: bool
) -> None:
    writer = world.writer()
    calls = [world.call(writer) for _ in range(3)]
    world.drain()
    assert world.verify().is_clean
    connection = world.store.reader()
    connection.execute(f"UPDATE {'entries'} SET {change} WHERE entry_id = 2")
    connection.close()
    report = world.verify()
    assert {one.check for one in report.findings} >= checks
    assert report.total_findings == len(report.findings)
    if names_entry:
        named = {(one.entry_id, one.call_id) for one in report.findings if one.entry_id}
        assert {entry for entry, _ in named} == {2}
        assert len(calls) == 3


def test_verify_sees_removed_added_and_wrongly_corrected_entries(world: W) -> None:
    writer = world.writer()
    for _ in range(4):
        world.call(writer)
    world.drain()
    world.price_book = world.prices("3", "9")
    rerate(world.store, world.shelf, world.price_book)
    changes = {
        "DELETE FROM {} WHERE entry_id = 2": {"hash", "ids", "active"},
        "INSERT INTO {} SELECT * REPLACE (99 AS entry_id) FROM entries WHERE entry_id = 1":
            {"ids", "active"},
        "UPDATE {} SET cost_usd = 0 WHERE entry_id = 5": {"hash", "reversal", "components"},
        "UPDATE {} SET replaces = 2 WHERE entry_id = 5": {"hash", "reversal", "replaced"},
        "DELETE FROM {} WHERE kind = 'reversal'": {"hash", "replaced", "active"},
    }  # fmt: skip
    for change, checks in changes.items():
        connection = world.store.reader()
        connection.execute("BEGIN TRANSACTION")
        connection.execute(change.format("entries"))
        # verified inside the transaction that changes, so that the next change finds it whole
        found = _verify_inside(connection, world)
        connection.execute("ROLLBACK")
        connection.close()
        assert found >= checks, change
    assert world.verify().is_clean


def _verify_inside(connection: Any, world: W) -> set[str]:
    class Inside:
        """The connection, already in a transaction."""

        def execute(self, sql: str, *values: Any) -> Any:
            if sql in {"BEGIN TRANSACTION", "ROLLBACK"}:
                return None
            return connection.execute(sql, *values)

        def sql(self, *args: Any, **kwargs: Any) -> Any:
            return connection.sql(*args, **kwargs)

    inside: Any = Inside()
    return {one.check for one in verify(inside, world.shelf).findings}


def test_a_chain_that_was_cut_and_written_again_is_seen(world: W) -> None:
    writer = world.writer()
    world.call(writer)
    world.drain()
    world.call(writer)
    world.drain()
    head = world.verify().head_hash
    connection = world.store.reader()
    connection.execute("UPDATE batches SET hash = previous_hash WHERE batch_id = 1")
    report = world.verify()
    assert {one.batch_id for one in report.findings if one.check == "hash"} == {1, 2}
    assert report.head_hash == head
    connection.close()


def test_verify_reports_progress_and_bounds_its_findings(world: W) -> None:
    writer = world.writer()
    for _ in range(25):
        world.call(writer)
    world.ingester = world.new_ingester(batch_calls=10)
    world.drain()
    connection = world.store.reader()
    connection.execute(f"UPDATE {'entries'} SET calls = 3")
    seen: list[tuple[int, int]] = []
    report = verify(connection, world.shelf, progress=lambda *at: seen.append(at), findings_max=4)
    connection.close()
    assert seen == [(10, 25), (20, 25), (25, 25)]
    assert len(report.findings) == 4
    assert report.total_findings > 25


def test_a_position_beyond_its_file_is_found(world: W) -> None:
    writer = world.writer(segment_max_bytes=1 << 20)
    world.call(writer)
    world.drain()
    path = world.spool_root / writer.name / "00000001.seg"
    with path.open("r+b") as file:
        file.truncate(100)
    assert [one.check for one in world.verify().findings] == ["spool"]
