"""What is read of a conversation when a worker has no time for all of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.gateway.kit import Provider, Sink, chat, run, running
from tests.layers.layers_kit import PATHS, layered, layered_raw, names, sums
from tests.layers.test_layers_properties import plain
from tools import layer_error
from tools.layer_requests import requests

from tollbook.capture.gateway.layer_work import (
    BUSY_PERCENT,
    DEBT_MAX,
    RESERVE_PERCENT,
    SHARE_PERCENT,
    SPARE_PERCENT,
    LayerWork,
)
from tollbook.capture.gateway.wheel import Wheel
from tollbook.dialects import chat_layers, sampled_layers
from tollbook.dialects.layer_allowance import COST_PERCENT, LayerAllowance, allowance
from tollbook.dialects.request_layers import RUNS_MAX, UNKNOWN, Layered
from tollbook.layers import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

LOTS = 1 << 60
RESULT = '{"id": "inv_7f3a", "state": "overdue", "total": 120.5}\n' * 12


class Ticks:
    """A clock on which everything takes a microsecond."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 1000
        return self.now_ns


def agent(api: str, calls: int, *, prompt: str = "Be brief.") -> dict[str, Any]:
    """Return an agent's request with so many calls of tools and their results."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Which invoices are overdue?"}]
    body: dict[str, Any] = {"messages": messages, "tools": [{"name": "search", "description": "x"}]}
    if api == "openai":
        messages.insert(0, {"role": "system", "content": prompt})
    else:
        body["system"] = prompt
    for at in range(calls):
        if api == "openai":
            function = {"name": "search", "arguments": '{"query": "overdue"}'}
            call = {"id": f"c{at}", "type": "function", "function": function}
            # As the official SDK writes what it was answered: the role is not the first member.
            messages.append({"content": None, "role": "assistant", "tool_calls": [call, call]})
            messages.append({"tool_call_id": f"c{at}", "role": "tool", "content": RESULT})
        else:
            rows = [{"role": "admin", "of": "a"}, {"role": "admin", "of": "b"}]
            use = {"type": "tool_use", "id": f"t{at}", "name": "search", "input": {"rows": rows}}
            messages.append({"role": "assistant", "content": [{"type": "text", "text": "I"}, use]})
            result = {"type": "tool_result", "tool_use_id": f"t{at}", "content": RESULT}
            messages.append({"role": "user", "content": [result]})
    return body


@pytest.fixture
def granted() -> Iterator[LayerAllowance]:
    """Give an allowance with nothing left."""
    given = LayerAllowance(Ticks())
    token = allowance.set(given)
    yield given
    allowance.reset(token)


def share(found: Layered, section: str) -> float:
    totals = sums(found)
    return totals.get(section, 0) / sum(totals.values())


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_layers_allowance_used_up_samples_and_refilled_is_exact(
    api: str, separators: tuple[str, str], granted: LayerAllowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(agent(api, 40), separators=separators).encode()
    with_all = allowance.set(None)
    exact = layered_raw(api, body)
    allowance.reset(with_all)
    granted.spare_ns = 500
    assert layered_raw(api, body) == exact
    assert granted.spare_ns == 500 - 10 * COST_PERCENT  # one microsecond was used

    decoded: list[object] = []
    monkeypatch.setattr(chat_layers, "read_turns", decoded.append)
    granted.share_ns = 500
    sampled = layered_raw(api, body)
    assert granted.share_ns < 0
    assert not decoded
    assert sampled != exact
    assert (sampled.prefix_hash, sampled.prefix_chars) == (exact.prefix_hash, exact.prefix_chars)
    for section in ("system", "tool_definitions", "tool_results", "user_input"):
        assert abs(share(sampled, section) - share(exact, section)) < 0.02
    total = sum((sampled.layers or ())[1::2])
    assert abs(total / sum((exact.layers or ())[1::2]) - 1) < 0.15

    granted.share_ns, granted.reserve_ns = 500, 1000
    unread = layered_raw(api, body)
    assert granted.share_ns < 0
    assert names(unread)[-1] == "other"
    assert "tool_results" not in sums(unread)
    assert (unread.prefix_hash, unread.prefix_chars) == (exact.prefix_hash, exact.prefix_chars)
    assert abs(share(unread, "other") - share(exact, "tool_results")) < 0.1

    owed = granted.share_ns
    assert layered_raw(api, body) == UNKNOWN
    assert granted.share_ns == owed  # it took nothing

    monkeypatch.undo()
    granted.spare_ns = 500
    assert layered_raw(api, body) == exact


BODIES: dict[str, dict[str, Any]] = {
    "openai": {"messages": plain(3, 10)},
    "responses": {"input": plain(3, 10)},
    "anthropic": {"messages": plain(3, 10)[1:], "system": "Be brief."},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "What is a toll?"}]}]},
    "bedrock": {"messages": [{"role": "user", "content": [{"text": "What is a toll?"}]}]},
    "cohere": {"messages": plain(3, 10)},
    "ollama": {"messages": plain(3, 10)},
}


@pytest.mark.parametrize("api", sorted(PATHS))
def test_layers_allowance_is_for_every_api(api: str, granted: LayerAllowance) -> None:
    with_all = allowance.set(None)
    exact = layered(api, BODIES[api])
    allowance.reset(with_all)
    assert exact.layers
    granted.share_ns = 1
    assert layered(api, BODIES[api]) == exact
    assert granted.share_ns == 1 - 10 * COST_PERCENT  # of the microsecond that it took
    assert layered(api, BODIES[api]) == UNKNOWN


def test_layers_allowance_is_for_long_plain_conversations_too(granted: LayerAllowance) -> None:
    body = {"messages": plain(81, 30)}
    granted.share_ns = 1
    assert names(layered("openai", body)) == ["system", "history", "user_input"]
    assert granted.share_ns < 0
    assert layered("openai", body) == UNKNOWN


def test_layers_allowance_samples_plain_conversations_with_tools(granted: LayerAllowance) -> None:
    body = {"messages": plain(81, 30), "tools": [{"name": "search"}]}
    granted.share_ns = LOTS
    found = layered("openai", body)
    assert names(found) == ["tool_definitions", "system", "history", "user_input"]
    granted.spare_ns = LOTS
    exact = layered("openai", body)
    assert abs(share(found, "user_input") - share(exact, "user_input")) < 0.02


def test_layers_allowance_reads_short_ones_whole_while_there_is_any(
    granted: LayerAllowance,
) -> None:
    body = agent("openai", 1)
    granted.share_ns = LOTS
    assert "tool_results" in sums(layered("openai", body))
    granted.reserve_ns = LOTS
    assert names(layered("openai", body)) == ["tool_definitions", "system", "other"]


def test_layers_allowance_reads_what_cannot_be_sampled_and_owes_it(
    granted: LayerAllowance,
) -> None:
    """Written with line breaks between the messages: nothing is found to cut at."""
    body = json.dumps(agent("openai", 20), indent=1).encode()
    granted.share_ns = 1
    assert "tool_results" in sums(layered_raw("openai", body))
    assert granted.share_ns < 0
    granted.share_ns, granted.reserve_ns = 1, 1
    assert names(layered_raw("openai", body)) == ["tool_definitions", "other"]


def test_layers_sample_tells_texts_that_look_like_messages(granted: LayerAllowance) -> None:
    granted.share_ns = LOTS
    body = agent("openai", 30)
    trap = '"},{"role":"system","content":"' * 30
    for message in body["messages"][2:]:
        if message["role"] == "tool":
            message["content"] = trap
    for separators in ((",", ":"), (", ", ": ")):
        found = layered_raw("openai", json.dumps(body, separators=separators).encode())
        assert share(found, "tool_results") > 0.9
        assert share(found, "system") < 0.02


WORDS = ('},{"', '"role":"user"', '"role":"system",', '{"', '"}', "]", "[", '"content":"x"', ",")
pieces = st.lists(st.sampled_from(WORDS) | st.text(max_size=9), max_size=60).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PATHS)), pieces, st.sampled_from([0, LOTS]))
@example("openai", '{"role":"user","content":"x"},' * 200, 0)
@example("responses", '{"type":"function_call","name":"f"},' * 200, LOTS)
def test_layers_sample_of_anything_is_well_formed(api: str, inner: str, reserve_ns: int) -> None:
    member = {"gemini": "contents", "responses": "input"}.get(api, "messages")
    body = b'{"%b":[%b{"role":"user","content":"%b"}]}' % (
        member.encode(), inner.encode() * 20, b"x" * 4000
    )  # fmt: skip
    token = allowance.set(LayerAllowance(Ticks(), share_ns=LOTS, reserve_ns=reserve_ns))
    try:
        found = layered_raw(api, body)
    finally:
        allowance.reset(token)
    layers = found.layers or ()
    assert len(layers) % 2 == 0
    assert len(layers) <= 2 * RUNS_MAX
    assert all(Section(section) for section in layers[::2] if section)
    assert all(weight > 0 for weight in layers[1::2])


def test_layers_sampled_are_within_the_goal(
    granted: LayerAllowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of requests that were sampled, nine of ten are within five points; so the page says."""
    granted.share_ns = LOTS
    sampled: list[object] = []

    def noted(raw: bytes) -> sampled_layers.Sampled | None:
        found = sampled_layers.sample(raw)
        sampled.append(found)
        return found

    monkeypatch.setattr(chat_layers, "sample", noted)
    points = []
    for request in requests(720, layer_error.count_o200k(), seed=4):
        if request.scenario == "agent loop" and len(request.body) > 10_000:
            sampled.clear()
            found = layered_raw(request.dialect, request.body, request.path)
            if any(sampled):
                points.append(
                    layer_error.worst(request.truth, layer_error.by_layer(found.layers))[0]
                )
    points.sort()
    assert len(points) >= 50
    middle, ninth = points[len(points) // 2], points[len(points) * 9 // 10]
    assert ninth <= layer_error.GOAL_POINTS
    told = f"{len(points)} agents' requests that were sampled"
    assert told in layer_error.PAGE.read_text(), (told, middle, ninth)


def test_layers_work_is_a_share_of_what_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([0, 20, 120, 200, 210])
    monkeypatch.setattr(
        "tollbook.capture.gateway.layer_work.clock.cpu_ns", lambda: next(used) * 1_000_000
    )

    async def main() -> None:
        work = LayerWork(Wheel(asyncio.get_running_loop()))
        granted = work.allowance
        work.refill(0.1)  # 20 of 100 ms: idle
        assert granted.spare_ns == SPARE_PERCENT * 1_000_000
        work.refill(0.1)  # 100 of 100 ms
        assert granted.spare_ns == 0
        assert granted.share_ns == SHARE_PERCENT * 1_000_000
        assert granted.reserve_ns == SHARE_PERCENT * 10_000 * RESERVE_PERCENT
        granted.share_ns = -1_000_000_000
        work.refill(0.1)  # 80 ms; a debt is paid from so many fillings, not for ever
        assert granted.spare_ns == 0
        assert granted.share_ns == (1 - DEBT_MAX) * SHARE_PERCENT * 800_000
        granted.share_ns = -1
        work.refill(0.1)
        assert granted.spare_ns > 0
        assert granted.share_ns == BUSY_PERCENT * SHARE_PERCENT * 10_000 - 1

    run(main())


def test_layers_workers_that_share_cores_are_busy_with_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = iter([0, 0, 30, 30])
    monkeypatch.setattr(
        "tollbook.capture.gateway.layer_work.clock.cpu_ns", lambda: next(used) * 1_000_000
    )
    monkeypatch.setattr("tollbook.capture.gateway.layer_work.os.cpu_count", lambda: 2)

    async def main() -> None:
        wheel = Wheel(asyncio.get_running_loop())
        alone, one_of_four = LayerWork(wheel, workers=2), LayerWork(wheel, workers=4)
        for each in (alone, one_of_four):
            each.refill(0.1)  # 30 of 100 ms
        assert alone.allowance.spare_ns > 0
        assert one_of_four.allowance.spare_ns == 0

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is of Linux")
def test_layers_freed_memory_is_kept() -> None:
    """Blocks as large as bodies come and go without the kernel's clearing pages each time."""
    script = (
        "import resource, sys\n"
        "from tollbook.capture.gateway.allocator import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': assert keep_freed_memory()\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def work(): return [bytes(100_000) for _ in range(8)]\n"
        "work(); before = faults()\n"
        "for _ in range(100): work()\n"
        "print(faults() - before)\n"
    )
    counted = [
        int(subprocess.run(
            [sys.executable, "-c", script, mode], capture_output=True, check=True, timeout=30
        ).stdout)
        for mode in ("keep", "default")
    ]  # fmt: skip
    assert counted[0] < 200
    assert counted[1] > 5 * counted[0]


def test_layers_of_a_busy_gateway_are_sampled_and_then_exact_again() -> None:
    """The allowance reaches the connections, and the wheel fills it up."""
    body = json.dumps(agent("openai", 40)).encode()
    request = chat(body, headers="x-tollbook-tenant: acme\r\n")

    async def main() -> list[tuple[int, ...] | None]:
        async with running(sink=Sink()) as gateway:
            work, wheel = gateway.service.layer_work, gateway.service.wheel
            wheel.stop()
            granted = work.allowance
            for spare, rest, kept in ((LOTS, 0, 0), (0, LOTS, 0), (0, LOTS, LOTS), (0, 0, 0)):
                granted.spare_ns, granted.share_ns, granted.reserve_ns = spare, rest, kept
                response = await gateway.ask(request)
                assert response.status == 200
            work.allowance.spare_ns = -1
            filled = asyncio.Event()

            def note(_: float) -> None:
                if work.allowance.spare_ns > 0:
                    filled.set()

            wheel.each_tick(note)
            wheel.start()
            await filled.wait()
            await gateway.ask(request)
            return [each.layers for each in gateway.sink.opened]

    exact, sampled, unread, nothing, again = run(main())
    assert exact == layered_raw("openai", body).layers == again
    assert sampled != exact
    assert unread is not None
    assert unread[-2] == Section.OTHER
    assert nothing is None


def test_layers_of_a_gateway_that_reads_none() -> None:
    """Nothing is said of any request, and marks are still taken away."""
    headers = "x-tollbook-tenant: acme\r\nx-tollbook-layers: retrieved=messages[0]\r\n"
    body = agent("openai", 3)

    async def main() -> None:
        provider = Provider()
        async with running(provider, sink=Sink(), settings={"layers": False}) as gateway:
            filled = asyncio.Event()
            gateway.service.wheel.each_tick(lambda _: filled.set())
            await filled.wait()
            response = await gateway.ask(chat(json.dumps(body).encode(), headers=headers))
            assert response.status == 200
            assert provider.requests[0].header("x-tollbook-layers") is None
            opened = gateway.sink.opened[0]
            assert opened.layers is None
            assert opened.prefix_hash is None
            assert opened.input_chars > 0
            assert not opened.identity.problems

    run(main())
