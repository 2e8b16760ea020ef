"""Batches that pass through the gateway: bytes unchanged, owners, states and results noted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.gateway.kit import (
    FakeKeys,
    Gateway,
    Provider,
    answer,
    get,
    replying,
    run,
    running,
    until,
)

from tollbook.call import BatchFile, BatchOwners, BatchRead, BatchResult, BatchSeen, Frame
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from tests.gateway.kit import Handler

_HEADERS = "x-tollbook-tenant: acme\r\n"
_FILE = {"id": "file-1", "object": "file", "purpose": "batch"}
_BATCH = {
    "id": "batch_1", "object": "batch", "status": "completed", "input_file_id": "file-1",
    "endpoint": "/v1/chat/completions", "output_file_id": "file-out", "error_file_id": None,
    "created_at": 1_790_000_000, "completed_at": 1_790_003_600,
    "request_counts": {"total": 2, "completed": 2, "failed": 0},
}  # fmt: skip


def frames(gateway: Gateway, *kinds: type) -> list[Any]:
    found: list[Frame] = gateway.sink.on_file + gateway.sink.queued
    return [one for one in found if isinstance(one, kinds)]


def request(
    path: str, body: bytes, content_type: str = "application/json", headers: str = _HEADERS,
    key: str = "sk-own",
) -> bytes:  # fmt: skip
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {key}\r\n{headers}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form(data: bytes, purpose: str = "batch", *, purpose_first: bool = True) -> bytes:
    parts = [
        b'Content-Disposition: form-data; name="purpose"\r\n\r\n' + purpose.encode(),
        b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + data,
    ]
    if not purpose_first:
        parts.reverse()
    return b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"


def upload(data: bytes, **options: Any) -> bytes:
    return request("/openai/v1/files", form(data, **options), "multipart/form-data; boundary=XX")


def line(custom_id: str, **body: Any) -> bytes:
    return json.dumps({
        "custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body,
    }).encode()  # fmt: skip


def serving(body: Any, **options: Any) -> Handler:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return replying(answer(data, **options))


def ask(handler: Handler, data: bytes, **options: Any) -> list[Any]:
    """Send a request; return the batch frames it made. The body must pass unchanged."""

    async def main() -> list[Any]:
        async with running(Provider(handler), **options) as gateway:
            response = await gateway.ask(data)
            assert response.status == 200
            (seen,) = gateway.provider.requests
            assert seen.body == data.partition(b"\r\n\r\n")[2]
            await gateway.closed_calls()
            return frames(gateway, BatchOwners, BatchFile, BatchSeen, BatchResult, BatchRead)

    return run(main())


@pytest.mark.parametrize("purpose_first", [True, False])
def test_an_upload_names_the_owners_of_its_lines(*, purpose_first: bool) -> None:
    data = b"\n".join([
        line("a", metadata={"tenant": "globex"}), line("b"), line("c", user="u1"),
        line("d", metadata={"tenant": "globex"}),
    ])  # fmt: skip
    owners, file = ask(serving(_FILE), upload(data, purpose_first=purpose_first))
    assert [(one, owners.identities[at].tenant_id) for one, at in owners.lines] == [
        ("a", "globex"), ("c", None), ("d", "globex"),
    ]  # fmt: skip
    assert len(owners.identities) == 2
    assert owners.identities[1].user_id == "u1"
    assert (file.file_id, file.lines, file.identity.tenant_id) == ("file-1", 4, "acme")
    assert file.call_id == owners.call_id


@pytest.mark.parametrize(
    ("data", "purpose"),
    [
        (line("a", user="u1"), "fine-tune"),
        (b"%PDF-1.7\nbinary \x00 bytes", "batch"),
        (b"", "batch"),
    ],
)
def test_other_uploads_pass_unnoted(data: bytes, purpose: str) -> None:
    assert not [
        one for one in ask(serving(_FILE), upload(data, purpose=purpose))
        if isinstance(one, BatchFile)
    ]  # fmt: skip


def test_a_refused_upload_is_no_file() -> None:
    async def main() -> None:
        handler = replying(answer(b'{"error":{}}', "400 Bad Request"))
        async with running(Provider(handler)) as gateway:
            assert (await gateway.ask(upload(line("a", user="u")))).status == 400
            await gateway.closed_calls()
            assert frames(gateway, BatchFile) == []

    run(main())


def test_a_submission_is_noted_with_its_owner() -> None:
    body = json.dumps({
        "input_file_id": "file-1", "endpoint": "/v1/chat/completions",
        "metadata": {"feature": "nightly"},
    }).encode()  # fmt: skip
    (seen,) = ask(serving(_BATCH), request("/openai/v1/batches", body))
    assert (seen.batch_id, seen.collection, seen.endpoint) == (
        "batch_1", "/v1/batches", "/v1/chat/completions"
    )  # fmt: skip
    assert (seen.identity.tenant_id, seen.identity.feature) == ("acme", "nightly")
    assert seen.call_id is not None
    assert (seen.input_ids, seen.result_ids, seen.lines) == (("file-1",), ("file-out",), 2)
    assert seen.ended_at_ns == 1_790_003_600 * 10**9


def test_a_look_at_batches_has_no_owner() -> None:
    listed = {"object": "list", "data": [_BATCH, {**_BATCH, "id": "batch_2"}, {"id": 7}]}
    found = ask(serving(listed), get("/openai/v1/batches?limit=20", headers=_HEADERS))
    assert [(one.batch_id, one.identity, one.call_id) for one in found] == [
        ("batch_1", None, None), ("batch_2", None, None),
    ]  # fmt: skip


def result(custom_id: str, tokens: int = 5) -> bytes:
    usage = {"prompt_tokens": tokens, "completion_tokens": 2, "total_tokens": tokens + 2}
    body = {
        "id": f"chatcmpl-{custom_id}", "object": "chat.completion", "model": "gpt-4o-mini-2024",
        "choices": [{"message": {"content": "secret text"}}], "usage": usage,
    }  # fmt: skip
    return json.dumps({
        "id": "batch_req_1", "custom_id": custom_id, "error": None,
        "response": {"status_code": 200, "request_id": "r", "body": body},
    }).encode()  # fmt: skip


@pytest.mark.parametrize("chunked", [True, False])
def test_results_are_noted_as_they_pass(*, chunked: bool) -> None:
    data = result("a") + b"\n" + b'{"broken\n' + result("b", 7)
    if chunked:
        parts = [data[at : at + 40] for at in range(0, len(data), 40)]
        whole = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in parts) + b"0\r\n\r\n"
        reply = answer(whole, headers="transfer-encoding: chunked\r\n", length=False)
    else:
        reply = answer(data)

    async def main() -> list[Any]:
        async with running(Provider(replying(reply))) as gateway:
            response = await gateway.ask(get("/openai/v1/files/file-out/content"))
            assert response.body == data
            assert gateway.provider.requests[0].header("accept-encoding") == "identity"
            await gateway.closed_calls()
            return frames(gateway, BatchResult, BatchRead)

    first, poison, second, read = run(main())
    assert (first.custom_id, first.source_id, first.endpoint) == (
        "a", "file-out", "/v1/chat/completions"
    )  # fmt: skip
    assert json.loads(second.usage[0])["prompt_tokens"] == 7
    assert (poison.custom_id, poison.usage, bool(poison.problem)) == ("(line 2)", (), True)
    assert (read.source_id, read.lines) == ("file-out", 3)
    assert b"secret text" not in repr((first, poison, second)).encode()


@pytest.mark.parametrize(
    "reply",
    [
        answer(result("a") + b"\n", "206 Partial Content"),
        answer(b'{"messages": []}\n' * 200),
        answer(b"{}", "404 Not Found"),
        answer(b""),
    ],
)
def test_what_are_no_results_passes_unnoted(reply: bytes) -> None:
    async def main() -> None:
        async with running(Provider(replying(reply))) as gateway:
            await gateway.ask(get("/openai/v1/files/file-out/content"))
            await gateway.closed_calls()
            assert frames(gateway, BatchResult, BatchRead) == []

    run(main())


def test_results_that_break_off_are_not_read_whole() -> None:
    data = result("a") + b"\n" + result("b")
    reply = answer(data).replace(b"content-length: ", b"content-length: 9")

    async def breaking(_: Any, __: Any, ___: Any, writer: Any) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with running(Provider(breaking)) as gateway:
            client = await gateway.client()
            client.send(get("/openai/v1/files/file-out/content"))
            await client.rest()
            await until(lambda: gateway.sink.closed)
            assert [one.custom_id for one in frames(gateway, BatchResult)] == ["a"]
            assert frames(gateway, BatchRead) == []

    run(main())


_MESSAGES = {
    "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0},
    "ended_at": "2026-11-20T10:00:00Z", "created_at": "2026-11-20T09:00:00Z",
    "results_url": "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
}  # fmt: skip


def test_messages_are_submitted_with_their_owners() -> None:
    requests = [
        {"custom_id": "a", "params": {"model": "m", "metadata": {"user_id": "u1"}}},
        {"custom_id": "b", "params": {"model": "m", "messages": [{"content": '}]"{['}]}},
    ]  # fmt: skip
    body = json.dumps({"requests": requests}).encode()
    owners, seen = ask(serving(_MESSAGES), request("/claude/v1/messages/batches", body))
    assert owners.lines == (("a", 0),)
    assert owners.identities[0].user_id == "u1"
    assert (seen.batch_id, seen.identity.tenant_id, seen.lines) == ("msgbatch_1", "acme", 2)
    assert seen.call_id == owners.call_id
    assert seen.result_ids == ("msgbatch_1",)


def test_the_address_of_results_leads_through_the_gateway() -> None:
    data = json.dumps(_MESSAGES).encode()

    async def main() -> None:
        async with running(Provider(replying(answer(data)))) as gateway:
            response = await gateway.ask(get("/claude/v1/messages/batches/msgbatch_1"))
            assert len(response.body) == len(data)
            shown = json.loads(response.body)
            assert shown.pop("results_url") == "/v1/messages/batches/msgbatch_1/results"
            assert shown == {key: one for key, one in _MESSAGES.items() if key != "results_url"}

    run(main())


def test_a_large_submission_is_read_in_bounded_memory() -> None:
    lines = b"\n".join(
        line(f"c{at}", metadata={"tenant": f"t{at % 7}"}, messages=["x" * 400])
        for at in range(5000)
    )
    found = ask(serving(_FILE), upload(lines), settings={"max_inspected_body_bytes": 1000})
    owners = [one for one in found if isinstance(one, BatchOwners)]
    assert len(owners) > 2
    assert max(len(one.lines) for one in owners) < 3000
    named = {one: frame.identities[at].tenant_id for frame in owners for one, at in frame.lines}
    assert named == {f"c{at}": f"t{at % 7}" for at in range(5000)}


def test_the_key_goes_before_the_line() -> None:
    keys = {"tb_k": KeyBinding(api_key_id="k1", tenant_id="bound")}

    async def main() -> None:
        async with running(Provider(serving(_FILE)), keys=FakeKeys(**keys)) as gateway:
            body = form(line("a", metadata={"tenant": "globex"}))
            kind = "multipart/form-data; boundary=XX"
            await gateway.ask(request("/openai/v1/files", body, kind, headers="", key="tb_k"))
            await gateway.closed_calls()
            (file,) = frames(gateway, BatchFile)
            assert file.identity.tenant_id == "bound"
            assert file.identity.sources["tenant_id"] == "virtual_key"

    run(main())


def test_a_submission_is_noted_though_its_client_hung_up() -> None:
    is_asked = asyncio.Event()
    may_answer = asyncio.Event()

    async def slow(_: Any, __: Any, ___: Any, writer: Any) -> None:
        is_asked.set()
        await may_answer.wait()
        writer.write(answer(json.dumps(_BATCH).encode()))

    async def main() -> None:
        settings = {"client_disconnect": "abort"}
        async with running(Provider(slow), settings=settings) as gateway:
            client = await gateway.client()
            client.send(request("/openai/v1/batches", b'{"input_file_id":"file-1"}'))
            await is_asked.wait()
            client.close()
            await until(lambda: not gateway.service.clients)
            may_answer.set()
            await gateway.closed_calls()
            assert [one.batch_id for one in frames(gateway, BatchSeen)] == ["batch_1"]

    run(main())
