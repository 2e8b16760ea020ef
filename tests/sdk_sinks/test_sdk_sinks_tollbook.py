"""TollbookSink: sends in the background until it is taken, bounded, through forks and exits."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk_sinks.sinks_kit import Receiver, a_call, a_span, always

from tollbook import clock
from tollbook.call import CallClosed, CallOpened
from tollbook.sdk.sinks import TollbookSink
from tollbook.sdk.sinks.outbox import Outbox, Parcel
from tollbook.sdk.sinks.post import BadEndpointError, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.call import Frame


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(always())
    yield receiver
    receiver.stop()


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[TollbookSink]:
    sink = TollbookSink(receiver.address, "tbk_key", linger_s=0.01, exit_timeout_s=1)
    yield sink
    receiver.answer = always()
    sink.close()


def tell(sink: TollbookSink, count: int = 1) -> list[bytes]:
    sent = []
    for _ in range(count):
        opened, closed = a_call()
        sink.opened(opened)
        sink.closed(opened, closed)
        sent.append(opened.call_id)
    return sent


def test_a_call_arrives_whole_with_the_key(receiver: Receiver, sink: TollbookSink) -> None:
    opened, closed = a_call()
    span = a_span()

    sink.opened(opened)
    sink.closed(opened, closed)
    sink.span(span)

    assert sink.flush(10)
    assert receiver.frames == [opened, closed, span]
    headers = receiver.requests[0][0]
    assert headers["authorization"] == "Bearer tbk_key"
    assert headers["content-type"] == "application/msgpack"
    assert headers["content-encoding"] == "gzip"
    assert sink.dropped == 0


def test_calls_are_sent_together_and_each_once(receiver: Receiver, sink: TollbookSink) -> None:
    sent: list[bytes] = []

    def work() -> None:
        sent.extend(tell(sink, 100))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sink.flush(10)
    assert sorted(receiver.call_ids) == sorted(sent)
    assert len(receiver.requests) < 250


@pytest.mark.parametrize("status", [429, 503, 500, 408])
def test_what_is_not_taken_now_is_sent_again(
    receiver: Receiver, sink: TollbookSink, status: int
) -> None:
    answers = iter([(status, {"Retry-After": "0"})] * 3)
    receiver.answer = lambda _: next(answers, (200, {}))

    sent = tell(sink, 3)

    assert sink.flush(10)
    assert receiver.call_ids == sent
    assert len(receiver.requests) >= 4
    assert sink.dropped == 0


def test_one_bad_call_does_not_take_the_others_with_it(
    receiver: Receiver, sink: TollbookSink, caplog: pytest.LogCaptureFixture
) -> None:
    sent = [a_call() for _ in range(9)]
    bad = sent[4][0].call_id

    def answer(frames: Sequence[Frame]) -> tuple[int, dict[str, str]]:
        return (
            400 if any(isinstance(f, CallOpened) and f.call_id == bad for f in frames) else 200
        ), {}

    receiver.answer = answer
    for one in sent:
        sink.closed(*one)

    assert sink.flush(10)
    assert sorted(receiver.call_ids) == sorted(o.call_id for o, _ in sent if o.call_id != bad)
    assert sink.dropped == 1
    assert "status 400" in caplog.text


def test_what_a_receiver_refuses_of_a_batch_that_it_takes_is_counted(
    receiver: Receiver, sink: TollbookSink, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.body = b'{"accepted":2,"rejected":3,"message":"started_at_ns is before 2015"}'
    tell(sink)
    assert sink.flush(10)
    tell(sink)
    assert sink.flush(10)

    assert sink.dropped == 6
    assert sum("before 2015" in one.message for one in caplog.records) == 1
    assert not any("x-tollbook-calls-lost" in head for head, _ in receiver.requests)


def test_memory_is_bounded_while_the_receiver_is_down_and_the_loss_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver(always())
    receiver.stop()
    limit = 64 * 1024
    sink = TollbookSink(receiver.address, memory_bytes=limit, linger_s=0.0)

    sent = tell(sink, 2000)

    assert sink._outbox.size_bytes <= limit
    lost = sink.dropped
    assert 0 < lost < 2000
    receiver.start_again()
    try:
        assert sink.flush(20)
        arrived = receiver.call_ids
        assert sink.dropped >= lost
        assert len(set(arrived)) == 2000 - sink.dropped
        assert set(arrived) >= set(sent[-100:])  # the newest are kept
        told = [int(head["x-tollbook-calls-lost"]) for head, _ in receiver.requests
                if "x-tollbook-calls-lost" in head]  # fmt: skip
        assert sum(told) == sink.dropped
    finally:
        sink.close()
        receiver.stop()
    assert sum("memory for them is full" in one.message for one in caplog.records) == 1


def test_an_answer_that_is_lost_makes_it_come_twice_with_the_same_id(
    receiver: Receiver, sink: TollbookSink
) -> None:
    first = True

    def answer(frames: Sequence[Frame]) -> tuple[int, dict[str, str]]:
        nonlocal first
        if first:
            first = False
            receiver.frames += frames  # on file, and then the connection breaks
            raise ConnectionResetError
        return 200, {}

    receiver.answer = answer
    receiver.server.handle_error = lambda *_: None  # type: ignore[method-assign]
    (sent,) = tell(sink)

    assert sink.flush(10)
    assert receiver.call_ids == [sent, sent]


def test_a_wrong_key_is_said_once_and_nothing_is_thrown_away(
    receiver: Receiver, sink: TollbookSink, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = always(401)
    sent = tell(sink)
    assert not sink.flush(0.3)
    assert sink.dropped == 0

    receiver.answer = always()
    assert sink.flush(10)
    assert receiver.call_ids == sent
    assert sum("status 401" in one.message for one in caplog.records) == 1


def test_a_forked_child_sends_only_its_own(receiver: Receiver, sink: TollbookSink) -> None:
    receiver.answer = always(503, retry_after="0")
    mine = tell(sink, 5)
    inherited = a_call()
    pid = os.fork()
    if pid == 0:
        try:
            sink.closed(*inherited)
            later = a_call()
            sink.closed(*later)
            os.write(1, b"")
            os._exit(0 if sink.flush(10) else 3)
        finally:
            os._exit(4)
    receiver.answer = always()
    assert os.waitpid(pid, 0)[1] == 0
    sink.closed(*inherited)

    assert sink.flush(10)
    ids = receiver.call_ids
    assert len(ids) == len(set(ids)) == 7
    assert set(ids) > {*mine, inherited[0].call_id}


SCRIPT = """
import sys
from tests.sdk_sinks.sinks_kit import a_call
from tollbook.sdk.sinks import TollbookSink
sink = TollbookSink(sys.argv[1], linger_s=60)
for _ in range(10):
    opened, closed = a_call()
    sink.opened(opened); sink.closed(opened, closed)
