"""Spool to entries: what each kind of call becomes, and what goes wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tollbook.call import CallClosed, Conflict, FramesLost, Identity, Metering, Observer, Status

W = Any


def test_a_call_becomes_one_priced_charge(world: W) -> None:
    writer = world.writer()
    opened = world.call(writer, input_tokens=1000, output_tokens=100)
    assert world.drain() == 1
    (row,) = world.rows(
        "SELECT entry_id, batch_id, kind, calls, call_id, epoch_us(called_at), tenant_id,"
        " identity_source, provider, status, usage_source, uncached_input_tokens,"
        " visible_output_tokens, price_state, cost_usd, uncached_input_tokens_cost_usd,"
        " usage_raw, spool_writer, spool_segment, gateway_version FROM entries"
    )
    assert row[:4] == (1, 1, "charge", 1)
    assert row[4].bytes == opened.call_id
    assert row[5] == opened.started_at_ns // 1000
    assert row[6:14] == ("acme", "baggage", "openai", "ok", "reported", 1000, 100, "priced")
    assert row[14:16] == (Decimal("0.0028"), Decimal("0.002"))
    assert row[16] == '[{"prompt_tokens":1000,"completion_tokens":100}]'
    assert row[17:] == (writer.name, 1, "1.2.3")
    assert set(world.shelf.kept) == {
        one for (one,) in world.rows("SELECT price_card_id FROM entries")
    }
    assert world.verify().is_clean


_REJECTED = {"is_billable": False, "status": Status.REJECTED, "usage": ()}


@pytest.mark.parametrize(
    ("opened", "closed", "state", "cost", "kinds_known"),
    [
        ({"metering": Metering.FREE}, {"usage": ()}, "free", 0, False),
        ({"metering": Metering.UNMETERED}, {"usage": ()}, "unmetered", None, False),
        ({}, {"is_billable": False, "status": Status.ERROR, "usage": ()}, "not_billed", 0, False),
        ({}, _REJECTED, "not_billed", 0, False),
        ({"model_requested": "unheard-of"}, {}, "unpriced", None, True),
        ({"model_requested": None}, {}, "unpriced", None, True),
        ({"dialect": "klingon"}, {}, "unpriced", None, False),
        ({"provider": "no-such"}, {}, "unpriced", None, True),
    ],
)  # fmt: skip
def test_states(
    world: W, opened: dict[str, Any], closed: dict[str, Any], state: str, cost: int | None,
    *, kinds_known: bool,
) -> None:  # fmt: skip
    writer = world.writer()
    begun = world.opened(**opened)
    writer.append(begun)
    writer.append(world.closed(begun, **closed))
    writer.flush()
    assert world.drain() == 1
    ((found, found_cost, tokens),) = world.rows(
        "SELECT price_state, cost_usd, uncached_input_tokens FROM entries"
    )
    assert (found, found_cost) == (state, cost)
    assert (tokens is not None) == kinds_known
    assert world.verify().is_clean


def test_evidence_that_is_not_json_is_kept_byte_for_byte(world: W) -> None:
    writer = world.writer()
    opened = world.opened()
    writer.append(opened)
    writer.append(world.closed(opened, usage=(b'{"prompt_tokens":', b"\xff\x00")))
    writer.flush()
    assert world.drain() == 1
    ((raw, problems),) = world.rows("SELECT usage_raw, usage_problems FROM entries")
    assert json.loads(raw) == ['{"prompt_tokens":', "\xff\x00"]
    assert json.loads(problems)
    assert world.verify().is_clean


def test_numbers_beyond_a_column_are_unknown_and_the_call_is_kept(world: W) -> None:
    writer = world.writer()
    opened = world.opened(max_output_tokens=2**64 - 1, attempt=2**40)
    writer.append(opened)
    writer.append(world.closed(opened, input_tokens=10**12, output_tokens=10**12))
    writer.flush()
    assert world.drain() == 1
    ((limit, attempt, cost),) = world.rows(
        "SELECT max_output_tokens, attempt, cost_usd FROM entries"
    )
    assert (limit, attempt, cost) == (None, None, 10_000_000)  # 10^19 pico, more than 64 bits
    assert world.verify().is_clean


def test_identity_detail_names_sources_conflicts_and_problems(world: W) -> None:
    conflict = Conflict("tenant_id", "a", "baggage", "b", "portkey")
    identity = Identity(
        tenant_id="a", tags={"k": "ü"}, sources={"tenant_id": "baggage"}, conflicts=(conflict,),
        problems=("x",),
    )  # fmt: skip
    writer = world.writer()
    opened = world.opened(identity=identity)
    writer.append(opened)
    writer.append(world.closed(opened))
    writer.flush()
    world.drain()
    ((detail, tags),) = world.rows("SELECT identity_detail, tags FROM entries")
    assert json.loads(detail) == {
        "sources": {"tenant_id": "baggage"}, "problems": ["x"],
        "conflicts": [{"field": "tenant_id", "kept": "a", "kept_source": "baggage",
                       "refused": "b", "refused_source": "portkey"}],
    }  # fmt: skip
    assert json.loads(tags) == {"k": "ü"}


def test_a_call_open_across_two_lives_is_booked_once(world: W) -> None:
    writer = world.writer()
    opened = world.opened()
    writer.append(opened)
    writer.flush()
    assert world.drain() == 0
    assert world.rows("SELECT count(*) FROM open_calls") == [(1,)]
    world.reopen()
    writer.append(world.closed(opened))
    writer.flush()
    assert world.drain() == 1
    world.reopen()
    assert world.drain() == 0
    assert world.rows("SELECT (SELECT count(*) FROM open_calls), count(*) FROM entries") == [(0, 1)]


@pytest.mark.parametrize("pauses", [(), (1,), (2,), (1, 2)])
def test_an_observer_may_say_more_of_an_open_call(world: W, pauses: tuple[int, ...]) -> None:
    writer = world.writer()
    opened = world.opened(observer=Observer.SDK, input_chars=900)
    early = replace(opened, model_requested="m-guessed", layers=None)
    late = replace(opened, model_requested="m-1", layers=(0, 5, 4, 7))
    for at, frame in enumerate((early, late, world.closed(opened)), 1):
        writer.append(frame)
        writer.flush()
        if at in pauses:
            world.drain()
            world.reopen()
    writer.close()
    world.drain()
    assert world.rows("SELECT count(*), min(model_requested) FROM entries") == [(1, "m-1")]
    assert world.rows("SELECT count(*) FROM open_calls") == [(0,)]
    assert world.rows("SELECT count(*) FROM incidents") == [(0,)]


def test_a_dead_writer_s_open_call_becomes_interrupted_and_estimated(world: W) -> None:
    writer = world.writer()
    writer.append(world.opened(input_chars=400))
    writer.flush()
    world.drain()
    writer.close()
    assert world.drain() == 1
    assert world.rows(
        "SELECT status, usage_source, uncached_input_tokens, duration_ns, cost_usd FROM entries"
    ) == [("interrupted", "estimated", 100, None, Decimal("0.0002"))]
    assert world.rows("SELECT state FROM spool_positions") == [("finished",)]
    assert world.drain() == 0
    assert world.verify().is_clean


def test_frames_that_do_not_fit_are_incidents(world: W) -> None:
    writer = world.writer()
    opened = world.call(writer)
    writer.append(world.closed(opened))  # a second close
    lonely = world.opened()
    writer.append(world.closed(lonely))
    writer.append(opened)  # the same call again, within the step
    writer.append(FramesLost(world.tick(), 7, world.now_ns))
    writer.flush()
    assert world.drain() == 1
    kinds = world.rows("SELECT kind, detail FROM incidents ORDER BY kind")
    assert [kind for kind, _ in kinds] == [
        "duplicate",
        "frames_lost",
        "orphan_close",
        "orphan_close",
    ]
    assert json.loads(kinds[1][1])["frames"] == 7
    assert json.loads(kinds[3][1])["usage"]


def test_a_torn_tail_is_counted_and_cut(world: W) -> None:
    writer = world.writer()
    world.call(writer)
    writer.close()
    path = world.spool_root / writer.name / "00000001.seg"
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\x20\x00\x00\x00half")
    assert world.drain() == 1
    ((kind, detail),) = world.rows("SELECT kind, detail FROM incidents")
    assert kind == "torn_tail"
    assert json.loads(detail) == {"segment": 1, "offset": whole, "size_bytes": 8}
    assert path.stat().st_size == whole
    world.reopen()
    assert world.drain() == 0
    assert world.rows("SELECT count(*) FROM incidents") == [(1,)]
    assert world.verify().is_clean


def test_damage_parks_one_writer_and_the_others_go_on(world: W) -> None:
    bad, good = world.writer(segment_max_bytes=1 << 20), world.writer()
    for _ in range(5):
        world.call(bad)
    path = world.spool_root / bad.name / "00000001.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    booked = world.drain() + world.drain()
    world.call(good)
    result = world.ingester.step()
    assert result.calls == 1
    assert world.rows("SELECT state FROM spool_positions ORDER BY writer") == [
        ("corrupt",), ("active",),
    ]  # fmt: skip
    assert world.rows("SELECT kind FROM incidents") == [("corrupt",)]
    assert [one.check for one in world.verify().findings] == ["spool"]
    world.reopen()  # tries again, and does not report it twice
    world.drain()
    assert world.rows("SELECT kind FROM incidents") == [("corrupt",)]
    assert world.ingester.skip_corrupt(good.name) is None
    assert world.ingester.skip_corrupt(bad.name) > 0
    later = world.drain()
    # the damaged frame is half of one call at most; its close or open is noted
    assert booked + later in {3, 4}
    assert "skipped" in {kind for (kind,) in world.rows("SELECT kind FROM incidents")}


def test_complete_until_waits_for_open_calls_and_for_unread_data(world: W) -> None:
    writer = world.writer(segment_max_bytes=1 << 20)
    first = world.opened()
    writer.append(first)
    for _ in range(30):
        world.call(writer)
    world.ingester = world.new_ingester(batch_calls=10)
    result = world.ingester.step()
    assert (result.calls, result.at_end) == (10, False)
    assert result.complete_until_ns == first.started_at_ns // 1000 * 1000
    writer.append(world.closed(first))
    writer.flush()
    world.drain()
    now_ns = world.tick() + 2_000_000_000
    world.now_ns = now_ns
    assert world.ingester.step().complete_until_ns == now_ns // 1000 * 1000
    assert world.rows("SELECT epoch_us(complete_until) FROM progress") == [(now_ns // 1000,)]
    assert world.rows("SELECT count(*), max(rows) FROM batches")[0][1] == 10


def test_nothing_of_a_step_that_fails_is_kept(world: W, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = world.writer()
    world.call(writer)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("tollbook.ledger.state.save_progress", fail)
        with pytest.raises(MemoryError):
            world.ingester.step()
    assert world.rows("SELECT count(*) FROM entries") == [(0,)]
    assert world.drain() == 1
    assert world.rows("SELECT min(entry_id), max(batch_id) FROM entries") == [(1, 1)]
    assert world.verify().is_clean


def test_cards_are_kept_before_entries_name_them(world: W, monkeypatch: pytest.MonkeyPatch) -> None:
    world.call(world.writer())

    def fail(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(world.shelf, "remember", fail)
        with pytest.raises(OSError):  # noqa: PT011 -- raised above
            world.ingester.step()
    assert world.rows("SELECT count(*) FROM entries") == [(0,)]
    assert world.drain() == 1
    assert len(world.shelf.kept) == 1


def test_consumed_segments_are_pruned_and_unread_ones_kept(world: W) -> None:
    writer = world.writer()
    for _ in range(60):
        world.call(writer)
    world.drain()
    world.now_ns += 10**18
    segments = len(list(world.spool_root.rglob("*.seg")))
    world.ingester.prune(0)
    assert segments > 2
    assert len(list(world.spool_root.rglob("*.seg"))) == 1
    writer.close()
    world.drain()
    world.ingester.prune(0)
    assert not list(world.spool_root.iterdir())
    assert world.drain() == 0


def test_close_frame_of_unknown_shape_is_no_crash(world: W) -> None:
    writer = world.writer()
    writer.append(CallClosed(b"short", world.tick(), Status.OK))
    writer.flush()
    assert world.drain() == 0
    assert world.rows("SELECT kind FROM incidents") == [("orphan_close",)]
