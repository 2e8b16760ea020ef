"""Deliveries to billing systems: exact sums, once, through every fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import stripe
from msgspec.structs import replace
from tests.billing_systems.conftest import KEYS, Shop, at_ns, shop_of
from tests.billing_systems.fakes import KEY, Answer, FakeStripe, Fault

from tollbook import clock
from tollbook.chargeback.billing import planning, sender
from tollbook.chargeback.billing.log import Event, State, known, note
from tollbook.chargeback.billing.push import NotRetriedError
from tollbook.chargeback.billing.system import (
    BillingSystemError,
    System,
    read_system,
    system_of,
)
from tollbook.chargeback.billing.wire import WIRES
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments

if TYPE_CHECKING:
    from pathlib import Path

_BUSY = Answer(429, {"error": {"message": "slow down"}}, {"retry-after": "7"})
_BROKEN = Answer(503, {"error": {"message": "down"}})


def test_the_server_has_what_the_ledger_has(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    shop.call(None, 1, 500, 10**12)
    done = shop.push()
    assert done.problem is None
    assert shop.fake.sums() == shop.ledger()
    assert done.planned.unattributed["tokens"] == 500
    assert set(shop.states()) == {"confirmed"}
    requests = len(shop.fake.requests)
    again = shop.push()
    assert not again.planned.new
    assert len(shop.fake.requests) == requests


def test_late_calls_are_sent_as_increments_with_ids_of_their_own(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    shop.push()
    shop.call("t1", 2, 77, 123)
    shop.call("new", 0, 5, 0)
    done = shop.push()
    assert {(one.meter, one.tenant_id, one.quantity, one.sequence)
            for one, _, _ in done.planned.new} == {
        ("tokens", "t1", 77, 2), ("spend", "t1", 123, 2), ("tokens", "new", 5, 1),
    }  # fmt: skip
    assert shop.fake.sums() == shop.ledger()


def test_every_fault_ends_in_exact_sums(shop: Shop) -> None:
    shop.set_up(concurrency=1)
    shop.fill()
    shop.fake.faults = {
        1: Fault(_BUSY), 2: Fault(_BROKEN), 3: Fault(None), 4: Fault(None, is_taken=True),
        5: Fault(_BROKEN, is_taken=True),
    }  # fmt: skip
    done = shop.push()
    assert done.problem is None
    assert shop.fake.sums() == shop.ledger()
    assert shop.fake.copies > 0, "something was sent twice and taken once"
    assert shop.waits[0] == 7
    assert set(shop.states()) == {"confirmed"}


def test_a_system_that_is_down_is_left_alone_and_gone_on_with(shop: Shop) -> None:
    shop.set_up(concurrency=1)
    shop.fill()
    shop.fake.faults = dict.fromkeys(range(1, 100), Fault(_BROKEN))
    done = shop.push()
    assert done.problem is not None
    assert "503" in done.problem
    assert len(shop.fake.requests) == sender.TRIES_MAX
    shop.fake.faults = {}
    assert shop.push().problem is None
    assert shop.fake.sums() == shop.ledger()


def test_a_long_wait_is_not_waited_for(shop: Shop) -> None:
    shop.set_up(concurrency=1)
    shop.fill()
    shop.fake.faults = {1: Fault(_BUSY._replace(headers={"retry-after": "86400"}))}
    assert shop.push().problem is not None
    assert shop.waits == []
    assert shop.push().problem is None
    assert shop.fake.sums() == shop.ledger()


def test_a_wrong_key_ends_the_push_and_is_nowhere(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    shop.environ["BILLING_KEY"] = wrong = "sk_wrong_999"
    done = shop.push()
    assert done.problem is not None
    assert "BILLING_KEY" in done.problem
    shop.environ["BILLING_KEY"] = KEY
    text = json.dumps(shop.ask("billing.log", system="shop"))
    assert wrong not in text
    assert shop.push().problem is None
    assert shop.fake.sums() == shop.ledger()
    del shop.environ["BILLING_KEY"]
    with pytest.raises(BillingSystemError, match="BILLING_KEY is not set"):
        shop.push()


def test_a_refused_event_does_not_hold_up_the_others(shop: Shop) -> None:
    body = {
        "meters": [{"name": "tokens", "measure": "input_tokens"},
                   {"name": "unheard", "measure": "calls"}],
    }  # fmt: skip
    customers = {"stripe": {}, "lago": {}, "openmeter": {"t1": "bad"}}[shop.kind]
    shop.set_up(customers=customers, **body)
    shop.fill()
    shop.push()
    refused = shop.ask("billing.log", system="shop", state="refused")["rows"]
    assert refused
    if shop.kind == "openmeter":
        assert {row["tenant"] for row in refused} == {"t1"}
    else:
        assert {row["meter"] for row in refused} == {"unheard"}
    expected = {
        at: value for at, value in shop.ledger().items()
        if at[0] == "tokens" and not (shop.kind == "openmeter" and at[1] == "t1")
    }  # fmt: skip
    sums = {at: value for at, value in shop.fake.sums().items() if at[0] == "tokens"}
    assert sums == expected
    states = shop.ask("billing.push", system="shop")
    assert states["needs_attention"] == len(refused)
    count = shop.ask("billing.retry", system="shop", state="refused", how="settled",
                     reason="billed by hand")["rows"][0]["deliveries"]  # fmt: skip
    assert count == len(refused)
    assert shop.ask("billing.push", system="shop")["needs_attention"] == 0


def test_tenants_nobody_mapped_are_held_until_somebody_does(shop: Shop) -> None:
    shop.set_up(unmapped="hold", customers={"t0": "cus_0"})
    shop.fill()
    done = shop.push()
    assert {one.tenant_id for one, state, _ in done.planned.new if state is State.HELD} \
        == {"t1", "t2"}  # fmt: skip
    assert {customer for _, customer in shop.fake.sums()} == {"cus_0"}
    assert not shop.push().planned.new, "held once, not again with each push"
    shop.set_up(unmapped="hold", customers={"t0": "cus_0", "t1": "cus_1", "t2": "cus_2"})
    shop.push()
    named = {(meter, f"cus_{tenant[1:]}"): value for (meter, tenant), value in
             shop.ledger().items()}  # fmt: skip
    assert shop.fake.sums() == named


def _lower(shop: Shop, tenant: str, hour: int, pico: int) -> None:
    at = shop.start + timedelta(hours=hour, minutes=9)
    book_adjustments(shop.world.store, f"credit:{tenant}:{hour}:{pico}", [
        Adjustment(
            adjustment=AdjustmentType.CREDIT, at_ns=int(at.timestamp()) * 10**9, cost=-pico,
            identity={"tenant_id": tenant}, reason="test",
        )
    ])  # fmt: skip


def test_a_correction_that_lowers_is_sent_where_sums_take_it(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    shop.push()
    _lower(shop, "t1", 2, 1_000)
    shop.push()
    assert shop.fake.sums() == shop.ledger()
    if isinstance(shop.fake, FakeStripe):
        assert len(shop.fake.cancelled) == 1, "the event was cancelled and the rest sent anew"


def test_stripe_cancels_again_after_a_crash_without_harm(stripe_shop: Shop) -> None:
    shop = stripe_shop
    shop.set_up(concurrency=1)
    shop.fill(tenants=1, hours=1)
    shop.push()
    _lower(shop, "t0", 0, 1_000)
    number = len(shop.fake.requests) + 1
    shop.fake.faults = {number: Fault(None, is_taken=True)}
    assert shop.push().problem is None
    assert shop.fake.sums() == shop.ledger()


def test_stripe_holds_what_lowers_older_usage(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stripe_shop
    shop.set_up()
    shop.fill()
    shop.push()
    monkeypatch.setattr(planning, "STRIPE_CANCEL_NS", 0)
    _lower(shop, "t1", 2, 1_000)
    shop.push()
    held = shop.ask("billing.log", system="shop", state="held")["rows"]
    assert [(row["meter"], row["quantity"]) for row in held] == [("spend", "-1000")]
    assert "credit note" in held[0]["detail"]
    # More usage of the hour takes up what was held.
    shop.call("t1", 2, 0, 5_000)
    shop.push()
    assert not shop.ask("billing.log", system="shop", state="held")["rows"]
    assert shop.fake.sums() == shop.ledger()


def test_stripe_takes_nothing_older_than_35_days(stripe_shop: Shop) -> None:
    shop = stripe_shop
    shop.start -= timedelta(days=36)
    shop.set_up()
    shop.call("old", 0, 5, 700)
    shop.push()
    held = shop.ask("billing.log", system="shop", state="held")["rows"]
    assert {row["tenant"] for row in held} == {"old"}
    assert "35 days" in held[0]["detail"]
    assert not shop.fake.requests
    shop.set_up(late="now")
    shop.push()
    assert shop.fake.sums() == shop.ledger()


def test_what_was_perhaps_sent_long_ago_is_not_sent_again(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stripe_shop
    shop.set_up(concurrency=1)
    shop.fill(tenants=1, hours=1)
    shop.fake.faults = dict.fromkeys(range(1, 50), Fault(None, is_taken=True))
    shop.push()
    shop.fake.faults = {}
    later = at_ns(-2)
    monkeypatch.setattr(clock, "unix_ns", lambda: later)
    taken = len(shop.fake.requests)
    shop.push()
    uncertain = shop.ask("billing.log", system="shop", state="uncertain")["rows"]
    assert len(uncertain) == 1, "the other was never tried: the push had ended"
    assert len(shop.fake.requests) == taken + 1
    key = uncertain[0]["delivery_key"]
    shop.ask("billing.retry", system="shop", keys=[key], how="there", reason="seen at Stripe")
    assert shop.fake.sums() == shop.ledger()
    assert set(shop.states()) == {"confirmed"}
    with pytest.raises(NotRetriedError, match="confirmed"):
        shop.ask("billing.retry", system="shop", keys=[key], reason="again")


def test_a_dry_run_writes_and_sends_nothing(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    shown = shop.ask("billing.push", system="shop", dry_run=True)
    assert shown["deliveries"] == len(shown["rows"]) == 24
    assert not shop.fake.requests
    assert not known(shop.world.books, "shop")


def test_status_shows_what_is_missing(shop: Shop) -> None:
    shop.set_up()
    shop.fill()
    before = {row["meter"]: row for row in shop.ask("billing.status", system="shop")["rows"]}
    assert before["tokens"]["difference"] == before["tokens"]["ledger"]
    shop.push()
    after = {row["meter"]: row for row in shop.ask("billing.status", system="shop")["rows"]}
    assert float(after["tokens"]["difference"]) == 0
    assert after["spend"]["confirmed"] == after["spend"]["ledger"]


def test_batches_are_no_larger_than_allowed(tmp_path: Path) -> None:
    for kind in ("lago", "openmeter"):
        (tmp_path / kind).mkdir()
        with shop_of(tmp_path / kind, kind) as shop:
            shop.set_up()
            shop.fill(tenants=40, hours=4)
            shop.push()
            assert shop.fake.sums() == shop.ledger()
            assert len(shop.fake.requests) == -(-320 // 100)


def test_what_the_official_client_sends_is_what_we_send(stripe_shop: Shop) -> None:
    shop = stripe_shop
    shop.set_up()
    shop.call("cus_A", 1, 42, 0)
    shop.push()
    path, headers, body = shop.fake.requests[0]
    (ours,) = [one for one in shop.fake.events.values() if one["meter"] == "tokens"]
    (key,) = [key for key, one in shop.fake.events.items() if one is ours]
    client = stripe.StripeClient(
        KEY, base_addresses={"api": shop.fake.url},
        http_client=stripe.RequestsClient(),
    )  # fmt: skip
    shop.fake.events.clear()
    made = client.v1.billing.meter_events.create({
        "event_name": "tokens", "identifier": key, "timestamp": ours["timestamp"],
        "payload": {"stripe_customer_id": "cus_A", "value": "42"},
    })  # fmt: skip
    assert made.identifier == key
    theirs = shop.fake.requests[-1]
    assert theirs[0] == path
    assert parse_qs(theirs[2].decode()) == parse_qs(body.decode())
    assert theirs[1]["content-type"] == headers["content-type"]
    assert theirs[1]["authorization"] == headers["authorization"]
    shop.fake.events[key]["value"] = 42
    client.v1.billing.meter_event_adjustments.create(
        {"type": "cancel", "event_name": "tokens", "cancel": {"identifier": key}}
    )
    official = shop.fake.requests[-1]
    delivery = known(shop.world.books, "shop")[0].delivery
    cancelling = replace(delivery, meter="tokens", quantity=-42, cancels=key)
    cancel = WIRES["stripe"].request(system_of(shop.world.books, "shop"), [cancelling])
    assert official[0] == cancel.path
    assert parse_qs(official[2].decode()) == parse_qs(cancel.body.decode())


_PUSH = (sys.executable, "-m", "tollbook", "billing", "push", "shop", "--format", "json")


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again(stripe_shop: Shop, tmp_path: Path) -> None:
    shop = stripe_shop
    shop.set_up(concurrency=2)
    shop.fill(tenants=20, hours=2)
    expected = shop.ledger()
    shop.world.close()
    seen = threading.Event()
    hold = threading.Event()

    def stop(number: int) -> None:
        # The request was carried out and its answer never comes.
        if number >= 30 and not hold.is_set():
            seen.set()
            hold.wait(30)

    shop.fake.on_request = stop
    command = [*_PUSH, "--data", str(tmp_path)]
    environ = os.environ | KEYS
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=tmp_path)  # fmt: skip
    assert seen.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    hold.set()
    assert shop.fake.sums() != expected
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False,
                          timeout=120, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert shop.fake.sums() == expected
    assert shop.fake.copies > 0
    answer = json.loads(done.stdout)
    assert [row["state"] for row in answer["rows"]] == ["confirmed"]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"start": "yesterday"}, "2026-10-01"), ({"base_url": "http://pay.example"}, "in clear"),
     ({"base_url": "ftp://x"}, "https"), ({"meters": []}, "1 to 100"),
     ({"meters": [{"name": "a", "measure": "magic"}]}, "measure"),
     ({"meters": [{"name": "a", "measure": "calls", "unit": "pico"}]}, "unit"),
     ({"meters": [{"name": "a", "measure": "cost_usd", "unit": "usd"}]}, "whole numbers"),
     ({"meters": [{"name": "a", "measure": "calls", "where": ["?"]}]}, "where"),
     ({"meters": [{"name": "a", "measure": "calls"}] * 2}, "twice"),
     ({"api_key_env": "sk-live-123"}, "environment variable"), ({"colour": 1}, "colour"),
     ({"api_key_env": "OPENAI_API_KEY"}, "BILLING")],
)  # fmt: skip
def test_a_system_that_cannot_be_used_is_told(change: dict[str, Any], words: str) -> None:
    body = {"type": "stripe", "start": "2026-10-01",
            "meters": [{"name": "a", "measure": "calls"}]}  # fmt: skip
    assert isinstance(read_system(json.dumps(body), "s"), System)
    with pytest.raises(BillingSystemError, match=words) as told:
        read_system(json.dumps(body | change), "s")
    assert "\n" not in str(told.value)


def test_units_and_buckets_stay_once_something_was_delivered(stripe_shop: Shop) -> None:
    shop = stripe_shop
    shop.set_up()
    shop.fill(tenants=1, hours=1)
    shop.push()
    with pytest.raises(BillingSystemError, match="bucket"):
        shop.set_up(bucket="day")
    meters = [{"name": "tokens", "measure": "input_tokens"},
              {"name": "spend", "measure": "cost_usd", "unit": "cent"}]  # fmt: skip
    with pytest.raises(BillingSystemError, match="unit"):
        shop.set_up(meters=meters)
    (listed,) = shop.ask("billing.systems")["rows"]
    assert listed["key_is_set"] is True
    assert KEY not in json.dumps(listed)


def test_days_as_buckets_and_filters(shop: Shop) -> None:
    shop.set_up(
        bucket="day",
        meters=[{"name": "tokens", "measure": "input_tokens", "where": ["feature=chat"]}],
    )
    shop.call("t0", 0, 5, 0, feature="chat")
    shop.call("t0", 1, 50, 0, feature="other")
    done = shop.push()
    assert {one.quantity for one, _, _ in done.planned.new} == {5}


def test_outcomes_are_read_from_the_log(stripe_shop: Shop) -> None:
    shop = stripe_shop
    shop.set_up()
    shop.fill(tenants=1, hours=1)
    shop.push()
    (first, _) = known(shop.world.books, "shop")
    key = first.delivery.delivery_key
    for state in (State.PLANNED, State.SENDING, State.FAILED):
        note(shop.world.books, [Event(delivery_key=key, state=state)])
    (first, _) = known(shop.world.books, "shop")
    assert first.maybe_since_ns is None
    for state in (State.SENDING, State.UNCLEAR, State.SENDING, State.FAILED):
        note(shop.world.books, [Event(delivery_key=key, state=state)])
    (first, _) = known(shop.world.books, "shop")
    assert first.maybe_since_ns is not None
