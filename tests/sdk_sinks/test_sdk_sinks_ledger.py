"""What the sinks deliver is booked once, with its owner or the place that had none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.ledger.conftest import World
from tests.sdk_sinks.sinks_kit import a_call

from tollbook.call import Identity
from tollbook.sdk.sinks import SpoolSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_spool_of_an_application_is_booked(world: World) -> None:
    sink = SpoolSink(world.root)
    nobody = a_call(
        identity=Identity(), call_site="app/search.py:41 answer", provider_response_id="chatcmpl-2"
    )
    for opened, closed in (a_call(), nobody):
        sink.opened(opened)
        sink.closed(opened, closed)
    begun, _ = a_call()
    sink.opened(begun)

    assert world.drain() == 2
    sink.close()
    world.drain()  # the writer is gone: what it left open was interrupted

    rows = world.rows("SELECT tenant_id, call_site, observer, status, usage_source FROM entries")
    assert sorted(rows, key=str) == [
        ("acme", None, "sdk", "interrupted", "estimated"),
        ("acme", None, "sdk", "ok", "reported"),
        (None, "app/search.py:41 answer", "sdk", "ok", "reported"),
    ]


def test_a_call_that_two_sinks_tell_of_is_booked_once(world: World) -> None:
    opened, closed = a_call()
    for _ in range(2):
        sink = SpoolSink(world.root)
        sink.opened(opened)
        sink.closed(opened, closed)
        sink.close()

    world.drain()

    assert world.rows("SELECT count(*) FROM entries") == [(1,)]
