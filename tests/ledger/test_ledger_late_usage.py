"""C5: an answer in the background is charged once, when its usage comes, however often it shows."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.late_kit import ESTIMATE_USD, USAGE, USD, LateWorld

from tollbook.call import Status
from tollbook.ids import to_text
from tollbook.ledger.late_table import LATE_USAGE
from tollbook.ledger.rerate import preview, rerate

if TYPE_CHECKING:
    from collections.abc import Iterator

ESTIMATE = ("charge", "acme", "estimated", ESTIMATE_USD)
BACK = ("reversal", "acme", "estimated", f"-{ESTIMATE_USD}")
CHARGE = ("charge", "acme", "reported", USD)
DAY_NS = 86_400 * 1_000_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LateWorld]:
    made = LateWorld(tmp_path)
    yield made
    made.close()


def waiting(world: LateWorld) -> int:
    ((count,),) = world.rows("SELECT count(*) FROM late_usage")
    return int(count)


def test_C5_the_first_sight_of_the_usage_takes_the_estimate_s_place(world: LateWorld) -> None:
    opened, closed = world.post()
    world.write(opened, closed)
    assert world.entries() == [ESTIMATE]
    first, *_ = shown = world.shown()
    world.write(*shown)
    world.write(*world.shown())
    world.write(*world.shown(), *world.shown())
    assert world.entries() == [ESTIMATE, BACK, CHARGE]
    rows = world.rows(
        "SELECT call_id, called_at, tenant_id, replaces, reason, model_actual, usage_raw,"
        " usage_complete FROM entries WHERE operation = 'responses' ORDER BY entry_id"
    )
    assert len({row[:3] for row in rows}) == 1
    reason = LATE_USAGE + to_text(first.call_id)
    assert [row[3:] for row in rows[1:]] == [
        (1, reason, "m-1-2026", None, False),
        (1, reason, "m-1-2026", f"[{USAGE.decode()}]", True),
    ]
    assert world.entries("retrieval") == [("charge", "someone-else", "none", "0")] * 4
    assert world.verify().findings == ()
    assert waiting(world) == 0


def test_C5_usage_that_is_read_before_its_call_waits_for_it(world: LateWorld) -> None:
    post = world.post()
    world.write(*world.shown(), *world.shown("resp_of_nobody"))
    assert waiting(world) == 2
    world.reopen()
    world.write(*world.shown())
    world.write(*post)
    assert world.entries() == [ESTIMATE, BACK, CHARGE]
    assert waiting(world) == 1
    assert world.verify().findings == ()


def test_C5_call_and_usage_in_one_step(world: LateWorld) -> None:
    post = world.post()
    world.write(*world.shown(), *post, *world.shown())
    assert world.entries() == [ESTIMATE, BACK, CHARGE]


def test_C5_an_answer_that_was_booked_with_its_usage_stays_as_it_is(world: LateWorld) -> None:
    post = world.post(usage=(USAGE,), usage_complete=True)
    world.write(*world.shown())
    world.write(*post)
    other = (b'{"input_tokens":9,"output_tokens":9}',)
    world.write(*world.shown(usage=other))
    assert world.entries() == [CHARGE]
    assert waiting(world) == 0


def test_C5_other_providers_errors_and_other_ids_are_not_touched(world: LateWorld) -> None:
    error = world.post("resp_2", status=Status.ERROR, is_billable=False)
    world.write(*world.post(), *error)
    before = world.entries()
    world.write(*world.shown("resp_3"), *world.shown("resp_2"))
    world.write(*world.shown(provider="elsewhere"))
    assert world.entries() == before


def test_C5_a_stream_that_broke_off_gets_its_usage_too(world: LateWorld) -> None:
    world.write(*world.post(output_chars=400, output_events=9))
    world.write(*world.shown(service_tier="default"))
    (*_, last) = world.rows(
        "SELECT cost_usd, service_tier FROM entries WHERE operation = 'responses' ORDER BY entry_id"
    )
    assert last == (Decimal(USD), "default")
    assert world.verify().findings == ()


def test_C5_of_two_calls_with_one_id_only_one_is_charged(world: LateWorld) -> None:
    world.write(*world.post(), *world.post())
    world.write(*world.shown(), *world.shown())
    assert sorted(world.entries()) == sorted([ESTIMATE, ESTIMATE, BACK, CHARGE])
    world.write(*world.shown())
    assert len(world.entries()) == 4


def test_C5_rerating_keeps_the_usage_that_came_late(world: LateWorld) -> None:
    world.write(*world.post())
    world.write(*world.shown())
    connection = world.store.reader()
    assert preview(connection, world.price_book).rows == ()
    connection.close()
    dearer = world.prices("4", "16")
    assert rerate(world.store, world.shelf, dearer).calls == 1
    assert world.rows("SELECT sum(cost_usd), sum(calls) FROM entries WHERE metering = 'metered'") \
        == [(Decimal("0.0056"), 1)]  # fmt: skip
    world.write(*world.shown())
    assert len(world.entries()) == 5
    assert world.verify().findings == ()


def test_C5_tools_of_a_late_answer_are_parts_of_their_call(world: LateWorld) -> None:
    world.write(*world.post())
    tools = b'{"image_gen":{"input_tokens":10,"output_tokens":20,"total_tokens":30}}'
    world.write(*world.shown(usage=(USAGE, tools)))
    world.write(*world.shown(usage=(USAGE, tools)))
    parts = world.rows(
        "SELECT part, kind, calls FROM entries WHERE operation = 'responses' ORDER BY entry_id"
    )
    assert parts[:3] == [(0, "charge", 1), (0, "reversal", -1), (0, "charge", 1)]
    assert parts[3:] == [(1, "charge", 0)]
    assert world.verify().findings == ()


def test_C5_what_never_finds_its_call_is_given_up(world: LateWorld) -> None:
    world.write(*world.shown("resp_of_nobody"))
    assert waiting(world) == 1
    world.now_ns += 6 * DAY_NS
    world.write(*world.post())
    assert waiting(world) == 1
    world.now_ns += 2 * DAY_NS
    world.write(*world.post("resp_2"))
    assert waiting(world) == 0


def test_C5_a_call_of_some_weeks_ago_is_found(world: LateWorld) -> None:
    world.write(*world.post())
    world.now_ns += 20 * DAY_NS
    world.write(*world.shown())
    assert world.entries() == [ESTIMATE, BACK, CHARGE]


_ACTS = st.lists(
    st.tuples(st.sampled_from(["post", "shown", "shown", "restart"]), st.integers(0, 2)),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(acts=_ACTS, together=st.booleans())
def test_C5_any_order_of_calls_sights_and_restarts(
    acts: list[tuple[str, int]], *, together: bool
) -> None:
    """Frames of each answer in any order, in one step or many: charged once, with its usage."""
    with tempfile.TemporaryDirectory() as root:
        world = LateWorld(Path(root))
        posts: set[int] = set()
        sights: set[int] = set()
        held: list[Any] = []
        for act, at in acts:
            response_id = f"resp_{at}"
            if act == "restart":
                world.reopen()
                continue
            if act == "post":
                if at in posts:
                    continue
                posts.add(at)
                frames: list[Any] = list(world.post(response_id))
            else:
                sights.add(at)
                frames = list(world.shown(response_id))
            if together:
                held += frames
            else:
                world.write(*frames)
        world.write(*held)
        expected = {
            f"resp_{at}": (1, Decimal(USD if at in sights else ESTIMATE_USD)) for at in posts
        }
        booked = world.rows(
            "SELECT provider_response_id, sum(calls)::INT, sum(cost_usd), count(*) FROM entries"
            " WHERE operation = 'responses' GROUP BY 1"
        )
        assert {one: (calls, usd) for one, calls, usd, _ in booked} == expected
        assert all(count == (3 if int(one[-1]) in sights else 1) for one, _, _, count in booked)
        assert waiting(world) == len(sights - posts)
        assert world.verify().findings == ()
        world.close()


def test_C5_a_step_that_fails_is_done_again_whole(
    world: LateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(*world.post())
    real, times = world.store.append, iter([False, True])

    def append(*given: Any) -> Any:
        if next(times, False):  # the calls go in, the correction does not
            raise OSError("the disk is full")
        return real(*given)

    monkeypatch.setattr(world.store, "append", append)
    with pytest.raises(OSError, match="full"):
        world.write(*world.shown())
    assert world.entries() == [ESTIMATE]
    assert world.entries("retrieval") == []
    world.drain()
    assert world.entries() == [ESTIMATE, BACK, CHARGE]
    assert len(world.entries("retrieval")) == 1
    assert world.verify().findings == ()
