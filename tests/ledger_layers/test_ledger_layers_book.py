"""Layers through the ledger: at ingest and at every correction, verified, seen when changed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.ledger.conftest import World
from tests.ledger.late_kit import USAGE, LateWorld

from tollbook.dialects.base import Part
from tollbook.dialects.openai import OpenAI
from tollbook.layers import LAYER_COSTS, LAYER_TOKENS, LAYERS, Section
from tollbook.ledger.rerate import preview, rerate
from tollbook.ledger.schema import ENTRY_NAMES, MIGRATIONS, NAMES_BY_VERSION
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.call import Call, CallOpened
    from tollbook.dialects.base import Measured

WEIGHTS = (
    int(Section.SYSTEM), 50, int(Section.TOOL_DEFINITIONS), 30, int(Section.USER_INPUT), 20,
)  # fmt: skip
_COLUMNS = ", ".join((*LAYER_TOKENS, *LAYER_COSTS))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def late(tmp_path: Path) -> Iterator[LateWorld]:
    made = LateWorld(tmp_path)
    yield made
    made.close()


def _ingest(world: World, layers: tuple[int, ...] | None = WEIGHTS, **closed: Any) -> CallOpened:
    writer = world.writer(1 << 20)
    opened = world.opened(layers=layers, prefix_hash="ab" * 8, prefix_chars=80)
    writer.append(opened)
    writer.append(world.closed(opened, **({"input_tokens": 1000, "output_tokens": 100} | closed)))
    writer.close()
    world.drain()
    return opened


def _said(world: World, where: str = "true") -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Return tokens and costs (in 10^-6 dollars) by layer of each entry."""
    rows = world.rows(f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY entry_id")
    micro = Decimal(1_000_000)
    return [
        (row[:6], tuple(None if one is None else int(one * micro) for one in row[6:]))
        for row in rows
    ]


def test_a_call_is_booked_with_its_layers(world: World) -> None:
    _ingest(world)
    assert _said(world) == [((500, 300, 0, 200, 100, 0), (1000, 600, 0, 400, 800, 0))]
    assert world.rows("SELECT layer_weights, prefix_hash, prefix_chars FROM entries") == [
        ("[0,50,1,30,6,20]", "ab" * 8, 80)
    ]
    assert world.verify().findings == ()


def test_without_weights_the_input_is_unsplit(world: World) -> None:
    for layers in (None, (), (0,), (0, 0), (0, -5, 1, 3)):
        _ingest(world, layers)
    assert set(_said(world)) == {((0, 0, 0, 0, 100, 1000), (0, 0, 0, 0, 800, 2000))}
    assert world.verify().findings == ()


def test_unknown_usage_has_no_layers_and_unknown_cost_none(world: World) -> None:
    _ingest(world, is_billable=False, usage=())
    _ingest(world, model_actual="nobody-knows")
    assert _said(world) == [
        ((None,) * 6, (0,) * 6),
        ((500, 300, 0, 200, 100, 0), (None,) * 6),
    ]
    assert world.verify().findings == ()


def test_rerating_takes_the_layers_back_and_books_them_anew(world: World) -> None:
    _ingest(world)
    world.price_book = world.prices("4", "8")
    rerate(world.store, world.shelf, world.price_book)
    assert _said(world) == [
        ((500, 300, 0, 200, 100, 0), (1000, 600, 0, 400, 800, 0)),
        ((-500, -300, 0, -200, -100, 0), (-1000, -600, 0, -400, -800, 0)),
        ((500, 300, 0, 200, 100, 0), (2000, 1200, 0, 800, 800, 0)),
    ]
    assert world.verify().findings == ()


def test_usage_that_comes_late_is_split_by_what_was_asked(late: LateWorld) -> None:
    opened, closed = late.post()
    late.write(replace(opened, layers=WEIGHTS), closed)
    late.write(*late.shown(usage=(USAGE,)))
    booked, taken, charged = _said(late, "operation = 'responses'")
    assert sum(booked[0]) == 10
    assert taken == tuple(tuple(-one for one in each) for each in booked)
    assert charged == ((500, 300, 0, 200, 100, 0), (1000, 600, 0, 400, 800, 0))
    assert late.verify().findings == ()


def test_a_part_of_a_call_is_unsplit_and_only_the_call_itself_split(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [Part(Kinds(100, visible_output_tokens=10), label="advisor")]
    real = OpenAI.measure

    def measure(self: OpenAI, call: Call) -> Measured:
        return replace(real(self, call), further=tuple(parts))

    monkeypatch.setattr(OpenAI, "measure", measure)
    _ingest(world)
    assert _said(world) == [
        ((500, 300, 0, 200, 100, 0), (1000, 600, 0, 400, 800, 0)),
        ((0, 0, 0, 0, 10, 100), (0, 0, 0, 0, 80, 200)),
    ]
    parts[0] = Part(Kinds(200), label="advisor")
    rerate(world.store, world.shelf, world.price_book)
    assert _said(world, "entry_id > 2") == [
        ((0, 0, 0, 0, -10, -100), (0, 0, 0, 0, -80, -200)),
        ((0, 0, 0, 0, 0, 200), (0, 0, 0, 0, 0, 400)),
    ]
    assert world.verify().findings == ()


def test_an_answer_from_the_cache_costs_no_layer_anything(world: World) -> None:
    first = _ingest(world)
    _ingest(world, cached_from=first.call_id, is_billable=False)
    assert _said(world, "cached_from IS NOT NULL") == [((None,) * 6, (0,) * 6)]
    assert world.verify().findings == ()


@pytest.mark.parametrize(
    "change",
    [
        "prompt_layer_tokens = prompt_layer_tokens + 1",
        "prompt_layer_cost_usd = tool_layer_cost_usd, tool_layer_cost_usd = prompt_layer_cost_usd",
        "unsplit_layer_cost_usd = NULL",
        "user_layer_tokens = NULL",
        "layer_weights = '[0,1,6,1]'",
        "layer_weights = 'nonsense'",
    ],
)
def test_verify_sees_layers_that_were_changed(world: World, change: str) -> None:
    _ingest(world)
    with world.store.transaction() as connection:
        connection.execute(f"UPDATE entries SET {change}")
    checks = {one.check for one in world.verify().findings}
    assert "layers" in checks
    assert "hash" in checks


def test_entries_of_an_older_ledger_stay_verified_and_are_split_when_rerated(world: World) -> None:
    """A batch of schema version 1 has no layers: its hash does not cover them."""
    _ingest(world)
    _make_older(world)
    assert _said(world) == [((None,) * 6, (None,) * 6)]
    assert world.verify().findings == ()
    connection = world.store.reader()
    assert preview(connection, world.price_book).rows == ()
    connection.close()
    world.price_book = world.prices("4", "8")
    rerate(world.store, world.shelf, world.price_book)
    # Nobody wrote weights then.
    assert _said(world, "entry_id > 1") == [
        ((None,) * 6, (None,) * 6),
        ((0, 0, 0, 0, 100, 1000), (0, 0, 0, 0, 800, 4000)),
    ]
    assert world.verify().findings == ()


def _make_older(world: World) -> None:
    """Rewrite the one batch as version 1 wrote it."""
    from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash  # noqa: PLC0415 -- only here

    later = [name for name in NAMES_BY_VERSION[2] if name not in NAMES_BY_VERSION[1]]
    with world.store.transaction() as connection:
        connection.execute("UPDATE entries SET " + ", ".join(f"{one} = NULL" for one in later))
        table = connection.sql(f"SELECT {', '.join(ENTRY_NAMES)} FROM entries").to_arrow_table()
        ((booked_us, pico),) = connection.execute(
            "SELECT epoch_us(booked_at), CAST(cost_usd * 1000000000000 AS HUGEINT) FROM batches"
        ).fetchall()
        head = BatchHead(1, booked_us, 1, 1, 1, pico, GENESIS)
        digest = batch_hash(head, table, NAMES_BY_VERSION[1])
        connection.execute("UPDATE batches SET schema_version = 1, hash = ?", [digest])
    world.reopen()


def test_every_layer_has_its_columns() -> None:
    assert len(MIGRATIONS) == len(NAMES_BY_VERSION) - 1
    assert set(LAYER_TOKENS) | set(LAYER_COSTS) <= set(ENTRY_NAMES)
    assert [name.removesuffix("_layer_tokens") for name in LAYER_TOKENS] == list(LAYERS)
