"""Part ``sdk``: what the harness adds to a call of the official OpenAI client, network aside.

Clients take turns, in one thread, and each round compares neighbours. What a caller waits longer is
told apart from what its process computes: a sink that delivers later reads later, in a thread of
its own.
"""

from __future__ import annotations

import gc
import tempfile
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import openai

import tollbook
from bench.figures import Aim, Figure, figure
from bench.receiver import receiver
from bench.stats import paired_ratio
from tollbook.sdk.harness import wrap
from tollbook.sdk.sinks import SpoolSink, TollbookSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.sdk.sink import Sink

_ROUNDS = 20
_CALLS = 40
_NETWORK_S = 0.001
_EVENTS = 24
_AIM = Aim("value", "at most", 30)
_MESSAGES: list[Any] = [
    {"role": "system", "content": "You answer in one sentence. " * 6},
    {"role": "user", "content": "What does one call cost, and whose is it? " * 18},
]
_ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"'
    + b"One call costs what its tokens do. "
    * 15
    + b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":210,"completion_tokens":120,'
    b'"total_tokens":330,"prompt_tokens_details":{"cached_tokens":0}}}'
)
_HEAD = [
    ("content-type", "application/json"), ("x-request-id", "req_1"), ("server", "bench"),
    ("openai-processing-ms", "1"), ("date", "Sat, 21 Nov 2026 12:00:00 GMT"),
]  # fmt: skip


_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":'
    b'"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" what"},'
    b'"finish_reason":null}],"usage":null}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":'
    b'"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":210,'
    b'"completion_tokens":24,"total_tokens":234}}\n\n'
)
_STREAM = [_EVENT] * _EVENTS + [_LAST, b"data: [DONE]\n\n"]


class _Chunks(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        return iter(_STREAM)


class _Provider(httpx2.BaseTransport):
    """Answers from memory after a moment in which others may run, as a network does."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        time.sleep(_NETWORK_S)
        if b'"stream":true' in request.content:
            events = [("content-type", "text/event-stream"), *_HEAD[1:]]
            return httpx2.Response(200, headers=events, stream=_Chunks())
        return httpx2.Response(200, headers=_HEAD, stream=httpx2.ByteStream(_ANSWER))


class _Counter:
    """A sink that keeps nothing."""

    dropped = 0

    def __init__(self) -> None:
        self.calls = 0

    def opened(self, frame: object) -> None:
        """Take a call that begins."""
        del frame

    def closed(self, opened: object, frame: object) -> None:
        """Count a call."""
        del opened, frame
        self.calls += 1

    def span(self, frame: object) -> None:
        """Take a span."""

    def flush(self, timeout_s: float) -> bool:
        """Have nothing to deliver."""
        del timeout_s
        return True

    def close(self) -> None:
        """Have nothing to close."""


class _Spent(NamedTuple):
    """Microseconds a call."""

    waited: float
    """By the caller, from its call to the answer."""
    own: float
    """Processor time of the caller's thread."""
    whole: float
    """Processor time of all threads."""


def run() -> list[Figure]:
    """Call wrapped clients and one that is not wrapped in turns."""
    counter = _Counter()
    with receiver() as address, tempfile.TemporaryDirectory() as directory:
        late, spool = TollbookSink(address), SpoolSink(directory)
        sinks: dict[str, Sink | None] = {"": None, "late": late, "spool": spool, "none": counter}
        spent = _measured(sinks, _call), _measured(sinks, _stream)
        assert late.flush(10), "a call was not delivered"
        assert spool.flush(10), "a call is not on file"
        assert not late.dropped + spool.dropped, "a call was given up"
        late.close()
        spool.close()
    assert counter.calls == 2 * (_ROUNDS * _CALLS + 1), "a call was not metered"
    whole, streams = spent
    size_bytes = len(_request(_client()).content)
    what = f"a chat call of {size_bytes} bytes"
    stream = f"{what} whose answer is a stream of {_EVENTS} events"
    return [
        _figure("sdk.call", whole, "late", "waited", f"what a caller waits longer for {what}; calls"
                " are sent to a receiver, and read and sent by threads of their own", _AIM),
        _figure("sdk.call.own_cpu", whole, "late", "own", "processor time of the caller's thread"),
        _figure("sdk.call.whole_cpu", whole, "late", "whole", "processor time of all threads: what"
                " was not waited for is within it"),
        _figure("sdk.call.spool", whole, "spool", "waited", "the same with a spool, where a call is"
                " on file before its request leaves: all is done on the caller's time"),
        _figure("sdk.call.at_once", whole, "none", "waited", "with a sink that keeps nothing and is"
                " told at once"),
        _figure("sdk.stream", streams, "late", "waited", f"the same for {stream}", _AIM),
        _figure("sdk.stream.own_cpu", streams, "late", "own", "processor time of the caller's"
                " thread"),
        _figure("sdk.stream.whole_cpu", streams, "late", "whole", "processor time of all threads"),
        _figure("sdk.stream.spool", streams, "spool", "waited", "with a spool"),
    ]  # fmt: skip


def _measured(
    sinks: dict[str, Sink | None], call: Callable[[openai.OpenAI], None]
) -> dict[str, list[_Spent]]:
    """Return what calls took, by sink, round by round; no sink is a client not wrapped."""
    clients = {
        name: _client() if sink is None else wrap(_client(), sink=sink)
        for name, sink in sinks.items()
    }
    spent: dict[str, list[_Spent]] = {name: [] for name in clients}
    with tollbook.tenant("acme", user="ada", feature="search"):
        for client in clients.values():
            call(client)  # what is made once is not what a call costs
        for _ in range(_ROUNDS):
            for name, client in clients.items():
                gc.collect()
                spent[name].append(_timed(partial(call, client), sinks[name]))
    return spent


def _figure(
    name: str, spent: dict[str, list[_Spent]], sink: str, what: str, note: str,
    aim: Aim | None = None,
) -> Figure:  # fmt: skip
    ours = [getattr(each, what) for each in spent[sink]]
    theirs = [getattr(each, what) for each in spent[""]]
    added = [a - b for a, b in zip(ours, theirs, strict=True)]
    return figure(
        name, median(added), "us", baseline=median(theirs), ratio=paired_ratio(ours, theirs),
        baseline_is="with a client that is not wrapped", aim=aim, samples=added, note=note,
    )  # fmt: skip


def _client() -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=_Provider()))


def _call(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="gpt-4o-mini", messages=_MESSAGES)


def _request(client: openai.OpenAI) -> httpx2.Request:
    return client._client.build_request(  # noqa: SLF001 -- as the client itself does
        "POST",
        "https://api.openai.com/v1/chat/completions",
        json={"model": "gpt-4o-mini", "messages": _MESSAGES},
    )


def _stream(client: openai.OpenAI) -> None:
    for _ in client.chat.completions.create(
        model="gpt-4o-mini", messages=_MESSAGES, stream=True, stream_options={"include_usage": True}
    ):
        pass


def _timed(work: Callable[[], None], sink: Sink | None) -> _Spent:
    """Return what one of many calls took, as the median of them waited."""
    waited = []
    own, whole = time.thread_time_ns(), time.process_time_ns()
    for _ in range(_CALLS):
        start = time.perf_counter_ns()
        work()
        waited.append(time.perf_counter_ns() - start)
    own = time.thread_time_ns() - own
    if sink is not None:
        sink.flush(5)  # what it has put off is its own, and nobody else's turn
    whole = time.process_time_ns() - whole
    return _Spent(median(waited) / 1000, own / _CALLS / 1000, whole / _CALLS / 1000)
