"""SpoolSink: on file at once, one writer a process, never in the way."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk_sinks.sinks_kit import a_call, a_span, frames_in

from tollbook.call import CallClosed, CallOpened, Frame
from tollbook.sdk.sinks import SpoolSink
from tollbook.sdk.sinks.funnel import Funnel
from tollbook.sdk.sinks.spool import SpoolSettings

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SpoolSink]:
    sink = SpoolSink(tmp_path, sync_interval_s=0.01)
    yield sink
    sink.close()


def of(directory: Path) -> list[Frame]:
    return [frame for _, frame in frames_in(directory)]


def test_a_call_is_on_file_when_it_begins_and_when_it_has_ended(
    tmp_path: Path, sink: SpoolSink
) -> None:
    opened, closed = a_call()

    sink.opened(opened)
    before = of(tmp_path)
    sink.closed(opened, closed)
    span = a_span()
    sink.span(span)

    assert before == [opened]
    assert of(tmp_path) == [opened, closed, span]
    assert sink.flush(1.0)
    assert sink.dropped == 0


def test_nothing_is_made_before_there_is_something_to_write(
    tmp_path: Path, sink: SpoolSink
) -> None:
    assert sink.flush(0)
    assert list(tmp_path.iterdir()) == []


def test_threads_lose_and_double_nothing(tmp_path: Path, sink: SpoolSink) -> None:
    calls = [a_call() for _ in range(400)]

    def work(part: int) -> None:
        for opened, closed in calls[part::8]:
            sink.opened(opened)
            sink.closed(opened, closed)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    frames = of(tmp_path)
    begun = [one.call_id for one in frames if isinstance(one, CallOpened)]
    ended = [one.call_id for one in frames if isinstance(one, CallClosed)]
    assert sorted(begun) == sorted(ended) == sorted(opened.call_id for opened, _ in calls)
    seen: set[bytes] = set()
    for frame in frames:  # an end after its beginning
        if isinstance(frame, CallOpened):
            seen.add(frame.call_id)
        elif isinstance(frame, CallClosed):
            assert frame.call_id in seen


def test_a_finalizer_within_a_write_neither_deadlocks_nor_doubles() -> None:
    taken: list[int] = []

    def take(waiting: deque[int]) -> None:
        while waiting:
            one = waiting.popleft()
            if one == 1:
                funnel.put(2)  # as a garbage collection in the midst of it would
            taken.append(one)

    funnel: Funnel[int] = Funnel(take)
    funnel.put(1)
    funnel.put(3)

    assert taken == [1, 2, 3]


def test_a_forked_child_has_a_writer_of_its_own(tmp_path: Path, sink: SpoolSink) -> None:
    mine, childs = a_call(), a_call()
    begun_before = a_call()
    sink.opened(mine[0])
    sink.opened(begun_before[0])

    pid = os.fork()
    if pid == 0:
        try:
            sink.closed(*begun_before)  # a stream that the child has inherited and lets go of
            later = a_call(call_id=childs[0].call_id)
            sink.opened(later[0])
            sink.closed(*later)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    sink.closed(*mine)
    sink.closed(*begun_before)

    by_writer: dict[str, list[bytes]] = {}
    for writer, frame in frames_in(tmp_path):
        if isinstance(frame, CallClosed):
            by_writer.setdefault(writer, []).append(frame.call_id)
    assert sorted(by_writer.values()) == sorted(
        [[mine[0].call_id, begun_before[0].call_id], [childs[0].call_id]]
    )


def _work(sink: SpoolSink) -> None:
    opened, closed = a_call()
    sink.opened(opened)
    sink.closed(opened, closed)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    parts = [context.Process(target=_write_in, args=(str(tmp_path),)) for _ in range(3)]
    for one in parts:
        one.start()
    for one in parts:
        one.join()

    closed = [one for one in of(tmp_path) if isinstance(one, CallClosed)]
    assert len(closed) == 3
    assert len({writer for writer, _ in frames_in(tmp_path)}) == 3


def _write_in(directory: str) -> None:
    _work(SpoolSink(directory))


def test_a_killed_process_leaves_what_it_had_begun(tmp_path: Path) -> None:
    code = f"""
