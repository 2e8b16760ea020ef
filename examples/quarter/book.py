"""The ledger's side: the quarter's calls as a gateway would have written them, and ingested."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from examples.quarter.plants import is_bypass, is_doubled
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config.schema import Spool
from tollbook.spool import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from examples.quarter.truth import Truth
    from examples.quarter.world import Record
    from tollbook.console.ledgerfile import LedgerFiles

_OPENAI_USAGE: Final = (
    '{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
    '{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":0}}'
)
_ANTHROPIC_USAGE: Final = (
    '{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    '"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":0},'
    '"output_tokens":%d,"service_tier":"standard"}'
)
_PATHS: Final = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "azure": "/openai/deployments/%s/chat/completions",
}
_FLUSH_EVERY: Final = 64
_TOOK_NS: Final = 800_000_000


def write_spool(
    records: Iterator[Record], truth: Truth, root: Path, progress: Callable[[int], None]
) -> int:
    """Write the calls that Tollbook saw, count all in the truth; return how many were written."""
    written = 0
    writer = SpoolWriter(root, "quarter", Spool(), version="0.1.0")
    for record in records:
        truth.add(record)
        if is_bypass(record):
            continue
        for copy in range(2 if is_doubled(record) else 1):
            opened, closed = frames(record, copy)
            writer.append(opened)
            writer.append(closed)
            written += 1
        if written % _FLUSH_EVERY == 0:
            writer.flush()
        if record.number % 10_000 == 0:
            progress(record.number)
    writer.close()
    return written


def frames(record: Record, copy: int) -> tuple[CallOpened, CallClosed]:
    """Return the two frames of a call; of an hour that was read twice there are two calls."""
    call_id = _id(record, copy)
    model, provider = record.model, record.model.provider
    uncached, cached, new, output = record.tokens
    path = _PATHS[provider]
    said = {"feature": record.feature}
    if record.tenant is not None:
        said["tenant_id"] = record.tenant
    if provider == "anthropic":
        usage = _ANTHROPIC_USAGE % (uncached, new, cached, new, output)
    else:
        usage = _OPENAI_USAGE % (uncached + cached, output, uncached + cached + output, cached)
    opened = CallOpened(
        call_id=call_id, started_at_ns=record.at_ns,
        identity=Identity(**said, environment="production", sources=dict.fromkeys(said, "baggage")),  # type: ignore[arg-type]
        provider=provider, dialect=provider, operation="chat", metering=Metering.METERED,
        method="POST", path=path % model.name if "%s" in path else path,
        model_requested=model.name, is_stream=False,
    )  # fmt: skip
    closed = CallClosed(
        call_id=call_id, closed_at_ns=record.at_ns + _TOOK_NS, status=Status.OK, http_status=200,
        duration_ns=_TOOK_NS, model_actual=model.name, usage=(usage.encode(),),
        usage_complete=True, is_billable=True, service_tier=model.tier or "default",
        provider_response_id=None if copy else f"resp-{call_id.hex()}",
    )  # fmt: skip
    return opened, closed


def ingest(files: LedgerFiles, progress: Callable[[int], None]) -> int:
    """Book the whole spool and return the calls."""
    calls = 0
    while True:
        result = files.ingester.step()
        calls += result.calls
        progress(calls)
        if result.at_end:
            return calls


def _id(record: Record, copy: int) -> bytes:
    """Return a UUIDv7 of the time and the number of the call: the same in each run."""
    tail = hashlib.sha256(f"{record.number}/{copy}".encode()).digest()
    time_ms = (record.at_ns // 1_000_000).to_bytes(6, "big")
    return time_ms + bytes([0x70 | tail[0] & 0x0F, tail[1], 0x80 | tail[2] & 0x3F]) + tail[3:10]
