"""A ledger with books and billing rules, filled with calls directly."""

from __future__ import annotations

import itertools
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook import ids
from tollbook.books.documents import Document, Subject, put_document
from tollbook.books.store import open_books
from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.config import Config
from tollbook.config.schema import PriceCard
from tollbook.desk import Desk
from tollbook.ledger.batch import Entries
from tollbook.ledger.billing import Biller
from tollbook.ledger.billing_rules import load_rules
from tollbook.ledger.cards import BooksShelf, UsedCards
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.ledger.verify import VerifyReport, verify
from tollbook.prices.book import PriceBook
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OCTOBER_NS = 1_790_812_800_000_000_000  # 2026-10-01T00:00Z
DAY_NS = 86_400 * 10**9


def prices(*cards: tuple[str, str, str]) -> PriceBook:
    """Return a book of cards: model, USD per million input and output tokens."""
    made = [
        PriceCard(
            provider="openai", model=model, effective_from="2020-01-01", input=Decimal(each),
            output=Decimal(out),
        )
        for model, each, out in cards
    ]  # fmt: skip
    return PriceBook(made, "tollbook.toml", {"openai": "openai"})


class Ledger:
    """An open ledger; cost prices are 2 and 8 for ``m-*``, list prices 4 and 16."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.books = open_books(root)
        self.store = open_store(root / LEDGER_FILE, threads=1)
        self.cost_prices = prices(("m-*", "2", "8"), ("big-*", "20", "80"))
        self.list_prices = prices(("m-*", "4", "16"), ("big-*", "40", "160"))
        shelf = BooksShelf(self.books)
        self.shelf = shelf
        self.biller = Biller(self.books, shelf, self.cost_prices, lambda: self.list_prices)
        self.store.biller = self.biller
        self._cards = UsedCards(self.cost_prices, shelf)
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self.store.close()
        self.books.close()

    def put(
        self, name: str, body: Mapping[str, Any], from_ns: int = 0, until_ns: int | None = None,
        subject: Subject = Subject.BILLING_RULE,
    ) -> Document:  # fmt: skip
        text = msgspec.json.encode(body).decode()
        made, _ = put_document(
            self.books, subject, name, text, effective_from_ns=from_ns,
            effective_until_ns=until_ns, author="ann", reason="test",
        )  # fmt: skip
        return made

    def rule(self, name: str, from_ns: int = 0, until_ns: int | None = None, **body: Any) -> str:
        return self.put(name, {"kind": "rule", **body}, from_ns, until_ns).document_id

    def call(
        self, tenant: str | None = "acme", *, at_ns: int = OCTOBER_NS, tokens: tuple[int, int] =
        (1000, 500), model: str = "m-1", actual: str | None = None, **fields: Any,
    ) -> Call:  # fmt: skip
        """Make a call; fields of the identity, of the open and of the close frame by name."""
        at_ns += next(self._numbers) * 1_000_000
        names = {*Identity.__struct_fields__}
        identity = Identity(tenant_id=tenant, **{k: v for k, v in fields.items() if k in names})
        told: dict[str, Any] = {
            "call_id": ids.new_id(at_ns), "started_at_ns": at_ns, "identity": identity,
            "provider": "openai", "dialect": "openai", "operation": "chat",
            "metering": Metering.METERED, "method": "POST", "path": "/v1/chat/completions",
            "model_requested": model,
        }  # fmt: skip
        usage = b'{"prompt_tokens":%d,"completion_tokens":%d}' % tokens
        ended: dict[str, Any] = {
            "call_id": told["call_id"], "closed_at_ns": at_ns, "status": Status.OK,
            "usage": (usage,), "usage_complete": True, "model_actual": actual or model,
        }  # fmt: skip
        for name, value in fields.items():
            if name in CallClosed.__struct_fields__:
                ended[name] = value
            elif name in CallOpened.__struct_fields__:
                told[name] = value
        return Call(CallOpened(**told), CallClosed(**ended), Evidence("w", 1, 0, "1"))

    def book(self, *calls: Call) -> list[str]:
        """Book calls as ingest does; return their ids."""
        entries = Entries(self.cost_prices.resolve)
        entries.add(calls)
        self._cards.keep(entries.card_ids)
        with self.store.transaction():
            for batch in entries.batches():
                self.store.append(batch.columns, batch.rows)
        return [ids.to_text(one.opened.call_id) for one in calls]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(self.store.reader()) as connection:
            return connection.execute(sql).fetchall()

    def billed(self) -> list[tuple[str | None, str | None, str | None]]:
        """Amount as text, rule and words of each entry, in order."""
        return [
            (None if amount is None else f"{amount:f}", rule, flags)
            for amount, rule, flags in self.rows(
                "SELECT billable_usd, billing_rule_id, billing_flags FROM entries ORDER BY entry_id"
            )
        ]

    def total(self, where: str = "true") -> Decimal:
        ((found,),) = self.rows(f"SELECT sum(billable_usd) FROM entries WHERE {where}")
        return Decimal(0) if found is None else Decimal(found)

    def verify(self) -> VerifyReport:
        with closing(self.store.reader()) as connection:
            return verify(connection, self.shelf, rules=load_rules(self.books).rules)

    def desk(self) -> Iterator[Desk]:
        with closing(self.store.reader()) as connection:
            yield Desk(
                reader=DuckdbReader(connection, 60.0), books=self.books, config=Config(),
                data_dir=self.root, environ={}, writer=self.store, author="ann",
            )  # fmt: skip
