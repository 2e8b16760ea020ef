"""What is kept for how long, and many calls at once."""

from __future__ import annotations

from typing import Any

from tests.stitch.stitch_kit import HOUR, owner, response

from tollbook.call import LateUsage, Observer
from tollbook.prices.book import PriceBook

W = Any
SDK, OTLP, IMPORT = Observer.SDK, Observer.OTLP, Observer.IMPORT
R1 = "chatcmpl-0123456789abcdef0123"
DAYS = 24 * HOUR
MANY = 20_000


def test_details_go_and_ids_stay(world: W) -> None:
    sdk = world.seen(SDK, "s", response_id=R1, call_site="app.py:3 ask")
    otlp = world.seen(OTLP, "o", response_id=R1, tenant="acme", trace="t", span="o", parent="r")
    world.write(sdk, otlp, world.span("t", "r", None, owner("acme")))
    before = world.in_force("*")
    world.now_ns += 36 * DAYS
    world.write(world.seen(OTLP, "other", tenant="a"))
    assert world.rows("SELECT count(*) FROM spans") == [(0,)]
    assert world.rows("SELECT count(opened), count(*) FROM observations") == [(1, 3)]
    world.reopen()
    world.write(sdk, otlp)
    assert world.in_force("*")[0] == before[0]
    # One that comes after all that is the same call still, and takes nothing from it.
    world.write(world.seen(IMPORT, "i", response_id=R1, at_ns=sdk[0].started_at_ns))
    assert world.rows("SELECT state FROM observations WHERE observer = 'import'") == [("stitched",)]
    assert world.sums() == [("a", 1, 1000, 100, "0.0028"), ("acme", 1, 1000, 100, "0.0028")]
    assert world.in_force("tenant_id", "call_site")[0] == ("acme", "app.py:3 ask")
    world.clean()


def test_a_gateway_call_keeps_what_it_was_given(world: W) -> None:
    gateway = world.seen(None, "g", response_id=R1)
    world.write(gateway, world.seen(SDK, "s", response_id=R1, tenant="acme"))
    world.now_ns += 36 * DAYS
    world.write(world.seen(OTLP, "other", tenant="a"))
    world.write(world.seen(IMPORT, "i", response_id=R1, at_ns=gateway[0].started_at_ns))
    assert [row[:2] for row in world.sums()] == [("a", 1), ("acme", 1)]
    world.clean()


def test_usage_that_was_shown_later_stays(world: W) -> None:
    """A background answer that an SDK saw begin: another call showed its usage."""
    begun = world.seen(SDK, "s", response_id=R1, tokens=None, asked={"background": 1},
                       operation="responses", path="/v1/responses")  # fmt: skip
    world.write(begun)
    shown = world.seen(None, "get", operation="retrieval", metering="free", tokens=None)
    usage = b'{"input_tokens":1000,"output_tokens":100}'
    world.write(LateUsage(shown[0].call_id, world.tick(), "openai", R1, (usage,), "m-1"))
    assert world.in_force("usage_source", "cost_usd")[0][0] == "reported"
    world.write(world.seen(OTLP, "o", response_id=R1, tokens=None, tenant="acme"))
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    world.clean()


def test_prices_that_change_between(world: W) -> None:
    """A call is priced as of its start, whenever its owner becomes known; re-rating stays."""
    world.write(world.seen(None, "g", response_id=R1))
    from tollbook.ledger.rerate import rerate  # noqa: PLC0415 -- only here

    world.price_book = world.prices("4", "16")
    assert isinstance(world.price_book, PriceBook)
    world.ingester = world.new_ingester()
    rerate(world.store, world.shelf, world.price_book)
    world.write(world.seen(SDK, "s", response_id=R1, tenant="acme"))
    assert world.sums() == [("acme", 1, 1000, 100, "0.0056")]
    world.clean()


def test_twenty_thousand_at_once(world: W) -> None:
    """Rows are written in bulk: the number of statements does not grow with that of calls."""
    world.ingester = world.new_ingester(MANY)
    calls, spans = [], []
    for at in range(MANY):
        trace = f"t{at // 10}"
        calls.append(
            world.seen(OTLP, f"o{at}", response_id=response(f"{at}"), trace=trace, span=f"o{at}",
                       parent=f"r{at // 10}")
        )  # fmt: skip
        if at % 10 == 0:
            spans.append(world.span(trace, f"r{at // 10}", None, owner(f"tenant-{at // 10 % 3}")))
    statements = Counter(world.store)
    world.write(calls[: MANY // 2], spans)
    first = statements.taken()
    world.write(calls[MANY // 2 :])
    assert statements.taken() <= first + 10
    assert first < 300
    assert sum(row[1] for row in world.sums()) == MANY
    assert {row[0] for row in world.sums()} == {"tenant-0", "tenant-1", "tenant-2"}


class Counter:
    """Counts the statements that a store's transactions run."""

    def __init__(self, store: Any) -> None:
        self._count = 0
        inner = store._connection
        counter = self

        class Counting:
            def execute(self, *args: Any) -> Any:
                counter._count += 1
                return inner.execute(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

        store._connection = Counting()

    def taken(self) -> int:
        taken, self._count = self._count, 0
        return taken
