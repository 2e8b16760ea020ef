"""Calls that are read when they have ended: the same frames, none lost, none told twice."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sdk_harness.harness_kit import MESSAGES, MODEL, Seen

import tollbook
from tollbook.call import CallClosed, CallOpened, Status
from tollbook.dialects.openai import OpenAI
from tollbook.sdk.harness import faults, reading, retries, wrap
from tollbook.sdk.harness.begun import LATER_BYTES_MAX
from tollbook.sdk.sinks import OtelSink, SpoolSink, TeeSink, TollbookSink, lifetime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.sdk.sink import MemorySink

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
OFTEN_NEW = {
    "call_id", "started_at_ns", "span_id", "closed_at_ns", "duration_ns", "time_to_first_token_ns",
}  # fmt: skip


def answer(text: str = "hi", **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
             "choices": [choice], "usage": USAGE}  # fmt: skip
    return json.dumps(whole | members).encode()


class Later(Seen):
    """A sink that tells of whole calls only."""

    takes_ended = True

    def flush(self, timeout_s: float) -> bool:
        lifetime.settle()
        return super().flush(timeout_s)


class Body(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


def client_of(
    sink: MemorySink, pieces: list[bytes], status: int = 200, **headers: str
) -> openai.OpenAI:
    def give(request: httpx2.Request) -> httpx2.Response:
        head = {"content-type": "application/json", "x-request-id": "req_1"}
        return httpx2.Response(status, headers=head | headers, stream=Body(pieces))

    http_client = httpx2.Client(transport=httpx2.MockTransport(give))
    return wrap(openai.OpenAI(api_key="k", http_client=http_client, max_retries=0), sink=sink)


@pytest.fixture
def later(seen: Seen) -> Iterator[Later]:
    del seen  # for the settings that it makes and takes back
    yield Later()
    lifetime.settle()


def told_of(sink: Seen) -> dict[str, Any]:
    sink.flush(5)
    opened, closed = sink.only()
    said = msgspec.structs.asdict(opened) | msgspec.structs.asdict(closed)
    return {name: value for name, value in said.items() if name not in OFTEN_NEW}


SSE = [b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
       b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n",
       b"data: [DONE]\n\n"]  # fmt: skip
ANSWERS: dict[str, tuple[list[bytes], int, dict[str, str]]] = {
    "whole": ([answer()], 200, {}),
    "in pieces": ([answer()[:40], b"", answer()[40:]], 200, {}),
    "compressed": ([gzip.compress(answer())], 200, {"content-encoding": "gzip"}),
    "unknown coding": ([answer()], 200, {"content-encoding": "identity, x"}),
    "large": ([answer("a" * 9000)] + [b" " * 9000] * (LATER_BYTES_MAX // 9000), 200, {}),
    "failed": ([b'{"error":{"message":"no","code":"rate"}}'], 429, {}),
    "failed with success": ([b'{"error":{"message":"no","code":"overloaded"}}'], 200, {}),
    "failed at length": ([b'{"error":{"message":"' + b"no" * 2000 + b'"}}'], 200, {}),
    "no document": ([b"<html>"], 200, {}),
    "stream unasked": (SSE, 200, {"content-type": "text/event-stream"}),
}
ASKED: dict[str, Any] = {"stream_options": {"include_usage": True}}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "owners in the body": {"user": "bob", "metadata": {"user_id": "eve", "feature": "x"}},
    "LiteLLM's": {"extra_body": {"litellm_metadata": {"tags": ["a"]}}},
    "marks": {"metadata": {"tollbook_layers": "retrieved=messages[0]"}},
    "header": {"extra_headers": {"x-tollbook-feature": "search", "idempotency-key": "k1"}},
    "large": {"messages": [{"role": "user", "content": "a" * LATER_BYTES_MAX}]},
    "stream": {"stream": True},
    "stream with usage": {"stream": True, **ASKED},
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_any_answer_is_told_of_as_at_once(later: Later, kind: str) -> None:
    pieces, status, headers = ANSWERS[kind]
    said = []
    for sink in (Seen(), later):
        retries.failed.clear()
        client = client_of(sink, pieces, status, **headers)
        with tollbook.tenant("acme"):
            http_client = client._client
            request = http_client.build_request(
                "POST", "https://api.openai.com/v1/chat/completions",
                json={"model": MODEL, "messages": MESSAGES},
            )  # fmt: skip
            response = http_client.send(request, stream=True)
            assert b"".join(response.iter_raw()) == b"".join(pieces)
            response.close()
        said.append(told_of(sink))
    assert said[0] == said[1]
    assert faults.counts == {}


@pytest.mark.parametrize("kind", REQUESTS)
def test_any_request_is_told_of_as_at_once(later: Later, kind: str) -> None:
    said = []
    is_stream = kind.startswith("stream")
    shown = 2 if kind == "stream with usage" else 1  # else the chunk with the usage is hidden
    for sink in (Seen(), later):
        pieces, headers = ([answer()], {}) if not is_stream else (SSE, ANSWERS["stream unasked"][2])
        client = client_of(sink, pieces, 200, **headers)
        with tollbook.tenant("acme", user="ada"):
            wanted: dict[str, Any] = {"model": MODEL, "messages": MESSAGES} | REQUESTS[kind]
            got = client.chat.completions.create(**wanted)
            if is_stream:
                assert len(list(got)) == shown
        said.append(told_of(sink))
    assert said[0] == said[1]
    assert said[1]["identity"].tenant_id == "acme"
    assert said[1]["layers"]


def test_texts_that_are_marked_are_found_by_whoever_reads(later: Later) -> None:
    text = "The contract ends in May. " * 4
    said = []
    for sink in (Seen(), later):
        with tollbook.tenant("acme"), tollbook.sdk.markers.marking():
            tollbook.sdk.markers.retrieved(text)
            client_of(sink, [answer()]).chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": f"{text} When?"}]
            )
        said.append(told_of(sink))
    assert said[0] == said[1]


def test_a_call_of_nobody_is_placed_where_it_was_made(later: Later) -> None:
    client_of(later, [answer()]).chat.completions.create(model=MODEL, messages=MESSAGES)
    later.flush(5)
    assert "test_sdk_harness_later.py" in (later.only().opened.call_site or "")


def test_flush_waits_for_what_is_unread(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LINGER_S", 1)
    tollbook.configure(sink=later)
    client = client_of(later, [answer()])
    with tollbook.tenant("acme"):
        for _ in range(5):
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert tollbook.flush(5)
    assert len(later.calls) == 5


def test_what_does_not_fit_is_read_at_once(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAITING_MAX", 0)
    client = client_of(later, [answer()])
    with tollbook.tenant("acme"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(later.calls) == 1


def test_a_thread_that_cannot_begin_loses_nothing(
    later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_thread", None)
    monkeypatch.setattr(reading, "_start", lambda: False)
    client = client_of(later, [answer()])
    with tollbook.tenant("acme"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(later.calls) == 1


def test_a_forked_child_tells_its_own_only(
    later: Later, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lifetime.settle()
    # What waits in the parent when it forks waits for long enough.
    monkeypatch.setattr(reading, "_waiting", type(reading._waiting)())
    monkeypatch.setattr(reading, "_is_asleep", False)
    client = client_of(later, [answer()])
    with tollbook.tenant("parent"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with tollbook.tenant("child"):
                client.chat.completions.create(model=MODEL, messages=MESSAGES)
            later.flush(5)
            whose = [opened.identity.tenant_id for opened, _ in later.calls]
            (tmp_path / "child").write_text(" ".join(str(one) for one in whose))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "child").read_text() == "child"
    later.flush(5)
    assert [opened.identity.tenant_id for opened, _ in later.calls] == ["parent"]


@pytest.mark.parametrize("method", ["read_request", "meter", "provider_request_id", "attempt"])
def test_a_dialect_that_raises_later_harms_nobody(
    later: Later, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret prompt")

    client = client_of(later, [answer()])
    with tollbook.tenant("acme"), monkeypatch.context() as patched:
        patched.setattr(OpenAI, method, broken)
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
        later.flush(5)
    assert sum(faults.counts.values()) == 1
    with tollbook.tenant("acme"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    later.flush(5)
    assert later.calls[-1][1].usage, "the thread goes on"
    # What can be told of a call whose request or answer cannot be read is told.
    assert len(later.calls) == (2 if method in {"read_request", "meter"} else 1)


def test_the_body_is_let_go_of_when_it_is_read(
    later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    original = reading.put

    def put(watched: Any) -> bool:
        told.append(watched)
        return original(watched)

    monkeypatch.setattr(reading, "put", put)
    with tollbook.tenant("acme"):
        client_of(later, [answer()]).chat.completions.create(model=MODEL, messages=MESSAGES)
    later.flush(5)
    (watched,) = told
    assert (watched.sent, watched._kept, watched._meter) == (b"", None, None)


def test_a_retry_knows_the_attempt_before(later: Later) -> None:
    client = client_of(later, [b'{"error":{"message":"no"}}'], 500)
    for _ in range(2):
        with tollbook.tenant("acme"), pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
    later.flush(5)
    (first, failed), (second, _) = later.calls
    assert failed.status is Status.ERROR
    assert (second.retry_of, second.attempt) == (first.call_id, 2)


def test_an_answer_that_is_left_half_read_is_told_of(later: Later) -> None:
    pieces = [answer()[:40], answer()[40:]]
    with tollbook.tenant("acme"):
        response = client_of(later, pieces)._client.stream(
            "POST", "https://api.openai.com/v1/chat/completions",
            json={"model": MODEL, "messages": MESSAGES},
        )  # fmt: skip
        with response as got:
            assert next(got.iter_raw()) == pieces[0]
    later.flush(5)
    assert later.only().closed.status is Status.CANCELLED


def test_only_sinks_that_tell_of_whole_calls_wait(tmp_path: Path) -> None:
    late, spool = TollbookSink("http://127.0.0.1:9"), SpoolSink(tmp_path)
    assert late.takes_ended
    assert OtelSink().takes_ended
    assert spool.takes_ended
    assert TeeSink(late, spool).begins is not None
    assert TeeSink(late, OtelSink()).begins is None
    at_once = SpoolSink(tmp_path, reads_at_once=True)
    assert not at_once.takes_ended
    assert at_once.begins is None
    assert not TeeSink(late, at_once).takes_ended
    assert TeeSink(late, at_once).begins is None


class Evidence(Later):
    """A late sink that wants to know of a call when it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[CallOpened] = []

    def begins(self, frame: CallOpened) -> None:
        assert not self.calls, "before it has ended"
        self.begun.append(frame)


