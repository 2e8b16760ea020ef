"""The official Realtime client, and Responses over a WebSocket, from end to end."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
import websockets

from tollbook.simulator.truth import TruthCall, read_truth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openai.resources.realtime.realtime import AsyncRealtimeConnection

MODEL = "gpt-realtime"
TOKENS = {  # ledger column: simulator's kind
    "uncached_input_tokens": "uncached_input",
    "cache_read_tokens": "cache_read",
    "input_audio_tokens": "input_audio",
    "cache_read_audio_tokens": "cache_read_audio",
    "input_image_tokens": "input_image",
    "cache_read_image_tokens": "cache_read_image",
    "visible_output_tokens": "visible_output",
    "reasoning_tokens": "reasoning",
    "output_audio_tokens": "output_audio",
    "audio_ms": "audio_ms",
}
SILENCE = base64.b64encode(bytes(48_000)).decode()  # a second


async def respond(connection: AsyncRealtimeConnection, sim: str) -> Any:
    """Ask for a response of these sizes; return its last event."""
    await connection.response.create(response={"metadata": {"sim": sim}})
    async for event in connection:
        if event.type == "response.done":
            return event.response
    pytest.fail("the socket ended before the response")


def truth_of(house: Any) -> list[TruthCall]:
    return [call for call in read_truth(house.simulator.log_dir) if call.is_billed]


def assert_ledger_is_the_bill(house: Any) -> list[dict[str, Any]]:
    """Compare every billed response with its entry, to the token and the dollar."""
    house.stop()
    entries = house.records("SELECT * FROM entries ORDER BY called_at, call_id")
    by_id = {entry["provider_response_id"]: entry for entry in entries}
    billed = truth_of(house)
    metered = [entry for entry in entries if entry["operation"] != "websocket"]
    assert len(metered) == len(billed)
    for call in billed:
        assert call.ended is not None
        assert not call.received.leaks
        entry = by_id[call.ended.response_id]
        assert entry["usage_source"] == "reported"
        assert entry["model_actual"] == call.ended.model
        kinds = call.quantities._asdict()
        assert {have: entry[have] for have in TOKENS} == {
            have: kinds[kind] for have, kind in TOKENS.items()
        }
        assert entry["cost_usd"] == Decimal(call.ended.cost_usd)
        assert entry["price_state"] == "priced"
        assert entry["tenant_id"] == "acme"
    return list(entries)


@contextlib.asynccontextmanager
async def realtime(house: Any, key: str, **options: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    client = openai.AsyncOpenAI(base_url=f"{house.url}/openai/v1", api_key=key)
    async with client, client.realtime.connect(model=MODEL, **options) as connection:
        yield connection


def test_the_official_client_is_booked_response_by_response(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("voice", tenant_id="acme", feature="calls")

    async def main() -> None:
        async with realtime(house, key, extra_headers={"x-tollbook-user": "ann"}) as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "Be kind.",
                    "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
                }
            )
            await connection.input_audio_buffer.append(audio=SILENCE)
            await connection.input_audio_buffer.commit()
            first = await respond(
                connection,
                "text=119,audio=13,cached_text=64,cached_audio=5,out_text=30,out_audio=91",
            )
            assert first.usage is not None
            assert first.usage.input_tokens == 132
            second = await respond(
                connection,
                "text=300,audio=200,image=70,cached_text=192,cached_audio=64,cached_image=32,"
                "out_text=7,out_audio=0",
            )
            assert second.status == "completed"
            third = await respond(connection, "cancel=1,out_text=3,out_audio=9")
            assert third.status == "cancelled"

    asyncio.run(main())
    entries = assert_ledger_is_the_bill(house)
    session, *calls = entries
    assert (session["operation"], session["price_state"]) == ("websocket", "free")
    assert session["status"] == "ok"
    operations = [call["operation"] for call in calls]
    assert sorted(operations) == ["realtime"] * 3 + ["realtime_transcription"]
    assert {call["user_id"] for call in entries} == {"ann"}
    assert {call["feature"] for call in entries} == {"calls"}
    statuses = [call["status"] for call in calls if call["operation"] == "realtime"]
    assert statuses == ["ok", "ok", "cancelled"]


def test_messages_in_fragments_with_pings_between_are_read(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("voice", tenant_id="acme")

    async def main() -> None:
        async with realtime(house, key, extra_headers={"x-sim-fault": "fragmented"}) as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                }
            )
            await connection.input_audio_buffer.append(audio=SILENCE)
            await connection.input_audio_buffer.commit()
            for text in (1, 500):
                done = await respond(connection, f"text={text},out_audio=700")
                assert done.usage is not None
                assert done.usage.input_tokens == text

    asyncio.run(main())
    entries = assert_ledger_is_the_bill(house)
    assert [entry["audio_ms"] for entry in entries if entry["audio_ms"]] == [1000]


def test_a_response_that_breaks_off_is_estimated(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("voice", tenant_id="acme")

    async def main() -> None:
        async with realtime(house, key) as connection:
            await respond(connection, "text=100,out_text=10,out_audio=0")
            with pytest.raises(websockets.ConnectionClosedError):
                await respond(connection, "cut=1,text=110,out_text=20,out_audio=40")

    asyncio.run(main())
    house.stop()
    (session,) = house.records("SELECT * FROM entries WHERE operation = 'websocket'")
    assert (session["status"], session["error_type"]) == ("error", "upstream_broken")
    whole, cut = house.records(
        "SELECT * FROM entries WHERE operation = 'realtime' ORDER BY called_at"
    )
    assert whole["usage_source"] == "reported"
    assert (cut["usage_source"], cut["status"]) == ("estimated", "error")
    assert cut["output_audio_tokens"] == 40  # by the length of the sound
    assert cut["visible_output_tokens"] == 25  # 100 characters
    assert cut["uncached_input_tokens"] == 110  # what the conversation held by then
    assert cut["price_state"] == "priced"
    assert cut["cost_usd"] > 0


def test_a_gateway_that_is_killed_leaves_evidence(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("voice", tenant_id="acme")

    async def main() -> None:
        async with realtime(house, key) as connection:
            await respond(connection, "text=100,out_text=10,out_audio=20")
            await connection.response.create(response={"metadata": {"sim": "hold=1"}})
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    break
            house.kill(1)
            with pytest.raises(websockets.ConnectionClosedError):
                await connection.recv()

    asyncio.run(main())
    house.settle()
    house.stop()
    entries = house.records("SELECT * FROM entries ORDER BY called_at, call_id")
    assert [(entry["operation"], entry["status"]) for entry in entries] == [
        ("websocket", "interrupted"),
        ("realtime", "ok"),
        ("realtime", "interrupted"),
    ]
    assert {entry["tenant_id"] for entry in entries} == {"acme"}
    assert entries[0]["price_state"] == "free"
    assert entries[2]["usage_source"] == "estimated"
    assert entries[2]["uncached_input_tokens"] == 130  # what the conversation held by then
    assert entries[2]["cost_usd"] > 0


def test_A12_responses_over_a_websocket_are_all_counted(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("agent", tenant_id="acme")
    address = house.url.replace("http", "ws") + "/openai/v1/responses"

    async def ask(socket: websockets.ClientConnection, **body: Any) -> dict[str, Any]:
        await socket.send(
            json.dumps({"type": "response.create", "model": "gpt-5", "input": "hello", **body})
        )
        async for message in socket:
            event: dict[str, Any] = json.loads(message)
            if event["type"] in {"response.completed", "error"}:
                return event
        pytest.fail("the socket ended before the response")

    async def main() -> None:
        headers = {
            "Authorization": f"Bearer {key}",
            "x-sim-size": "input=3000;cache_read=2048;output=400;reasoning=120",
        }
        async with websockets.connect(address, additional_headers=headers) as socket:
            first = await ask(socket)
            second = await ask(socket, previous_response_id=first["response"]["id"])
            assert second["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 2048
            refused = await ask(socket, model="no-such-model")
            assert refused["type"] == "error"

    asyncio.run(main())
    house.stop()
    entries = house.records(
        "SELECT * FROM entries WHERE operation = 'responses' ORDER BY called_at, call_id"
    )
    assert [entry["status"] for entry in entries] == ["ok", "ok", "error"]
    assert [entry["price_state"] for entry in entries] == ["priced", "priced", "not_billed"]
    billed = truth_of(house)
    assert len(billed) == 2
    for column, kind in TOKENS.items():
        assert sum(entry[column] or 0 for entry in entries) == sum(
            call.quantities._asdict()[kind] for call in billed
        )
    assert sum(entry["cache_read_tokens"] or 0 for entry in entries) == 4096
    assert sum(entry["reasoning_tokens"] or 0 for entry in entries) == 240
    assert sum(entry["cost_usd"] for entry in entries if entry["cost_usd"]) == sum(
        Decimal(call.ended.cost_usd) for call in billed if call.ended is not None
    )
