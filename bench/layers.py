"""Part ``layers``: what it costs to tell the sections of a request.

In process here; what a saturated gateway carries with and without is in :mod:`bench.layers_load`.

The whole of reading a request is measured with and without, in turns. A tenth of what the gateway
takes for a call (``gateway.plain.*.cpu_per_request`` of its own results) is the aim for plain
conversations; agents' requests, of which every message is read while there is time, are shown
beside them, and so is what a busy worker does with them.
"""

from __future__ import annotations

import json
import timeit
from statistics import median
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from bench import machine
from bench.answers import agent_body
from bench.figures import Aim, Figure, figure
from bench.layers_load import conversation, run_load
from tollbook import clock
from tollbook.call import CallOpened, Identity, Metering, encode_frame
from tollbook.dialects import anthropic_request, openai_request
from tollbook.dialects.layer_allowance import LayerAllowance, allowance
from tollbook.dialects.registry import dialect_named
from tollbook.dialects.request_layers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROUNDS: Final = 9
_TIMES: Final = 200
_REPEATS: Final = 60
"""The fastest of many short runs, for others use the machine too."""
_SHARE: Final = 0.1
_ENDLESS_NS: Final = 1 << 60
_GATEWAY_US: Final = {1: 43.98, 50: 71.5}
"""Used where there are no results of the gateway's own part."""


def run() -> list[Figure]:
    """Measure requests of several shapes."""
    return [
        _plain("openai", "/v1/chat/completions", 1),
        _plain("openai", "/v1/chat/completions", 50),
        _plain("anthropic", "/v1/messages", 1),
        _agent("openai", "/v1/chat/completions", 10),
        _agent("openai", "/v1/chat/completions", 50),
        _agent("anthropic", "/v1/messages", 50),
        *_limited("openai", "/v1/chat/completions", 50),
        *_limited("anthropic", "/v1/messages", 50),
        *run_load(),
    ]


def _plain(dialect: str, path: str, kilobytes: int) -> Figure:
    gateway_us = _gateway_us(kilobytes)
    added_us, samples, all_us = _added_us(dialect, path, conversation("plain", kilobytes, dialect))
    return figure(
        f"layers.{dialect}.plain.{kilobytes}KB", added_us, "us", samples=samples,
        aim=Aim("value", "at most", round(gateway_us * _SHARE, 2)),
        note=f"added to {all_us:.1f} us of reading the request and writing its frame;"
        f" {added_us / gateway_us:.1%} of {gateway_us:.1f} us that the gateway takes for a call",
    )  # fmt: skip


def _agent(dialect: str, path: str, kilobytes: int) -> Figure:
    body = agent_body(dialect, kilobytes * 1024)
    count = len(json.loads(body)["messages"])
    added_us, samples, all_us = _added_us(dialect, path, body)
    note = f"{count} messages, ten tools; reading the request takes {all_us:.1f} us without"
    return figure(f"layers.{dialect}.agent.{kilobytes}KB", added_us, "us", samples=samples,
                  note=note)  # fmt: skip


def _limited(dialect: str, path: str, kilobytes: int) -> Iterator[Figure]:
    """Measure what a busy worker does instead: sample the messages, or leave them unread."""
    body = agent_body(dialect, kilobytes * 1024)
    for name, reserve_ns in (("sampled", 0), ("unread", _ENDLESS_NS)):
        granted = LayerAllowance(clock.monotonic_ns, share_ns=_ENDLESS_NS, reserve_ns=reserve_ns)
        token = allowance.set(granted)
        try:
            added_us, samples, _ = _added_us(dialect, path, body)
        finally:
            allowance.reset(token)
        note = "of a worker with nothing to spare" + (" and its share used" * (name == "unread"))
        yield figure(f"layers.{dialect}.agent.{kilobytes}KB.{name}", added_us, "us",
                     samples=samples, note=note)  # fmt: skip


def _added_us(dialect: str, path: str, body: bytes) -> tuple[float, list[float], float]:
    """Return the median of what is added, all of it, and what reading takes without."""
    spoken = dialect_named(dialect)
    route = spoken.route("POST", path)

    def read() -> bytes:
        facts = spoken.read_request(route, body, inject_stream_usage=True, user_is="user")
        found = facts.layered
        return encode_frame(
            CallOpened(
                b"0" * 16, 1, _NOBODY, "p", dialect, "chat", Metering.METERED, "POST", path,
                layers=found.layers, prefix_hash=found.prefix_hash,
                prefix_chars=found.prefix_chars,
            )
        )  # fmt: skip

    times = max(5, _TIMES * 1024 // len(body))
    added, without = [], []
    for _ in range(_ROUNDS):
        with (
            patch.object(openai_request, "_layered", _nothing),
            patch.object(anthropic_request, "anthropic_layers", _nothing),
        ):
            bare = _us(read, times)
        added.append(_us(read, times) - bare)
        without.append(bare)
    return median(added), added, median(without)


_NOBODY: Final = Identity()


def _nothing(*_: object) -> object:
    return UNKNOWN


def _us(work: Callable[[], object], times: int) -> float:
    return min(timeit.repeat(work, number=times, repeat=_REPEATS)) / times * 1e6


def _gateway_us(kilobytes: int) -> float:
    """Return the gateway's processor time for a plain call, as measured last."""
    results = machine.ROOT / "bench" / "results" / "gateway.json"
    name = f"gateway.plain.{kilobytes}KB.cpu_per_request"
    if results.exists():
        for row in json.loads(results.read_bytes()):
            if row["name"] == name and row["value"]:
                return float(row["value"])
    return _GATEWAY_US[kilobytes]
