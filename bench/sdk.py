"""Part ``sdk``: what the harness adds to a call of the official OpenAI client, network aside."""

from __future__ import annotations

import gc
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx2
import openai

import tollbook
from bench.figures import Aim, Figure, figure
from bench.stats import paired_ratio
from tollbook.sdk.harness import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROUNDS = 40
_CALLS = 100
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


class _Provider(httpx2.BaseTransport):
    """Answers from memory, through a stream as a network does."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        del request
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


def run() -> list[Figure]:
    """Call a wrapped and an unwrapped client in turns, in one thread."""
    sink = _Counter()
    plain, wrapped = _client(), wrap(_client(), sink=sink)
    whole: tuple[list[float], list[float]] = ([], [])
    alone: tuple[list[float], list[float]] = ([], [])
    gc.disable()
    try:
        with tollbook.tenant("acme", user="ada", feature="search"):
            for _ in range(_ROUNDS):
                for at, client in enumerate((plain, wrapped)):
                    whole[at].append(_timed_us(partial(_call, client)))
                    left = iter([_request(client) for _ in range(_CALLS)])
                    alone[at].append(_timed_us(partial(_send, client, left)))
                gc.collect()
    finally:
        gc.enable()
    assert sink.calls == 2 * _ROUNDS * _CALLS, "a call was not metered"
    size_bytes = len(_request(plain).content)
    added = [b - a for a, b in zip(*whole, strict=True)]
    hooks = [b - a for a, b in zip(*alone, strict=True)]
    return [
        figure("sdk.call", median(added), "us", baseline=median(whole[0]),
               ratio=paired_ratio(whole[1], whole[0]), aim=_AIM, samples=added,
               baseline_is="the same call with a client that is not wrapped",
               note=f"CPU time of the thread that a wrapped client adds to a chat call of"
               f" {size_bytes} bytes, not streamed, answered from memory"),
        figure("sdk.transport", median(hooks), "us", baseline=median(alone[0]), samples=hooks,
               ratio=paired_ratio(alone[1], alone[0]),
               baseline_is="the transport alone",
               note="the same at the HTTP transport, without the client around it"),
    ]  # fmt: skip


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


def _send(client: openai.OpenAI, left: Iterator[httpx2.Request]) -> None:
    response = client._client._transport.handle_request(next(left))  # noqa: SLF001 -- as above
    response.read()
    response.close()


def _timed_us(work: Callable[[], None]) -> float:
    """Return microseconds of this thread's CPU a time, which a busy machine disturbs least."""
    start = time.thread_time_ns()
    for _ in range(_CALLS):
        work()
    return (time.thread_time_ns() - start) / _CALLS / 1000
