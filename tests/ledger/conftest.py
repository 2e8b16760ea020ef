"""A world to test the ledger in: a spool with writers, prices, a shelf of cards, a store."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tollbook import ids
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config.schema import PriceCard, Spool
from tollbook.ledger.ingest import Ingester
from tollbook.ledger.store import LEDGER_FILE, Store, open_store
from tollbook.ledger.verify import VerifyReport, verify
from tollbook.prices.book import PriceBook
from tollbook.spool.reader import SpoolReader
from tollbook.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tollbook.prices.card import RateCard

START_NS = 1_790_000_000_000_000_000


class MemoryShelf:
    """Cards in memory, encoded, as the books would keep them."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def remember(self, new: Sequence[RateCard]) -> None:
        self.kept.update({card.card_id: card.to_json() for card in new})

    def find(self, card_ids: Iterable[str]) -> dict[str, RateCard]:
        from tollbook.prices.card import RateCard  # noqa: PLC0415 -- only here

        return {one: RateCard.from_json(self.kept[one]) for one in card_ids if one in self.kept}


class World:
    """Everything around one ledger in one directory; reopened at will."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spool_root = root / "spool"
        self.shelf = MemoryShelf()
        self.price_book = self.prices("2", "8")
        self.now_ns = START_NS
        self.store = open_store(root / LEDGER_FILE, threads=1)
        self.ingester = self.new_ingester()
        self._numbers = itertools.count(1)
        self._writers: list[SpoolWriter] = []

    def prices(self, input_usd: str, output_usd: str, *, models: str = "m-*") -> PriceBook:
        """A book with one contract card: dollars per million tokens."""
        card = PriceCard(
            provider="openai", model=models, effective_from="2020-01-01",
            input=Decimal(input_usd), output=Decimal(output_usd),
        )  # fmt: skip
        return PriceBook([card], "tollbook.toml", {"openai": "openai"})

    def new_ingester(self, batch_calls: int = 1000) -> Ingester:
        reader = SpoolReader(self.spool_root)
        return Ingester(
            self.store, reader, self.price_book, self.shelf, batch_calls=batch_calls,
            now_ns=lambda: self.now_ns,
        )  # fmt: skip

    def reopen(self) -> None:
        """What is left after a crash: the files."""
        self.store.close()
        self.store = open_store(self.root / LEDGER_FILE, threads=1)
        self.ingester = self.new_ingester()

    def writer(self, segment_max_bytes: int = 4096) -> SpoolWriter:
        settings = Spool(segment_max_bytes=segment_max_bytes)
        name = f"writer-{next(self._numbers):06d}"
        writer = SpoolWriter(self.spool_root, name, settings, version="1.2.3")
        self._writers.append(writer)
        return writer

    def tick(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def opened(self, **fields: Any) -> CallOpened:
        now_ns = self.tick()
        tenant = fields.pop("tenant_id", "acme")
        defaults: dict[str, Any] = {
            "call_id": ids.new_id(now_ns), "started_at_ns": now_ns,
            "identity": Identity(tenant_id=tenant, sources={"tenant_id": "baggage"}),
            "provider": "openai", "dialect": "openai", "operation": "chat",
            "metering": Metering.METERED, "method": "POST", "path": "/v1/chat/completions",
            "model_requested": "m-1", "input_chars": 40,
        }  # fmt: skip
        return CallOpened(**(defaults | fields))

    def closed(
        self, opened: CallOpened, input_tokens: int = 10, output_tokens: int = 5, **fields: Any
    ) -> CallClosed:
        usage = b'{"prompt_tokens":%d,"completion_tokens":%d}' % (input_tokens, output_tokens)
        defaults: dict[str, Any] = {
            "call_id": opened.call_id, "closed_at_ns": self.tick(), "status": Status.OK,
            "http_status": 200, "duration_ns": 5, "usage": (usage,), "usage_complete": True,
        }  # fmt: skip
        return CallClosed(**(defaults | fields))

    def call(self, writer: SpoolWriter, **fields: Any) -> CallOpened:
        """Write a whole call."""
        opened = self.opened()
        writer.append(opened)
        writer.append(self.closed(opened, **fields))
        assert writer.flush()
        return opened

    def drain(self) -> int:
        """Step to the end of everything; return the calls booked."""
        calls = 0
        while True:
            result = self.ingester.step()
            calls += result.calls
            if result.at_end:
                return calls

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = self.store.reader()
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def verify(self) -> VerifyReport:
        connection = self.store.reader()
        try:
            return verify(connection, self.shelf, self.spool_root)
        finally:
            connection.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def new_world() -> type[World]:
    return World


@pytest.fixture
def store(world: World) -> Store:
    return world.store
