"""A receiver on loopback in this process, and what it wrote."""

from __future__ import annotations

import asyncio
import errno
import gzip
import http.client
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from tests.e2e.conftest import free_ports, make_house

from tollbook import clock, ids
from tollbook.books import open_books
from tollbook.books.keys import create_key
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config import Config
from tollbook.console.receiver_process import serve
from tollbook.spool import Position, SpoolReader
from tollbook.spool.files import WriterFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tollbook.call import Frame

__all__ = ["make_house"]

MSGPACK = {"content-type": "application/msgpack"}
USAGE = b'{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def call_frames(tenant: str | None = "acme", **opened: Any) -> list[Frame]:
    """Return the two frames of a call that an SDK tells of."""
    call_id, now_ns = ids.new_id(), clock.unix_ns()
    identity = Identity(tenant_id=tenant, sources={"tenant_id": "sdk"} if tenant else {})
    facts: dict[str, Any] = {"identity": identity, "model_requested": "gpt-4o-mini"} | opened
    return [
        CallOpened(
            call_id, now_ns, provider="openai", dialect="openai", operation="chat",
            metering=Metering.METERED, method="POST", path="/v1/chat/completions", **facts,
        ),
        CallClosed(
            call_id, now_ns + 10**9, Status.OK, 200, usage=(USAGE,), usage_complete=True,
            model_actual="gpt-4o-mini", provider_response_id=f"chatcmpl-{call_id.hex()}",
        ),
    ]  # fmt: skip


def packed(*frames: Any) -> bytes:
    return msgspec.msgpack.encode(frames)


def spooled(data_dir: Path) -> list[Frame]:
    """Return every frame in the spool."""
    reader = SpoolReader(data_dir / "spool")
    frames: list[Frame] = []
    for one in reader.writers():
        position = Position(one.name)
        while True:
            chunk = reader.read(position)
            frames += [framed[0] for framed in chunk.frames]
            position = chunk.next
            if chunk.at_end:
                break
    return frames


def post(
    port: int, path: str, body: bytes, headers: dict[str, str], method: str = "POST"
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())
    finally:
        connection.close()


class Running:
    """A receiver in a thread."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.http_port, self.grpc_port = free_ports(2)
        receiver = msgspec.structs.replace(
            Config().receiver, enabled=True, http_port=self.http_port, grpc_port=self.grpc_port,
            **settings,
        )  # fmt: skip
        self.config = msgspec.structs.replace(Config(), receiver=receiver)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.config, self.data_dir, self._stopping, said=lambda _: self._ready.set())

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(20)
        assert not self._thread.is_alive()

    def key(self, **bound: Any) -> str:
        with closing(open_books(self.data_dir)) as books:
            return create_key(books, label="app", **bound)[1]

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        return post(
            self.http_port, path, body, {k.replace("_", "-"): v for k, v in headers.items()}
        )

    def frames(self, frames: Sequence[Any], **headers: str) -> Answer:
        return self.post(
            "/v1/frames", gzip.compress(packed(*frames)),
            content_type="application/msgpack", content_encoding="gzip", **headers,
        )  # fmt: skip

    def get(self, path: str) -> Answer:
        return post(self.http_port, path, b"", {}, "GET")

    @property
    def spooled(self) -> list[Frame]:
        return spooled(self.data_dir)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return a starter of receivers, which are stopped at the end of the test."""
    started: list[Running] = []

    def build(**settings: Any) -> Running:
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        started.append(Running(data_dir, **settings))
        return started[-1]

    yield build
    for one in started:
        one.stop()


class Disk:
    """Stands before every spool file of this process."""

    is_full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return a disk that can be filled up."""
    found, write = Disk(), WriterFiles.write

    def guarded(files: WriterFiles, data: bytes) -> int:
        if found.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(files, data)

    monkeypatch.setattr(WriterFiles, "write", guarded)
    return found
