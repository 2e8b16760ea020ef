"""The fetcher: what is waiting is read, what fails is put back, nothing keeps anything waiting."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tollbook.call import BatchRead, BatchResult, BatchSeen, Frame
from tollbook.capture.batch.fetcher import Fetcher, OpenBatch
from tollbook.config import Config
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Reply = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


class Provider:
    """A server that answers by path; ``asked`` is what it saw."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | Callable[[str], Reply]] = {}
        self.asked: list[tuple[str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key = self.headers.get("authorization") or self.headers.get("x-api-key") or ""
                provider.asked.append((self.path, key))
                reply = provider.replies.get(self.path, (404, b"{}"))
                status, body, *more = reply(key) if callable(reply) else reply
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                if not more or "content-length" not in more[0]:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def batch(self, number: int, **fields: Any) -> None:
        shown = {
            "id": f"batch_{number}", "object": "batch", "status": "completed",
            "endpoint": "/v1/chat/completions", "output_file_id": f"file-{number}",
            "created_at": 1_790_000_000, "completed_at": 1_790_000_060,
            "request_counts": {"total": 1},
        }  # fmt: skip
        self.replies[f"/v1/batches/batch_{number}"] = 200, json.dumps(shown | fields).encode()
        self.replies[f"/v1/files/file-{number}/content"] = 200, result(f"line-{number}") + b"\n"


def result(custom_id: str) -> bytes:
    body = {"id": f"c-{custom_id}", "object": "chat.completion", "model": "gpt-4o-mini",
            "usage": {"prompt_tokens": 3, "completion_tokens": 2}}  # fmt: skip
    return json.dumps(
        {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}
    ).encode()


class Sink:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def append(self, frame: Frame) -> None:
        self.frames.append(frame)

    def flush(self) -> bool:
        return True

    def sync(self) -> bool:
        return True

    def of(self, kind: type) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    yield one
    one.close()


class Rig:
    """A fetcher with its surroundings."""

    def __init__(self, provider: Provider, **batch: Any) -> None:
        self.sink = Sink()
        self.waiting: list[OpenBatch] = []
        self.stop = threading.Event()
        self.is_silent = False
        settings = {"poll_interval_s": 0.01, "timeout_s": 0.5} | batch
        keys = [{"env": "KEY_1"}, {"env": "KEY_2"}]
        openai = {"dialect": "openai", "base_url": provider.url, "api_keys": keys}
        config = msgspec.convert({
            "providers": {
                "openai": openai,
                "claude": {
                    "dialect": "anthropic", "base_url": provider.url, "api_key_env": "KEY_1",
                },
                "keyless": {"dialect": "openai", "base_url": provider.url},
            },
            "batch": settings,
        }, Config)  # fmt: skip
        environ = {"KEY_1": "sk-1", "KEY_2": "sk-2"}
        self.fetcher = Fetcher(config, environ, self.sink, self._ask, self.stop)

    def _ask(self) -> list[OpenBatch]:
        if self.is_silent:
            raise TollbookError("no ledger")
        return self.waiting

    def wait_for(self, *numbers: int, provider: str = "openai", dialect: str = "openai") -> None:
        self.waiting += [
            OpenBatch(provider, f"batch_{number}", dialect, "/v1/batches") for number in numbers
        ]

    def round(self) -> int:
        with ThreadPoolExecutor(4) as pool:
            return self.fetcher.round(pool)

    def problems(self) -> dict[str, str]:
        return {one.batch_id: one.problem for one in self.sink.of(BatchSeen) if one.problem}


def test_results_are_read_once_in_a_life(provider: Provider) -> None:
    provider.batch(1)
    rig = Rig(provider)
    rig.wait_for(1)
    rig.round()
    threading.Event().wait(0.05)
    rig.round()
    (line,) = rig.sink.of(BatchResult)
    assert (line.custom_id, line.source_id, line.provider) == ("line-1", "file-1", "openai")
    assert [(one.source_id, one.lines) for one in rig.sink.of(BatchRead)] == [("file-1", 1)]
    assert rig.sink.of(BatchSeen)[0].ended_at_ns == 1_790_000_060 * 10**9
    assert sum("content" in path for path, _ in provider.asked) == 1


def test_d4_what_fails_is_put_back_and_the_rest_is_read(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 9):
        provider.batch(number)
    hangs = threading.Event()

    def hang(_: str) -> Reply:
        hangs.wait(3)
        return 200, b"{}"

    provider.replies["/v1/batches/batch_1"] = 500, b"{}"
    provider.replies["/v1/batches/batch_2"] = hang
    provider.replies["/v1/batches/batch_3"] = 200, b"<html>"
    provider.replies["/v1/files/file-4/content"] = 403, b"{}"
    provider.replies["/v1/files/file-5/content"] = 302, b"", {"location": "http://127.0.0.1:1/"}
    provider.replies["/v1/files/file-6/content"] = (
        200, result("half") + b"\n" + result("cut")[:20], {"content-length": "9999"},
    )  # fmt: skip
    rig = Rig(provider)
    rig.wait_for(*range(1, 9))
    try:
        rig.round()
    finally:
        hangs.set()
    assert {one.source_id for one in rig.sink.of(BatchRead)} == {"file-7", "file-8"}
    problems = rig.problems()
    assert set(problems) == {f"batch_{number}" for number in range(1, 7)}
    assert "500" in problems["batch_1"]
    assert "does not describe" in problems["batch_3"]
    assert "403" in problems["batch_4"]
    assert "302" in problems["batch_5"]
    assert "broke off" in problems["batch_6"]
    assert [one.custom_id for one in rig.sink.of(BatchResult) if one.source_id == "file-6"] == [
        "half"
    ]
    assert "sk-1" not in caplog.text + str(problems)
    provider.batch(1)
    threading.Event().wait(0.1)
    rig.round()
    assert "file-1" in {one.source_id for one in rig.sink.of(BatchRead)}


def test_pauses_grow_with_each_failure(provider: Provider) -> None:
    rig = Rig(provider, poll_interval_s=10)
    rig.wait_for(1)
    assert rig.round() == 1
    assert rig.round() == 0
    pause = rig.fetcher._pauses["openai", "batch_1"]
    lengths = []
    for _ in range(10):
        pause.until_ns = 0
        rig.round()
        lengths.append(pause.length_s)
    assert lengths[:3] == [20, 40, 80]
    assert lengths[-1] == 3600


def test_each_key_is_tried_until_one_may_see_the_batch(provider: Provider) -> None:
    provider.batch(1)
    shown = provider.replies["/v1/batches/batch_1"]
    assert isinstance(shown, tuple)
    provider.replies["/v1/batches/batch_1"] = lambda key: (
        shown if key == "Bearer sk-2" else (404, b"{}")
    )
    rig = Rig(provider)
    rig.wait_for(1)
    rig.round()
    assert [key for path, key in provider.asked if path.endswith("batch_1")] == [
        "Bearer sk-1", "Bearer sk-2",
    ]  # fmt: skip
    assert rig.sink.of(BatchRead)


def test_a_provider_without_a_key_is_a_problem_of_its_batches_only(provider: Provider) -> None:
    provider.batch(1)
    rig = Rig(provider)
    rig.wait_for(1)
    rig.wait_for(2, provider="keyless")
    rig.wait_for(3, provider="gone")
    rig.round()
    assert "has no key" in rig.problems()["batch_2"]
    assert "batch_3" not in rig.problems()
    assert len(rig.sink.of(BatchRead)) == 1


def test_results_may_be_compressed_and_are_bounded(provider: Provider) -> None:
    provider.batch(1)
    data = b"\n".join(result(f"z{at}") for at in range(50))
    provider.replies["/v1/files/file-1/content"] = (
        200, gzip.compress(data), {"content-encoding": "gzip"},
    )  # fmt: skip
    rig = Rig(provider)
    rig.wait_for(1)
    rig.round()
    assert len(rig.sink.of(BatchResult)) == 50
    small = Rig(provider, max_result_bytes=200)
    small.wait_for(1)
    small.round()
    assert "larger than 200 bytes" in small.problems()["batch_1"]
    assert small.sink.of(BatchRead) == []


def test_messages_are_read_at_their_own_path(provider: Provider) -> None:
    shown = {"id": "msgbatch_1", "processing_status": "ended", "request_counts": {"succeeded": 1},
             "results_url": "http://elsewhere/steal"}  # fmt: skip
    path = "/v1/messages/batches/msgbatch_1"
    message = {"id": "m", "model": "claude", "usage": {"input_tokens": 1, "output_tokens": 1}}
    line = {"custom_id": "a", "result": {"type": "succeeded", "message": message}}
    provider.replies[path] = 200, json.dumps(shown).encode()
    provider.replies[f"{path}/results"] = 200, json.dumps(line).encode()
    rig = Rig(provider)
    rig.waiting = [OpenBatch("claude", "msgbatch_1", "anthropic")]
    rig.round()
    assert [one.custom_id for one in rig.sink.of(BatchResult)] == ["a"]
    assert {key for _, key in provider.asked} == {"sk-1"}


def test_discovery_tells_what_is_new_or_has_changed(provider: Provider) -> None:
    import time  # noqa: PLC0415 -- only here

    now = int(time.time())
    new = {"id": "batch_1", "status": "in_progress", "created_at": now}
    old = {"id": "batch_0", "status": "completed", "created_at": now - 9 * 86_400}
    provider.replies["/v1/batches?limit=100"] = 200, json.dumps({"data": [new, old]}).encode()
    rig = Rig(provider, discover=True)
    rig.round()
    rig.round()
    assert [(one.batch_id, one.status) for one in rig.sink.of(BatchSeen)] == [
        ("batch_1", "in_progress")
    ]
    done = new | {"status": "completed", "output_file_id": "file-1"}
    provider.replies["/v1/batches?limit=100"] = 200, json.dumps({"data": [done]}).encode()
    rig.round()
    assert rig.sink.of(BatchSeen)[-1].result_ids == ("file-1",)
    assert rig.sink.of(BatchSeen)[-1].identity is None


def test_a_list_that_cannot_be_had_is_said_once(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.replies["/v1/batches?limit=100"] = 500, b"{}"
    rig = Rig(provider, discover=True)
    for _ in range(3):
        rig.round()
    provider.replies["/v1/batches?limit=100"] = 200, b'{"data": []}'
    rig.round()
    provider.replies["/v1/batches?limit=100"] = 500, b"{}"
    rig.round()
    said = [one for one in caplog.records if "cannot be listed" in one.getMessage()]
    assert sum("of openai " in one.getMessage() for one in said) == 2


def test_providers_for_callers_own_keys_are_not_asked_for_batches() -> None:
    config = Config()
    asked = Fetcher(config, {"GROQ_API_KEY": "sk"}, Sink(), list, threading.Event())
    assert asked._discovers == ["groq"]


def test_a_silent_ledger_is_asked_again(provider: Provider) -> None:
    rig = Rig(provider)
    rig.is_silent = True
    assert rig.round() == 0


def test_it_stops_in_the_middle_of_a_file(provider: Provider) -> None:
    provider.batch(1)
    data = (result("x") + b"\n") * 5000

    rig = Rig(provider)

    def stopping(_: str) -> Reply:
        rig.stop.set()
        return 200, data

    provider.replies["/v1/files/file-1/content"] = stopping
    rig.wait_for(1)
    rig.round()
    assert rig.sink.of(BatchRead) == []
    thread = threading.Thread(target=rig.fetcher.run)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