"""


def test_the_end_of_a_process_delivers(receiver: Receiver) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, receiver.address], check=True, timeout=60)

    assert len(set(receiver.call_ids)) == 10


def test_the_end_of_a_process_does_not_wait_for_ever(receiver: Receiver) -> None:
    receiver.answer = always(503)
    code = SCRIPT.replace("linger_s=60", "linger_s=0, exit_timeout_s=0.2")

    done = subprocess.run(
        [sys.executable, "-c", code, receiver.address],
        check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip

    assert "they are lost" in done.stderr


def _in_child(address: str) -> None:
    tell(TollbookSink(address, linger_s=60), 3)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_at_their_end(receiver: Receiver, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    parts = [context.Process(target=_in_child, args=(receiver.address,)) for _ in range(2)]
    for one in parts:
        one.start()
    for one in parts:
        one.join()

    assert len(set(receiver.call_ids)) == 6


_shared: list[TollbookSink] = []


def _use_shared(_: int) -> int:
    tell(_shared[0])
    return os.getpid()


def test_a_sink_of_the_parent_works_in_a_pool(receiver: Receiver) -> None:
    sink = TollbookSink(receiver.address, linger_s=60)
    _shared[:] = [sink]
    tell(sink)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(_use_shared, range(8)))
    assert sink.flush(10)

    ids = receiver.call_ids
    assert len(ids) == len(set(ids)) == 9


def test_nothing_is_raised_after_close(receiver: Receiver, sink: TollbookSink) -> None:
    sink.close()
    tell(sink)

    assert sink.dropped == 1
    assert receiver.frames == []


@pytest.mark.parametrize(
    "endpoint", ["", "127.0.0.1:4318", "ftp://x", "http://", "http://u:p@h", "http://h:port"]
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(BadEndpointError) as raised:
        TollbookSink(endpoint)
    assert "\n" not in raised.value.message


def test_a_path_before_the_frames_is_kept(receiver: Receiver) -> None:
    sink = TollbookSink(receiver.address + "/tollbook/", linger_s=0)
    assert sink._post._path == "/tollbook/v1/frames"
    sink.close()


def test_retry_after_is_read_in_both_forms_and_bounded() -> None:
    later = clock.utc_now() + timedelta(seconds=60)
    assert retry_after_s("7") == 7
    assert retry_after_s("99999999999999999999") == 300
    assert retry_after_s(None) is None
    assert retry_after_s("soon") is None
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    found = retry_after_s(format_datetime(later, usegmt=True))
    assert found is not None
    assert 50 < found <= 60


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "settle", "drop"]), st.integers(1, 60))))
def test_the_outbox_never_holds_more_than_its_limit_and_counts_every_parcel(
    steps: list[tuple[str, int]],
) -> None:
    outbox = Outbox(100)
    delivery: list[list[Parcel]] = []
    added = delivered = 0
    for step, size in steps:
        if step == "add":
            outbox.add(Parcel(b"x" * size, 1))
            added += 1
        elif step == "take":
            taken = outbox.take(size)
            if taken:
                delivery.append(taken)
        elif delivery:
            parcels = delivery.pop()
            outbox.settle(parcels, dropped=step == "drop")
            delivered += 0 if step == "drop" else len(parcels)
        held = sum(map(len, delivery)) + len(outbox)
        assert outbox.size_bytes <= 100
        assert added == held + delivered + outbox.dropped


def test_frames_of_a_call_stay_together_in_a_batch(receiver: Receiver, sink: TollbookSink) -> None:
    tell(sink, 50)
    assert sink.flush(10)

    kinds = [type(one) for one in receiver.frames]
    assert kinds == [CallOpened, CallClosed] * 50
