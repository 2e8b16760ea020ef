"""Frames of batches as gateway and fetcher write them, and what the ledger made of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tests.ledger.conftest import World

from tollbook import ids
from tollbook.call import (
    BatchFile,
    BatchOwners,
    BatchRead,
    BatchResult,
    BatchSeen,
    Identity,
)
from tollbook.ledger.ingest import Ingester
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Frame

USAGE = b'{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}'
LINE_USD = "0.0028"
"""Of USAGE at the prices of the world: 2 and 8 dollars a million."""
HOUR_NS = 3600 * 1_000_000_000


def tenant(name: str, source: str = "baggage") -> Identity:
    return Identity(tenant_id=name, sources={"tenant_id": source})


class BatchWorld(World):
    """A ledger world that knows batches."""

    numbers = itertools.count(1)

    def submission(self, batch_id: str = "batch_1", **fields: Any) -> BatchSeen:
        call_id = ids.new_id(self.tick())
        defaults: dict[str, Any] = {
            "status": "validating", "input_ids": ("file-in",), "endpoint": "/v1/chat/completions",
            "call_id": call_id, "identity": tenant("acme"), "collection": "/v1/batches",
        }  # fmt: skip
        return self.seen(batch_id, **(defaults | fields))

    def seen(self, batch_id: str = "batch_1", **fields: Any) -> BatchSeen:
        return BatchSeen(self.tick(), "openai", "openai", batch_id, **fields)

    def ended(self, batch_id: str = "batch_1", **fields: Any) -> BatchSeen:
        defaults: dict[str, Any] = {
            "status": "completed", "is_ended": True, "result_ids": ("file-out",),
            "input_ids": ("file-in",), "ended_at_ns": self.now_ns - 5_000_000_000,
        }  # fmt: skip
        return self.seen(batch_id, **(defaults | fields))

    def result(self, custom_id: str, source_id: str = "file-out", **fields: Any) -> BatchResult:
        now_ns = self.tick()
        defaults: dict[str, Any] = {
            "endpoint": "/v1/chat/completions", "http_status": 200, "usage": (USAGE,),
            "model_actual": "m-1", "provider_response_id": f"chatcmpl-{custom_id}",
        }  # fmt: skip
        return BatchResult(
            ids.new_id(now_ns), now_ns, "openai", "openai", source_id, custom_id,
            **(defaults | fields),
        )  # fmt: skip

    def read(self, lines: int, source_id: str = "file-out") -> BatchRead:
        return BatchRead(self.tick(), "openai", source_id, lines)

    def upload(self, lines: dict[str, Identity], file_id: str = "file-in") -> list[Frame]:
        call_id = ids.new_id(self.tick())
        owners = BatchOwners(
            call_id, self.tick(), tuple(lines.values()),
            tuple((custom_id, at) for at, custom_id in enumerate(lines)),
        )  # fmt: skip
        named = BatchFile(call_id, self.tick(), "openai", file_id, Identity(), len(lines))
        return [owners, named]

    def write(self, *frames: Frame) -> None:
        """Write frames with a writer of their own, and book them."""
        writer = self.writer(1 << 20)
        for frame in frames:
            writer.append(frame)
        assert writer.flush()
        writer.close()
        self.drain()

    def settling(self, after_ns: int) -> None:
        """Book what has waited too long from now on."""
        self.ingester = Ingester(
            self.store, SpoolReader(self.spool_root), self.price_book, self.shelf,
            settle_batches_ns=after_ns, now_ns=lambda: self.now_ns,
        )  # fmt: skip

    def owned(self) -> dict[str, tuple[str, int, str]]:
        """What is booked by custom id: tenant, calls and dollars."""
        rows = self.rows(
            "SELECT custom_id, coalesce(tenant_id, 'unknown'), sum(calls)::INT, sum(cost_usd)"
            " FROM entries GROUP BY ALL HAVING sum(calls) <> 0 ORDER BY ALL"
        )
        return {
            one: (owner, calls, "unknown" if usd is None else f"{usd.normalize():f}")
            for one, owner, calls, usd in rows
        }

    def entries(self) -> Sequence[tuple[Any, ...]]:
        return self.rows(
            "SELECT kind, custom_id, tenant_id, price_state FROM entries ORDER BY entry_id"
        )