@pytest.mark.parametrize("tees", [False, True])
@pytest.mark.parametrize("model", [MODEL, 'a "quoted" one', ""])
def test_evidence_is_told_before_the_request_is_read(seen: Seen, model: str, *, tees: bool) -> None:
    del seen
    sink = Evidence()
    with tollbook.tenant("acme", user="ada"):
        client = client_of(TeeSink(Later(), sink) if tees else sink, [answer()])  # type: ignore[arg-type]
        tool: Any = {"type": "function", "function": {"name": "f", "description": '"model":"no"'}}
        client.chat.completions.create(model=model, messages=MESSAGES, tools=[tool])
    (early,) = sink.begun
    sink.flush(5)
    ((opened, _),) = sink.calls
    assert early.call_id == opened.call_id
    assert early.started_at_ns == opened.started_at_ns
    assert (early.identity, early.span_id) == (opened.identity, opened.span_id)
    assert (early.provider, early.operation, early.path) == (
        opened.provider, opened.operation, opened.path
    )  # fmt: skip
    assert early.request_bytes == early.input_chars == opened.request_bytes > opened.input_chars
    assert early.layers is None
    assert opened.layers is not None
    if model == MODEL:
        assert early.model_requested == opened.model_requested == model
    assert reading._thread is not None


def test_what_has_to_be_read_before_it_leaves_is_told_whole(seen: Seen) -> None:
    del seen
    sink = Evidence()
    with tollbook.tenant("acme"):
        stream = client_of(
            sink, [b"data: [DONE]\n\n"], 200, **{"content-type": "text/event-stream"}
        )
        list(stream.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    sink.flush(5)
    assert [sink.begun[0]] == [opened for opened, _ in sink.calls]


def test_frames_are_those_of_the_ledger(later: Later) -> None:
    with tollbook.tenant("acme"):
        client_of(later, [answer()]).chat.completions.create(model=MODEL, messages=MESSAGES)
    later.flush(5)
    opened, closed = later.calls[0]
    assert isinstance(opened, CallOpened)
    assert isinstance(closed, CallClosed)
    assert opened.call_id == closed.call_id
    assert opened.started_at_ns + closed.duration_ns <= closed.closed_at_ns + 1_000_000


PIECES = [
    SSE[0],
    SSE[0] + SSE[0],
    SSE[1],
    SSE[2],
    SSE[1] + SSE[2],
    SSE[0] + SSE[2],
    SSE[0][:30],
    SSE[0][30:],
    SSE[1].replace(b"\n", b"\r\n"),
    b": comment\n\n",
    b'data: {"choices":[{"index":0,"delta":{"content":"data: [DONE]"}}],"usage":null}\n\n',
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.sampled_from([{}, ASKED]))
def test_any_stream_is_shown_and_told_of_as_at_once(
    later: Later, pieces: list[bytes], asked: dict[str, Any]
) -> None:
    del later
    said, shown = [], []
    for sink in (Seen(), Later()):
        retries.failed.clear()
        client = client_of(sink, pieces, 200, **ANSWERS["stream unasked"][2])
        with tollbook.tenant("acme"):
            request = client._client.build_request(
                "POST", "https://api.openai.com/v1/chat/completions",
                json={"model": MODEL, "messages": MESSAGES, "stream": True} | asked,
            )  # fmt: skip
            response = client._client.send(request, stream=True)
            shown.append(b"".join(response.iter_raw()))
            response.close()
        sink.flush(5)
        ((opened, closed),) = sink.calls
        said.append((closed.usage, closed.status, closed.output_chars, closed.error_type))
        assert opened.is_stream
    assert shown[0] == shown[1]
    assert said[0] == said[1]
