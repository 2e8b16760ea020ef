"""One call seen by several observers is one charge, whoever came first."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tollbook.call import Observer, Status

W = Any
SDK, OTLP, IMPORT = Observer.SDK, Observer.OTLP, Observer.IMPORT
R1 = "chatcmpl-0123456789abcdef0123"
R2 = "chatcmpl-fedcba98765432100000"
ORDERS = list(permutations(range(4)))


def sights(world: W) -> list[Any]:
    return [
        world.seen(None, "g", response_id=R1, at_ns=world.now_ns + 5),
        world.seen(SDK, "s", response_id=R1, tenant="acme", call_site="app.py:3 ask"),
        world.seen(OTLP, "o", response_id=R1, tokens=(900, 90), trace="t", span="o"),
        world.seen(IMPORT, "i", response_id=R1, tokens=None, tenant="other"),
    ]


@pytest.mark.parametrize("order", [ORDERS[at] for at in (0, 5, 8, 13, 17, 23)])
@pytest.mark.parametrize("is_one_step", [True, False])
def test_four_observers_one_charge(world: W, order: tuple[int, ...], *, is_one_step: bool) -> None:
    told = sights(world)
    ordered = [told[at] for at in order]
    for part in [ordered] if is_one_step else ordered:
        world.write(*part)
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    ((call_id, observer, observed_by, span, source),) = world.in_force(
        "call_id", "observer", "observed_by", "span_id", "identity_source"
    )
    assert (call_id.bytes, observer, source) == (told[0][0].call_id, None, "sdk")
    assert observed_by == '["gateway","sdk","otlp","import"]'
    assert span == told[2][0].span_id
    assert sorted(world.states().values()) == ["stitched"] * 3
    kinds = {kind for (kind,) in world.rows("SELECT kind FROM stitch_notes")}
    assert kinds == {"conflict"}
    world.clean()


def test_again_and_again(world: W) -> None:
    told = sights(world)
    for _ in range(3):
        world.write(*told[1:])
    world.write(*told[2:], told[0])
    entries = world.rows("SELECT count(*) FROM entries")
    for _ in range(2):
        world.write(*told[1:])
    assert world.rows("SELECT count(*) FROM entries") == entries
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    world.clean()


@pytest.mark.parametrize("observer", [OTLP, IMPORT])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_telling_with_usage_takes_the_place_of_one_without(
    world: W, observer: Observer, *, at_once: bool
) -> None:
    """A span or row that was written while the call went on, and once more when it had ended."""
    early = world.seen(observer, "one", trace="t", span="one", tenant="acme", tokens=None)
    late = world.seen(observer, "one", trace="t", span="one", tenant="acme")
    for told in ((early, late),) if at_once else ((early,), (late,)):
        world.write(*told)
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    entries = world.rows("SELECT count(*) FROM entries")
    world.write(early, late, early)
    assert world.rows("SELECT count(*) FROM entries") == entries
    world.clean()


def test_the_gateway_booked_in_full_is_left_alone(world: W) -> None:
    world.write(world.seen(None, response_id=R1, tenant="acme"))
    world.write(world.seen(OTLP, response_id=R1, tenant="acme"))
    world.write(world.seen(OTLP, response_id=R2, tenant="acme"))
    assert world.sums() == [("acme", 2, 2000, 200, "0.0056")]
    world.clean()


def test_usage_of_who_measured_it(world: W) -> None:
    """The gateway died on the way: what the SDK saw of the answer is the usage."""
    opened, _ = world.seen(None, "g", trace="t", parent="s", tenant="acme")
    writer = world.writer(1 << 20)
    writer.append(opened)
    assert writer.flush()
    writer.close()
    world.drain()
    assert world.in_force("status", "usage_source") == [("interrupted", "estimated")]
    world.write(world.seen(SDK, "s", trace="t", span="s"))
    assert world.in_force("status", "usage_source", "observer") == [("ok", "reported", None)]
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    world.clean()


def test_an_answer_from_the_cache_costs_nothing_whoever_saw_it(world: W) -> None:
    first = world.seen(None, "g1", response_id=R1, tenant="acme")
    world.now_ns += 10_000_000_000
    again = world.seen(
        None, "g2", response_id=R1, tenant="acme", is_billable=False, cached_from=first[0].call_id
    )
    told = [world.seen(SDK, f"s{at}", response_id=R1, at_ns=one[0].started_at_ns)
            for at, one in enumerate((first, again))]  # fmt: skip
    world.write(told, first, again)
    assert world.sums() == [("acme", 2, 1000, 100, "0.0028")]
    assert [one for (one,) in world.in_force("observed_by")] == ['["gateway","sdk"]'] * 2
    world.clean()


def test_retries_stay_apart(world: W) -> None:
    """An SDK's two attempts and the gateway's are two calls, one of them failed."""
    failed = {"status": Status.ERROR, "http_status": 429, "is_billable": False, "tokens": None}
    world.write(
        world.seen(SDK, "s1", trace="t", span="s1", parent="o", **failed),
        world.seen(SDK, "s2", trace="t", span="s2", parent="o", response_id=R1, attempt=2),
        world.seen(None, "g1", trace="t", parent="s1", **failed),
        world.seen(None, "g2", trace="t", parent="s2", response_id=R1, tenant="acme", attempt=2),
        world.seen(OTLP, "o", trace="t", span="o", response_id=R1),
    )
    assert world.sums() == [("acme", 2, 1000, 100, "0.0028")]
    names = world.in_force("http_status", "observed_by")
    assert sorted(names) == [(200, '["gateway","sdk","otlp"]'), (429, '["gateway","sdk"]')]
    world.clean()


@pytest.mark.parametrize("response_id", [None, "", "chatcmpl-123"])
def test_ids_that_say_nothing(world: W, response_id: str | None) -> None:
    """Without an id of its own, or with one that mocks reuse far apart, a call is a call."""
    for at in range(3):
        world.now_ns += 3_600_000_000_000
        world.write(
            world.seen(OTLP, f"a{at}", response_id=response_id, tenant="a"),
            world.seen(OTLP, f"b{at}", response_id=response_id, tenant="a", model_actual="m-2",
                       model_requested="m-2"),
        )  # fmt: skip
    assert [row[:2] for row in world.sums()] == [("a", 6)]
    world.clean()


def test_a_reused_id_counts_where_model_and_time_agree(world: W) -> None:
    for at in range(3):
        told = [
            world.seen(SDK, f"s{at}", response_id="chatcmpl-123", tenant="a"),
            world.seen(None, f"g{at}", response_id="chatcmpl-123"),
        ]
        world.now_ns += 1_000_000_000
        world.write(*(told if at % 2 else told[::-1]))
    assert [row[:2] for row in world.sums()] == [("a", 3)]
    world.clean()


def test_two_instrumentations_side_by_side(world: W) -> None:
    world.write(world.seen(OTLP, "o1", response_id=R1, trace="t", span="o1", parent="r"))
    world.write(
        world.seen(OTLP, "o2", response_id=R1, trace="t", span="o2", parent="r", tenant="a")
    )
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    world.clean()


def test_request_ids(world: W) -> None:
    request = "req_011CSHoEeqs5C35K2UUqR7Fy"
    world.write(world.seen(None, provider_request_id=request))
    world.write(world.seen(SDK, provider_request_id=request, tenant="a"))
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    world.clean()


def test_seen_to_its_end_after_all(world: W) -> None:
    """A receiver died between the frames; what the SDK sends again is the whole call."""
    opened, closed = world.seen(SDK, "s", tenant="a")
    writer = world.writer(1 << 20)
    writer.append(opened)
    assert writer.flush()
    writer.close()
    world.drain()
    assert world.in_force("usage_source") == [("estimated",)]
    world.write(opened, closed)
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    world.clean()


@pytest.mark.parametrize("is_sdk_first", [True, False])
@pytest.mark.parametrize("is_one_step", [True, False])
def test_an_sdk_and_the_span_that_it_has_sent(
    world: W, *, is_sdk_first: bool, is_one_step: bool
) -> None:
    """Both bear one call id: what the SDK says itself is kept."""
    told = [
        world.seen(SDK, "s", tenant="a", trace="t", span="s", parent="r"),
        world.seen(OTLP, "s", tenant="a", trace="t", span="s", parent="r", tokens=(1, 1)),
    ]
    ordered = told if is_sdk_first else told[::-1]
    for part in [ordered] if is_one_step else ordered:
        world.write(*part)
    world.write(*told)
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    assert world.in_force("observer") == [("sdk",)]
    world.clean()


def test_nobody_else_has_the_id_of_a_gateway_call(world: W) -> None:
    gateway = world.seen(None, "g", tenant="a")
    world.write(gateway)
    world.write(world.seen(SDK, "g", tenant="b", at_ns=gateway[0].started_at_ns))
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    world.clean()


@pytest.mark.parametrize("is_reported", [True, False])
def test_what_a_span_said_without_tokens_is_no_usage(world: W, *, is_reported: bool) -> None:
    """Attributes of spans are kept either way; only those with tokens count as reported."""
    text = b'{"attributes":{"gen_ai.usage.input_tokens":9,"gen_ai.usage.output_tokens":1}}'
    world.write(
        world.seen(OTLP, response_id=R1, dialect="otel", usage_complete=is_reported,
                   usage=(text if is_reported else b'{"notes":["x"]}',)),
        world.seen(IMPORT, response_id=R1, tenant="a"),
    )  # fmt: skip
    assert [row[:4] for row in world.sums()] == [
        ("a", 1, 9, 1) if is_reported else ("a", 1, 1000, 100)
    ]
    world.clean()


def test_tellings_that_are_mixed_are_no_incidents(world: W) -> None:
    (o1, c1), (o2, c2) = (world.seen(SDK, name, tenant="a") for name in ("s1", "s2"))
    world.write(o1, o2, o1, c1, c1, c2, o2, c2, c2, o1, c1)
    world.write(o1, c1, o2, c2)
    assert world.rows("SELECT * FROM incidents") == []
    assert [row[:2] for row in world.sums()] == [("a", 2)]
    world.clean()
