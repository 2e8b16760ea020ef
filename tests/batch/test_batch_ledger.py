"""Frames of batches to entries: once, to the right owner, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.batch.batch_kit import HOUR_NS, LINE_USD, BatchWorld, tenant

from tollbook import ids
from tollbook.call import BatchOwners, CallClosed, Identity, Metering, Status

W = BatchWorld


def test_d1_a_line_is_booked_once_however_often_it_is_read(world: W) -> None:
    first, second = world.writer(1 << 20), world.writer(1 << 20)
    first.append(world.submission())
    first.append(world.ended())
    for writer in (first, second, first, second):
        writer.append(world.result("a"))
        writer.append(world.result("b"))
        writer.append(world.read(2))
        assert writer.flush()
        world.drain()
    assert world.owned() == {"a": ("acme", 1, LINE_USD), "b": ("acme", 1, LINE_USD)}
    ((booked, again, is_read),) = world.rows(
        "SELECT booked, seen_again, is_read FROM batch_sources"
    )
    assert (booked, again, is_read) == (2, 6, True)
    assert world.verify().is_clean


def test_the_same_line_twice_in_one_step_is_one_entry(world: W) -> None:
    world.write(world.submission(), world.ended(), world.result("a"), world.result("a"))
    assert world.owned() == {"a": ("acme", 1, LINE_USD)}


def test_answers_of_two_requests_with_one_custom_id_are_both_billed(world: W) -> None:
    world.write(
        world.submission(), world.ended(), world.result("a"),
        world.result("a", provider_response_id="chatcmpl-other"),
    )  # fmt: skip
    assert world.owned() == {"a": ("acme", 2, "0.0056")}
    assert world.verify().is_clean


def test_d2_a_batch_submitted_elsewhere_is_billed_to_nobody(world: W) -> None:
    world.write(world.ended(), world.result("a"), world.read(1))
    assert world.owned() == {"a": ("unknown", 1, LINE_USD)}
    ((batch_id, tier, state),) = world.rows(
        "SELECT provider_batch_id, price_tier, price_state FROM entries"
    )
    assert (batch_id, tier, state) == ("batch_1", "batch", "priced")


def test_d4_a_line_that_cannot_be_read_is_kept_at_unknown_cost(world: W) -> None:
    poison = world.result("line-1", usage=(), problem="the line cannot be read")
    world.write(
        world.submission(), world.ended(), poison, world.result("b", model_actual="who-knows"),
        world.result("c"), world.read(3),
    )  # fmt: skip
    assert world.owned() == {
        "line-1": ("acme", 1, "unknown"),
        "b": ("acme", 1, "unknown"),
        "c": ("acme", 1, LINE_USD),
    }
    assert {state for *_, state in world.entries()} == {"priced", "unpriced"}
    assert world.verify().is_clean


def test_d3_lines_that_failed_are_not_billed(world: W) -> None:
    failed = world.result(
        "a", usage=(), is_billable=False, error_type="batch_expired", http_status=None
    )
    world.write(world.submission(), world.ended(), failed)
    assert world.rows("SELECT price_state, status, error_type, cost_usd::VARCHAR FROM entries") == [
        ("not_billed", "error", "batch_expired", "0.000000000000")
    ]


def test_each_line_goes_to_the_owner_that_it_names(world: W) -> None:
    lines = {"a": tenant("globex", "provider_native"), "c": Identity(user_id="u1")}
    world.write(
        *world.upload(lines), world.submission(), world.ended(),
        world.result("a"), world.result("b"), world.result("c"),
    )  # fmt: skip
    assert {one: owner for one, (owner, *_) in world.owned().items()} == {
        "a": "globex", "b": "acme", "c": "acme",
    }  # fmt: skip
    assert world.rows("SELECT user_id FROM entries WHERE custom_id = 'c'") == [("u1",)]


def test_a_line_cannot_overrule_the_virtual_key(world: W) -> None:
    lines = {"a": tenant("globex", "provider_native")}
    submission = world.submission(identity=tenant("acme", "virtual_key"))
    world.write(*world.upload(lines), submission, world.ended(), world.result("a"))
    assert world.owned()["a"][0] == "acme"
    ((detail,),) = world.rows("SELECT identity_detail FROM entries")
    assert '"refused":"globex"' in detail


def test_the_submission_is_told_its_batch(world: W) -> None:
    opened = world.opened(operation="batch", metering=Metering.FREE, path="/v1/batches")
    closed = CallClosed(opened.call_id, world.tick(), Status.OK, http_status=200)
    world.write(opened, world.submission(call_id=opened.call_id), closed)
    assert world.rows("SELECT operation, provider_batch_id, price_state FROM entries") == [
        ("batch", "batch_1", "free")
    ]


def test_results_count_for_the_time_when_they_were_there(world: W) -> None:
    ended = world.ended()
    world.write(world.submission(), ended, world.result("a"))
    assert world.rows("SELECT epoch_us(called_at) FROM entries") == [
        ((ended.ended_at_ns or 0) // 1000,)
    ]


def _all_frames(world: W) -> list[Any]:
    lines = {"a": tenant("globex", "provider_native"), "b": tenant("initech", "custom_id")}
    return [
        *world.upload(lines), world.submission(), world.ended(), world.result("a"),
        world.result("b"), world.result("c"), world.read(3), world.result("a"),
    ]  # fmt: skip


@settings(max_examples=12)
@given(order=st.permutations(range(9)), steps=st.integers(1, 4))
def test_any_order_of_frames_ends_in_the_same_sums(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], steps: int
) -> None:
    world = BatchWorld(tmp_path_factory.mktemp("order"))
    try:
        frames = _all_frames(world)
        shuffled = [frames[at] for at in order]
        size = -(-len(shuffled) // steps)
        for at in range(0, len(shuffled), size):
            world.write(*shuffled[at : at + size])
        assert world.owned() == {
            "a": ("globex", 1, LINE_USD),
            "b": ("initech", 1, LINE_USD),
            "c": ("acme", 1, LINE_USD),
        }
        assert world.rows("SELECT booked, is_read FROM batch_sources") == [(3, True)]
        assert world.rows(
            "SELECT DISTINCT provider_batch_id FROM entries GROUP BY ALL HAVING sum(calls) <> 0"
        ) == [("batch_1",)]
        assert world.verify().is_clean
    finally:
        world.close()


def test_a_correction_names_its_reason(world: W) -> None:
    world.write(world.result("a"))
    assert world.owned() == {"a": ("unknown", 1, LINE_USD)}
    world.write(world.ended(), world.submission())
    assert [kind for kind, *_ in world.entries()] == ["charge", "reversal", "charge"]
    assert world.owned() == {"a": ("acme", 1, LINE_USD)}
    reasons = {one for (one,) in world.rows("SELECT reason FROM entries")}
    assert reasons == {None, "the owner of the batch's line became known"}
    assert world.verify().is_clean


def test_what_was_read_before_a_crash_is_not_booked_again(world: W) -> None:
    world.write(world.submission(), world.ended(), world.result("a"))
    world.reopen()
    world.write(world.result("a"), world.result("b"), world.read(2))
    assert world.owned() == {"a": ("acme", 1, LINE_USD), "b": ("acme", 1, LINE_USD)}


def test_a_failed_commit_loses_nothing(world: W, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no space")

    world.write(world.submission(), world.ended())
    writer = world.writer(1 << 20)
    writer.append(world.result("a"))
    writer.flush()
    with monkeypatch.context() as patched:
        patched.setattr("tollbook.ledger.state.save_writers", broken)
        with pytest.raises(OSError, match="no space"):
            world.ingester.step()
    assert world.rows("SELECT count(*) FROM batch_lines") == [(0,)]
    world.drain()
    assert world.owned() == {"a": ("acme", 1, LINE_USD)}


def test_many_lines_take_several_steps(world: W) -> None:
    world.ingester = world.new_ingester(batch_calls=10)
    lines = {f"c{at}": tenant(f"t{at % 3}", "custom_id") for at in range(35)}
    results = [world.result(one) for one in lines]
    world.write(*world.upload(lines), world.submission(), world.ended(), *results, world.read(35))
    assert {one: owner for one, (owner, *_) in world.owned().items()} == {
        one: str(identity.tenant_id) for one, identity in lines.items()
    }
    assert world.verify().is_clean


def test_d6_results_that_never_come_are_booked_at_unknown_cost(world: W) -> None:
    world.settling(72 * HOUR_NS)
    world.write(world.submission())
    assert world.entries() == []
    world.now_ns += 73 * HOUR_NS
    world.drain()
    world.drain()
    assert world.rows(
        "SELECT kind, calls, tenant_id, price_state, cost_usd, error_type, provider_batch_id"
        " FROM entries"
    ) == [("charge", 1, "acme", "unpriced", None, "batch_results_missing", "batch_1")]
    assert world.verify().is_clean


def test_d6_late_results_take_the_place_of_the_unknown(world: W) -> None:
    world.settling(72 * HOUR_NS)
    world.write(world.submission())
    world.now_ns += 73 * HOUR_NS
    world.drain()
    world.write(world.ended(), world.result("a"), world.result("b"), world.read(2))
    assert world.owned() == {"a": ("acme", 1, LINE_USD), "b": ("acme", 1, LINE_USD)}
    assert [kind for kind, *_ in world.entries()] == ["charge", "reversal", "charge", "charge"]
    world.write(world.result("a"))
    assert world.verify().is_clean
    assert world.owned()["a"] == ("acme", 1, LINE_USD)


def test_d6_a_batch_that_failed_after_all_costs_nothing(world: W) -> None:
    world.settling(72 * HOUR_NS)
    world.write(world.submission())
    world.now_ns += 73 * HOUR_NS
    world.drain()
    world.write(world.seen(status="failed", is_ended=True))
    assert world.rows(
        "SELECT price_state, error_type FROM entries ORDER BY entry_id DESC LIMIT 1"
    ) == [("not_billed", "batch_failed")]
    assert world.rows("SELECT sum(calls)::INT, sum(cost_usd)::VARCHAR FROM entries") == [
        (1, "0.000000000000")
    ]
    assert world.verify().is_clean


@pytest.mark.parametrize("is_failed", [True, False])
def test_a_batch_that_gave_all_is_not_settled(world: W, *, is_failed: bool) -> None:
    world.settling(72 * HOUR_NS)
    if is_failed:
        world.write(world.submission(), world.seen(status="failed", is_ended=True))
    else:
        world.write(world.submission(), world.ended(), world.result("a"), world.read(1))
    before = world.entries()
    world.now_ns += 73 * HOUR_NS
    world.drain()
    assert world.entries() == before
    assert world.rows("SELECT is_closed, settled_call_id FROM provider_batches") == [(True, None)]


def test_owners_are_forgotten_when_no_result_can_come(world: W) -> None:
    world.settling(72 * HOUR_NS)
    world.write(*world.upload({"a": tenant("globex")}))
    assert world.rows("SELECT count(*) FROM batch_owners") == [(1,)]
    world.now_ns += 91 * 24 * HOUR_NS
    world.drain()
    assert world.rows("SELECT count(*) FROM batch_owners") == [(0,)]


def test_owners_of_a_submission_with_its_lines_inside(world: W) -> None:
    call_id = ids.new_id(world.tick())
    owners = BatchOwners(call_id, world.tick(), (tenant("globex"),), (("a", 0),))
    submission = world.submission(
        "msgbatch_1", call_id=call_id, input_ids=(), collection="/v1/messages/batches"
    )
    world.write(
        owners, submission, world.ended("msgbatch_1", result_ids=("msgbatch_1",), input_ids=()),
        world.result("a", "msgbatch_1"), world.result("b", "msgbatch_1"),
    )  # fmt: skip
    assert {one: owner for one, (owner, *_) in world.owned().items()} == {
        "a": "globex", "b": "acme",
    }  # fmt: skip


def test_endpoints_say_what_the_lines_were(world: W) -> None:
    world.write(
        world.submission(endpoint="/v1/embeddings"), world.ended(),
        world.result("a", endpoint=None),
    )  # fmt: skip
    world.write(world.result("x", "file-2", endpoint=None))
    assert world.rows("SELECT operation, path FROM entries ORDER BY entry_id") == [
        ("embeddings", "/v1/embeddings"), ("other", ""),
    ]  # fmt: skip


def test_custom_ids_name_owners_also_of_batches_submitted_elsewhere(world: W) -> None:
    named = tenant("globex", "custom_id")
    world.write(world.result("globex:1", identity=named), world.result("x"))
    assert {one: owner for one, (owner, *_) in world.owned().items()} == {
        "globex:1": "globex", "x": "unknown",
    }  # fmt: skip
    world.write(world.submission(), world.ended())
    assert {one: owner for one, (owner, *_) in world.owned().items()} == {
        "globex:1": "globex", "x": "acme",
    }  # fmt: skip
    assert world.verify().is_clean


def test_how_long_a_line_took_nobody_knows(world: W) -> None:
    world.write(world.submission(), world.ended(), world.result("a"))
    assert world.rows("SELECT duration_ns FROM entries") == [(None,)]


def test_the_same_sight_again_writes_nothing(world: W) -> None:
    first = world.seen(status="in_progress", lines=3)
    world.write(first, world.seen(status="in_progress", lines=3))
    assert world.rows("SELECT epoch_us(seen_at) FROM provider_batches") == [(first.at_ns // 1000,)]
    world.write(world.seen(status="in_progress", lines=4))
    assert world.rows("SELECT lines FROM provider_batches") == [(4,)]


def test_a_reading_that_lost_lines_on_the_way_is_none(world: W) -> None:
    world.write(world.submission(), world.ended(), world.result("a"), world.read(2))
    assert world.rows("SELECT is_read FROM batch_sources") == [(False,)]
    world.write(world.result("a"), world.result("b"), world.read(2))
    assert world.rows("SELECT booked, is_read FROM batch_sources") == [(2, True)]
