"""A spool written as the gateway writes it, and a ledger process over it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from tollbook import __version__, clock, ids
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config import Config
from tollbook.console.auth import read_announcement
from tollbook.console.client import ApiSource
from tollbook.console.process import run_ledger
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "gpt-4o-mini"


def write_calls(data_dir: Path, tenants: list[str | None], **closed: Any) -> list[str]:
    """Write one whole call per tenant into a spool of its own; return the call ids."""
    spool = data_dir / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    writer = SpoolWriter(spool, new_writer_name(0), Config().spool, version=__version__)
    call_ids = []
    for number, tenant in enumerate(tenants):
        call_id, now_ns = ids.new_id(), clock.unix_ns()
        identity = Identity(
            tenant_id=tenant,
            feature="search",
            tags={"plan": "gold"},
            sources={"tenant_id": "tollbook_header"} if tenant else {},
        )
        writer.append(
            CallOpened(
                call_id=call_id, started_at_ns=now_ns, identity=identity, provider="openai",
                dialect="openai", operation="chat", metering=Metering.METERED, method="POST",
                path="/v1/chat/completions", model_requested=MODEL,
            )
        )  # fmt: skip
        usage = b'{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}'
        facts: dict[str, Any] = {
            "status": Status.OK, "http_status": 200, "usage": (usage,), "usage_complete": True,
            "model_actual": MODEL, "provider_response_id": f"chatcmpl-{call_id.hex()}",
            "duration_ns": 5_000_000 + number,
        }  # fmt: skip
        writer.append(
            CallClosed(call_id=call_id, closed_at_ns=now_ns + 5_000_000, **(facts | closed))
        )
        call_ids.append(ids.to_text(call_id))
    writer.flush()
    writer.close()
    return call_ids


def any_port(config: Config) -> Config:
    """Return settings whose API takes a free port."""
    console = msgspec.structs.replace(config.console, port=0)
    ledger = msgspec.structs.replace(config.ledger, poll_interval_s=0.05, memory_limit="512MB")
    return msgspec.structs.replace(config, console=console, ledger=ledger)


class Running(NamedTuple):
    """A ledger in a thread of the test."""

    data_dir: Path
    api: ApiSource
    token: str
    port: int


class LedgerThread:
    """The ledger process's main function, in a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.stop = threading.Event()
        self.exit_code: int | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.exit_code = run_ledger(
                any_port(Config()), {}, data_dir=self.data_dir, stop=self.stop
            )
        except BaseException as error:
            self.error = error

    def start(self) -> Running:
        """Start and wait until it has announced itself."""
        self._thread.start()
        pause = threading.Event()
        for _ in range(1500):
            announced = read_announcement(self.data_dir)
            is_ours = announced is not None and announced[0].pid == os.getpid()
            if is_ours or not self._thread.is_alive():
                break
            pause.wait(0.02)
        assert self.error is None, self.error
        assert announced is not None, "the ledger did not announce itself"
        address, token = announced
        return Running(self.data_dir, ApiSource(address, token), token, address.port)

    def end(self) -> int | None:
        """Stop it and return its exit code."""
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.exit_code


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running ledger with three calls of acme, one of globex, one of nobody."""
    data_dir = tmp_path_factory.mktemp("data")
    write_calls(data_dir, ["acme", "acme", "acme", "globex", None])
    thread = LedgerThread(data_dir)
    running = thread.start()
    running.api.catch_up()
    yield running
    assert thread.end() == 0