import os, signal
from tests.sdk_sinks.sinks_kit import a_call
from tollbook.sdk.sinks import SpoolSink
sink = SpoolSink({str(tmp_path)!r})
done, begun = a_call(), a_call()
sink.opened(done[0]); sink.closed(*done); sink.opened(begun[0])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    kinds = [type(one) for one in of(tmp_path)]
    assert kinds == [CallOpened, CallClosed, CallOpened]


_CALLS_AND_IS_KILLED = """
import os, signal, sys
import httpx2, openai
import tollbook
from tollbook.sdk.harness import wrap
from tollbook.sdk.sinks import SpoolSink

def give(request):
    os.kill(os.getpid(), signal.SIGKILL)

http_client = httpx2.Client(transport=httpx2.MockTransport(give))
client = wrap(openai.OpenAI(api_key="k", http_client=http_client), sink=SpoolSink(
    sys.argv[1], reads_at_once=sys.argv[2] == "True"))
with tollbook.tenant("acme", user="ada"):
    client.chat.completions.create(model="gpt-4o-mini", messages=[
        {"role": "user", "content": "the secret of the day"}])
"""


@pytest.mark.parametrize("reads_at_once", [False, True])
def test_a_call_of_a_killed_process_is_on_file_before_its_request_leaves(
    tmp_path: Path, *, reads_at_once: bool
) -> None:
    command = [sys.executable, "-c", _CALLS_AND_IS_KILLED, str(tmp_path), str(reads_at_once)]
    done = subprocess.run(command, check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    (begun,) = of(tmp_path)
    assert isinstance(begun, CallOpened)
    assert (begun.identity.tenant_id, begun.identity.user_id) == ("acme", "ada")
    assert (begun.provider, begun.model_requested) == ("openai", "gpt-4o-mini")
    assert begun.input_chars >= len("the secret of the day")
    assert (begun.layers is not None) == reads_at_once
    files = [one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()]
    assert not any(b"secret of the day" in one for one in files)


def test_a_directory_that_cannot_be_used_is_said_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("not a directory")
    sink = SpoolSink(tmp_path)

    _work(sink)
    _work(sink)

    assert sink.dropped == 4
    assert len(caplog.records) == 1
    assert str(tmp_path / "spool") in caplog.text
    assert not sink.flush(0)
    sink.close()


def test_a_full_disk_keeps_frames_in_memory_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = SpoolSink(tmp_path, settings=SpoolSettings(memory_ring_bytes=65_536))
    _work(sink)
    real = os.write
    is_full = True

    def write(descriptor: int, data: bytes) -> int:
        if is_full:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("os.write", write)
    for _ in range(600):
        _work(sink)
    lost = sink.dropped
    is_full = False
    assert _flushed(sink)

    assert 0 < lost < 1200
    assert sink.dropped == lost
    calls = [one for one in of(tmp_path) if isinstance(one, CallOpened | CallClosed)]
    assert len(calls) == 1202 - lost
    sink.close()


def _flushed(sink: SpoolSink) -> bool:
    pause = threading.Event()
    return any(sink.flush(0) or pause.wait(0.05) for _ in range(200))


def test_after_close_frames_are_counted(tmp_path: Path, sink: SpoolSink) -> None:
    _work(sink)
    sink.close()
    _work(sink)

    assert sink.dropped == 2
    assert len(of(tmp_path)) == 2


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    sink = SpoolSink(tmp_path, sync_interval_s=0.01)
    _work(sink)
    thread = sink._thread
    assert thread is not None
    sink.close()
    del sink
    gc.collect()
    thread.join(10)

    assert not thread.is_alive()
