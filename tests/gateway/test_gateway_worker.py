"""The worker as a process: it listens, records in a real spool, and stops as it should."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.gateway.kit import ANSWER, Client, Provider, Received, answer, chat, get, run, until

from tollbook.call import CallClosed, CallOpened
from tollbook.spool.reader import Position, SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _started(
    tmp_path: Path, port: int, upstream_port: int, *, worker: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    config = tmp_path / "tollbook.toml"
    config.write_text(
        f"[gateway]\nport = {port}\nshutdown_timeout_s = 5\n"
        f'[providers.openai]\nbase_url = "http://127.0.0.1:{upstream_port}"\n'
    )
    command = [
        sys.executable, "-m", "tollbook.capture.gateway.worker", "--config", str(config),
        "--data", str(tmp_path / "data"), "--worker", str(worker), "--exit-on-stdin-eof",
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def _client(port: int, stack: contextlib.ExitStack) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    stack.callback(client.close)
    return client


def _frames(tmp_path: Path) -> list[object]:
    reader = SpoolReader(tmp_path / "data" / "spool")
    found: list[object] = []
    for writer in reader.writers():
        chunk = reader.read(Position(writer.name))
        assert chunk.is_finished
        assert chunk.torn is None
        found += [framed[0] for framed in chunk.frames]
    return found


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin"])
def test_it_finishes_what_is_in_flight_and_exits_0(tmp_path: Path, how: str) -> None:
    gate = asyncio.Event()

    async def handler(
        _: Provider, request: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await gate.wait()
        writer.write(answer())

    async def main() -> tuple[int, bytes]:
        with contextlib.ExitStack() as stack:
            async with Provider(handler).serving() as provider:
                port = _free_port()
                process = stack.enter_context(_started(tmp_path, port, provider.port))
                assert b"listens on" in await _first_line(process)
                client, idle = await _client(port, stack), await _client(port, stack)
                idle.send(get("/readyz"))
                assert (await idle.response()).status == 200
                client.send(chat())
                await until(lambda: provider.requests)
                if how == "stdin":
                    assert process.stdin is not None
                    process.stdin.close()
                else:
                    process.send_signal(getattr(signal, how))
                assert await idle.rest() == b""
                gate.set()
                response = await client.response()
                assert (response.status, response.body) == (200, ANSWER)
                assert response.headers["connection"] == "close"
                code = await asyncio.to_thread(process.wait, 10)
                assert process.stderr is not None
                return code, process.stderr.read()

    code, errors = run(main())
    assert (code, errors) == (0, b"")
    opened, closed = _frames(tmp_path)
    assert isinstance(opened, CallOpened)
    assert isinstance(closed, CallClosed)
    assert (opened.call_id, closed.status) == (closed.call_id, "ok")


def test_workers_share_a_port(tmp_path: Path) -> None:
    async def main() -> None:
        with contextlib.ExitStack() as stack:
            async with Provider().serving() as provider:
                port = _free_port()
                workers = [
                    stack.enter_context(_started(tmp_path, port, provider.port, worker=number))
                    for number in (0, 1)
                ]
                for process in workers:
                    assert b"listens on" in await _first_line(process)
                for _ in range(20):
                    client = await _client(port, stack)
                    client.send(chat())
                    assert (await client.response()).status == 200
                    client.close()
                for process in workers:
                    process.terminate()
                    assert await asyncio.to_thread(process.wait, 10) == 0

    run(main())
    assert len(_frames(tmp_path)) == 40


def test_an_address_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with _started(tmp_path, port, 1) as process:
            _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert errors.count(b"\n") == 1
    assert b"gateway.port" in errors
    assert str(port).encode() in errors
