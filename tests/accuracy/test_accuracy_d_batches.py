"""D: batches through the house with the official SDKs: ledger and truth equal, to the dollar."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from tests.e2e.conftest import make_house, wait_until

from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import House

__all__ = ["make_house"]

_HEADERS = {"x-tollbook-tenant": "acme", "x-tollbook-feature": "digest"}
_PATTERN = "custom_id_pattern = '(?P<tenant>[a-z]+):(?P<user>[a-z0-9]+)(:.*)?'"
# The price list has no batch price for embeddings, which cost half in a batch as all else does.
_EMBEDDINGS = """
[[prices]]
provider = "openai"
model = "text-embedding-3-small"
effective_from = "2025-01-01"
input = 0.01
"""


def settings(more: str = "") -> str:
    return f"[batch]\n{_PATTERN}\npoll_interval_s = 0.3\n{more}\n{_EMBEDDINGS}"


@contextlib.contextmanager
def openai_client(house: House, key: str = "sk-sim-own") -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{house.url}/openai/v1", api_key=key, max_retries=0, default_headers=_HEADERS
    ) as client:
        yield client


@contextlib.contextmanager
def anthropic_client(house: House, key: str = "sk-sim-own") -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=f"{house.url}/anthropic", api_key=key, max_retries=0, default_headers=_HEADERS
    ) as client:
        yield client


def line(custom_id: str, path: str, **body: Any) -> str:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": path, "body": body})


def chat_line(custom_id: str, model: str = "gpt-4o-mini", **body: Any) -> str:
    messages = [{"role": "user", "content": f"Summarise item {custom_id}."}]
    return line(custom_id, "/v1/chat/completions", model=model, messages=messages, **body)


def submit(
    client: openai.OpenAI, lines: list[str], endpoint: Any = "/v1/chat/completions",
    *, wish: str = "", **options: Any,
) -> Any:  # fmt: skip
    """Upload lines and submit them."""
    data = "\n".join(lines).encode()
    file = client.files.create(file=("lines.jsonl", data), purpose="batch")
    headers = {"x-sim-batch": wish} if wish else {}
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", extra_headers=headers,
        **options,
    )  # fmt: skip


def submit_messages(client: anthropic.Anthropic, custom_ids: dict[str, str], wish: str = "") -> Any:
    """Submit messages: custom id to user id."""
    requests: list[Any] = [
        {
            "custom_id": custom_id,
            "params": {
                "model": "claude-haiku-4-5", "max_tokens": 300,
                "messages": [{"role": "user", "content": f"Read {custom_id}."}],
                **({"metadata": {"user_id": user}} if user else {}),
            },
        }
        for custom_id, user in custom_ids.items()
    ]  # fmt: skip
    headers = {"x-sim-batch": wish} if wish else {}
    return client.messages.batches.create(requests=requests, extra_headers=headers)


def truth_of(house: House) -> dict[str, tuple[Any, Any, Any]]:
    """What the providers bill for lines: input, output and dollars by custom id."""
    found: dict[str, tuple[Any, Any, Any]] = {}
    for call in read_truth(house.simulator.log_dir):
        if call.received.method == "BATCH" and call.is_billed:
            assert call.ended is not None
            custom_id = str(call.received.request_id)
            assert custom_id not in found, "custom ids of a test are unique"
            found[custom_id] = (
                call.quantities.input, call.quantities.output, Decimal(call.ended.cost_usd)
            )  # fmt: skip
    return found


_BOOKED = """
    SELECT custom_id, sum(uncached_input_tokens + cache_read_tokens + cache_write_5m_tokens
                          + cache_write_1h_tokens)::BIGINT,
           sum(visible_output_tokens + reasoning_tokens)::BIGINT, sum(cost_usd)
    FROM entries WHERE custom_id IS NOT NULL AND price_state IN ('priced', 'unpriced')
    GROUP BY custom_id HAVING sum(calls) <> 0"""


def booked(house: House) -> dict[str, tuple[Any, Any, Any]]:
    return {one: (given, out, usd) for one, given, out, usd in house.rows(_BOOKED)}


def owners(house: House) -> dict[str, tuple[str | None, str | None]]:
    rows = house.rows(
        "SELECT custom_id, tenant_id, user_id FROM entries WHERE custom_id IS NOT NULL"
        " GROUP BY ALL HAVING sum(calls) <> 0"
    )
    return {custom_id: (tenant, user) for custom_id, tenant, user in rows}


def states(house: House) -> dict[str, dict[str, Any]]:
    done = house.cli("calls", "--batch", "--format", "json")
    assert done.returncode == 0 or "does not answer" in done.stderr, done.stderr
    found = json.loads(done.stdout)["rows"] if done.stdout else []
    return {row["batch_id"]: row for row in found}


def verify(house: House) -> None:
    done = house.cli("verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_D1_D3_results_of_every_shape_are_booked_once_however_often_they_are_read(
    make_house: Callable[..., House],
) -> None:
    house = make_house(settings=settings(), workers=2)
    with openai_client(house) as client:
        batch = submit(
            client,
            [
                chat_line("plain-1"),
                chat_line("globex:u7", user="ignored"),
                chat_line("plain-2", metadata={"tenant": "initech"}, safety_identifier="s1"),
                chat_line("bad-1", model="no-such-model"),
            ],
            metadata={"feature": "nightly"},
        )
        vectors = submit(
            client,
            [line("vec-1", "/v1/embeddings", model="text-embedding-3-small", input="some text")],
            "/v1/embeddings",
        )
        replies = submit(
            client, [line("resp-1", "/v1/responses", model="gpt-5-mini", input="hello")],
            "/v1/responses",
        )  # fmt: skip
        for one in (batch, vectors, replies):
            done = client.batches.retrieve(one.id)
            assert done.status == "completed"
            for _ in range(4):
                text = client.files.content(str(done.output_file_id)).text
                assert text.count("\n") == (3 if one is batch else 1)
            if done.error_file_id:
                assert "no-such-model" in client.files.content(done.error_file_id).text
    with anthropic_client(house) as client:
        messages = submit_messages(client, {"msg-1": "", "msg-2": "u9", "globex:u8": "u9"})
        assert client.messages.batches.retrieve(messages.id).processing_status == "ended"
        for _ in range(2):
            found = {one.custom_id: one.result.type for one in
                     client.messages.batches.results(messages.id)}  # fmt: skip
            assert found == dict.fromkeys(["msg-1", "msg-2", "globex:u8"], "succeeded")
    wait_until(lambda: {row["state"] for row in states(house).values()} == {"booked"})
    shown = states(house)
    assert shown[batch.id]["seen_again"] == 9
    assert [shown[batch.id][name] for name in ("tenant", "lines", "booked")] == ["acme", 4, 4]
    house.stop()
    truth = truth_of(house)
    assert len(truth) == 8
    assert booked(house) == truth
    assert owners(house) == {
        "plain-1": ("acme", None), "globex:u7": ("globex", "u7"), "plain-2": ("initech", "s1"),
        "bad-1": ("acme", None), "vec-1": ("acme", None), "resp-1": ("acme", None),
        "msg-1": ("acme", None), "msg-2": ("acme", "u9"),
    } | {"globex:u8": ("globex", "u8")}  # fmt: skip
    assert house.rows(
        "SELECT DISTINCT feature FROM entries WHERE custom_id = 'plain-1'"
    ) == [("digest",)]  # fmt: skip
    assert house.rows("SELECT price_state, error_type FROM entries WHERE custom_id = 'bad-1'") == [
        ("not_billed", "model_not_found")
    ]
    verify(house)


def is_booked(house: House, *batches: Any) -> bool:
    shown = states(house)
    return all(shown.get(one.id, {}).get("state") == "booked" for one in batches)


@pytest.mark.slow
def test_D4_poison_and_failed_lines_hold_nobody_up(make_house: Callable[..., House]) -> None:
    house = make_house(settings=settings("fetch = true"))
    with openai_client(house) as client:
        batch = submit(
            client, [chat_line(f"line-{at}") for at in range(20)], wish="ready_ms=1500;poison=2"
        )
        late = submit(client, [chat_line("late-1"), chat_line("late-2")], wish="expire=1")
        failed = submit(client, [chat_line("never")], wish="status=failed")
    with anthropic_client(house) as client:
        messages = submit_messages(client, {"msg-1": "u1", "msg-2": ""}, "ready_ms=500;expire=1")
    wait_until(lambda: is_booked(house, batch, late, messages), 60)
    shown = states(house)
    assert shown[failed.id]["state"] == "empty"
    assert shown[batch.id]["unpriced"] == 2
    house.stop()
    booked_lines = booked(house)
    poison = {"(line 2)": (None, None, None), "(line 3)": (None, None, None)}
    assert booked_lines == truth_of(house) | poison
    assert owners(house)["msg-1"] == ("acme", "u1")
    assert house.rows(
        "SELECT custom_id, error_type FROM entries WHERE price_state = 'not_billed' ORDER BY ALL"
    ) == [("late-2", "batch_expired"), ("msg-2", "expired")]
    verify(house)


def test_D2_batches_submitted_around_tollbook_are_billed_to_nobody(
    make_house: Callable[..., House],
) -> None:
    house = make_house(settings=settings("fetch = true\ndiscover = true"))
    with openai.OpenAI(
        base_url=f"{house.simulator.base_url}/openai/v1", api_key="sk-sim-other"
    ) as client:
        batch = submit(client, [chat_line("around-1"), chat_line("around-2", user="u1")])
    wait_until(lambda: is_booked(house, batch), 60)
    assert states(house)[batch.id]["tenant"] == "unknown"
    house.stop()
    assert booked(house) == truth_of(house)
    assert {tenant for tenant, _ in owners(house).values()} == {None}
    verify(house)


@pytest.mark.slow
def test_D5_kills_between_submission_and_results_lose_and_double_nothing(
    make_house: Callable[..., House],
) -> None:
    house = make_house(settings=settings("fetch = true"), workers=2)
    names = [f"{('globex', 'initech', 'umbrella')[at % 3]}:u{at}:{at}" for at in range(120)]
    with openai_client(house) as client:
        batches = [
            submit(client, [chat_line(one) for one in names[at : at + 40]], wish="ready_ms=3000")
            for at in (0, 40, 80)
        ]
        house.kill(0)
        for _ in range(6):
            for child in house.supervisor.fetchers:
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGKILL)
            threading.Event().wait(0.7)
        house.kill(0)
        house.kill(1)
        house.settle()
        for one in batches:  # a client that fetches as well
            with contextlib.suppress(openai.OpenAIError):
                done = client.batches.retrieve(one.id)
                client.files.content(str(done.output_file_id)).read()
    wait_until(lambda: is_booked(house, *batches), 90)
    house.stop()
    truth = truth_of(house)
    assert len(truth) == 120
    assert booked(house) == truth
    assert {one: owner for one, (owner, _) in owners(house).items()} == {
        one: one.partition(":")[0] for one in names
    }
    verify(house)


def test_D6_results_that_never_come_cost_an_unknown_amount_until_they_do(
    make_house: Callable[..., House],
) -> None:
    house = make_house(settings=settings("settle_after_h = 0.0005"))
    with openai_client(house) as client:
        batch = submit(client, [chat_line("slow-1"), chat_line("slow-2")])
        wait_until(lambda: states(house).get(batch.id, {}).get("state") == "settled", 60)
        unknown = house.cli("report spend", "--by", "tenant", "--format", "json")
        done = client.batches.retrieve(batch.id)
        client.files.content(str(done.output_file_id)).read()
        wait_until(lambda: is_booked(house, batch), 60)
    house.stop()
    assert json.loads(unknown.stdout)["completeness"]["unpriced"]["calls"] > 0
    assert booked(house) == truth_of(house)
    assert set(owners(house).values()) == {("acme", None)}
    verify(house)
