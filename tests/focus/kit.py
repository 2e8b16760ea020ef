"""A ledger with everything in it that an export has rows for, and the desk to export it from."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.reports.conftest import MemoryLedger

from tollbook import clock
from tollbook.books.store import Books, open_books
from tollbook.books.tables_periods import period_closes
from tollbook.chargeback.allocate.shelf import AllocationLine, keep_allocation
from tollbook.chargeback.focus.operations import FocusRequest, export_focus
from tollbook.chargeback.statements.model import (
    Basis,
    Category,
    Finality,
    Statement,
    StatementLine,
)
from tollbook.chargeback.statements.shelf import keep_statement
from tollbook.config import Config
from tollbook.config.finance import Finance
from tollbook.config.schema import PriceCard
from tollbook.desk import Desk
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.schema import COST_COLUMNS
from tollbook.money import usd_decimal
from tollbook.prices.book import PriceBook
from tollbook.prices.rating import rate
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
SHORT, LONG = 1_000, 300_000
"""Input below and above the step of models that cost more for long prompts."""
LONG_MODEL = "gemini-2.5-pro"


class World(NamedTuple):
    """A desk, and the ledger and price book to fill it with."""

    desk: Desk
    ledger: MemoryLedger
    prices: PriceBook

    def call(self, at: datetime, **fields: Any) -> dict[str, Any]:
        """Return the entry of a call: rated by the card in force, as the ledger would."""
        kinds = fields.pop("kinds", Kinds(uncached_input_tokens=SHORT, visible_output_tokens=100))
        provider, model = fields.pop("provider", "openai"), fields.pop("model", "gpt-4o")
        tier = fields.pop("tier", None)
        card = self.prices.resolve(provider, model, int(at.timestamp()) * clock.NS_PER_S, tier)
        assert card is not None, (provider, model, tier)
        BooksShelf(self.desk.books).remember([card])
        rated = rate(card, kinds)
        assert not rated.unpriced_kinds
        costs = dict(zip(COST_COLUMNS, map(usd_decimal, rated.components), strict=True))
        named = {
            "provider": provider, "model_actual": model, "price_tier": tier,
            "price_card_id": card.card_id, "cost_usd": usd_decimal(rated.total),
            "cost_source": "card", "tenant_id": "acme", "feature": "chat", "team_id": "core",
            "cost_center": "4711", "environment": "production",
        }  # fmt: skip
        return self.ledger.entry(
            at, **(named | dict(zip(KINDS, kinds, strict=True)) | costs | fields)
        )

    def reversal(self, entry: dict[str, Any], at: datetime | None = None) -> dict[str, Any]:
        """Return the entry that takes another back."""
        opposite = {
            name: -entry[name]
            for name in ("calls", "cost_usd", *KINDS, *COST_COLUMNS)
            if entry[name] is not None
        }
        fresh = self.ledger.entry(entry["called_at"])
        return entry | opposite | {
            "entry_id": fresh["entry_id"], "kind": "reversal", "replaces": entry["entry_id"],
            "booked_at": at or entry["booked_at"],
        }  # fmt: skip

    def adjustment(self, at: datetime, kind: str, usd: str, **fields: Any) -> dict[str, Any]:
        """Return an adjustment as ``book_adjustments`` writes it."""
        named = {
            "kind": "adjustment", "calls": 0, "adjustment": kind, "cost_usd": Decimal(usd),
            "adjustment_id": f"{kind}:2026-10:1", "price_state": "priced", "reason": f"a {kind}",
            "cost_source": "adjustment", "provider": None, "dialect": None, "operation": None,
            "metering": None, "status": None, "usage_source": None, "tags": None,
        }  # fmt: skip
        return self.ledger.entry(at, **(named | fields))

    def close(self, period: str) -> None:
        """Close a period with what is booked until now."""
        ((last,),) = self.ledger.reader.fetch("SELECT max(entry_id) FROM entries")
        with self.desk.books.write() as connection:
            connection.execute(
                period_closes.insert().values(
                    period=period, seal=f"seal-{period}", cutoff_entry_id=last, timezone="UTC",
                    mode="showback", closed_by="ada", closed_at_ns=clock.unix_ns(),
                )
            )  # fmt: skip


@contextmanager
def make_world(
    root: Path, *, prices: list[PriceCard] | None = None, timezone: str = "UTC"
) -> Iterator[World]:
    """Give a desk over an empty ledger."""
    config = Config(prices=prices or [], finance=Finance(timezone=timezone))
    ledger = MemoryLedger()
    ledger.complete_until(datetime(2026, 11, 20, tzinfo=UTC))
    with open_books(root) as books:
        desk = Desk(
            reader=ledger.reader, books=books, config=config, data_dir=root, environ={},
            author="ada",
        )  # fmt: skip
        yield World(desk, ledger, PriceBook.of_config(config, "tollbook.toml"))
    ledger.connection.close()


def contract(percent: str = "7.5") -> PriceCard:
    """A contract: some per cent off one model's list price."""
    return PriceCard(
        provider="openai", model="gpt-4o-mini", effective_from="2026-01-01",
        discount_percent=Decimal(percent),
    )  # fmt: skip


def fill(world: World) -> None:
    """Fill October with one of everything, and close September before."""
    late = datetime(2026, 9, 30, 23, 30, tzinfo=UTC)
    ledger = world.ledger
    ledger.add(world.call(datetime(2026, 9, 12, tzinfo=UTC), tenant_id="globex"))
    world.close("2026-09")
    day = OCTOBER + timedelta(days=4, hours=3)
    first = world.call(day)
    moved = world.call(day, tenant_id="globex")
    batch = Kinds(uncached_input_tokens=50_000, visible_output_tokens=2_000)
    cached = Kinds(
        uncached_input_tokens=3, cache_read_tokens=10_000, cache_write_5m_tokens=500,
        cache_write_1h_tokens=70, visible_output_tokens=40, reasoning_tokens=0,
        web_search_requests=2,
    )  # fmt: skip
    ledger.add(
        world.call(late), first, world.call(day + timedelta(hours=1)), moved,
        world.reversal(moved), world.call(day, tenant_id=None),
        world.call(day, model="gpt-4o-mini", tenant_id="initech", feature="=cmd()"),
        world.call(day, kinds=batch, tier="batch", provider_batch_id="b-1"),
        world.call(day, provider="anthropic", model="claude-sonnet-4-5", kinds=cached),
        world.call(day, provider="gemini", model=LONG_MODEL, region="europe-west4"),
        world.call(
            day, provider="gemini", model=LONG_MODEL, region="europe-west4",
            kinds=Kinds(uncached_input_tokens=LONG, visible_output_tokens=5),
        ),
        ledger.entry(
            day, tenant_id="acme", provider="openai", model_actual="nobody-knows",
            price_state="unpriced", cost_usd=None, uncached_input_tokens=12_345, requests=1,
            **dict.fromkeys(COST_COLUMNS),
        ),
        ledger.entry(
            day, tenant_id="acme", provider="openai", model_actual="gpt-4o",
            price_state="not_billed", status="error", cost_usd=Decimal(0), usage_source="none",
            **dict.fromkeys(KINDS),
        ),
        ledger.entry(
            day, tenant_id="acme", provider="openrouter", model_actual="some/model",
            cost_source="provider", cost_usd=Decimal("0.001234567890"),
            requests_cost_usd=Decimal("0.001234567890"), uncached_input_tokens=7, requests=1,
        ),
        world.call(
            day, usage_source="estimated", tenant_id="globex", feature=None, team_id=None,
            cost_center=None, environment=None,
        ),
    )  # fmt: skip
    ledger.add(*_adjustments(world, day))


def _adjustments(world: World, day: datetime) -> list[dict[str, Any]]:
    named = {"provider": "openai", "billing_period": "2026-10"}
    kind = {"uncached_input_tokens": 400_000, "uncached_input_tokens_cost_usd": Decimal("1.5")}
    return [
        world.adjustment(day, "true_up", "1.5", model_actual="gpt-4o", **named, **kind),
        world.adjustment(day, "true_up", "-0.25", model_actual="gpt-4o", **named),
        world.adjustment(day, "credit", "-2", statement_id="st-1", **named),
        world.adjustment(day, "tax", "3.21", statement_id="st-1", **named),
        world.adjustment(day, "rounding", "0.000000000007", statement_id="st-1", **named),
        world.adjustment(day, "volume_tier", "-0.125", tenant_id="acme", **named),
        world.adjustment(day, "free_quota", "-0.035", tenant_id="acme", **named),
        world.adjustment(day, "minimum", "4", **named),
        world.adjustment(day, "fee", "100", tenant_id="platform", feature="gateway"),
        world.adjustment(
            day, "commitment", "60", tenant_id="acme", provider="azure", model_actual="gpt-4o",
            uncached_input_tokens=1_000_000, adjustment_id="terms:2026-10:ptu-east:1",
        ),
        world.adjustment(
            day, "commitment", "20", tenant_id="globex", provider="azure",
            model_actual="gpt-4o-mini", adjustment_id="terms:2026-10:ptu-east:2",
        ),
        world.adjustment(
            day, "idle_commitment", "16.5", provider="azure", model_actual=None,
            adjustment_id="terms:2026-10:ptu-east:1",
        ),
        world.adjustment(day, "allocation", "-50", tenant_id="platform"),
        world.adjustment(day, "allocation", "30", tenant_id="acme"),
        world.adjustment(day, "allocation", "20", tenant_id="globex"),
        world.adjustment(
            datetime(2026, 9, 12, tzinfo=UTC), "true_up", "0.75", corrects="2026-09", **named
        ),
    ]  # fmt: skip


def exported(world: World, **asked: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Export, and return the answer and the rows of Cost and Usage as CSV text."""
    answer = export_focus(world.desk, FocusRequest(**asked))
    name = answer["rows"][0]["name"]
    with (Path(answer["directory"]) / name).open(newline="", encoding="utf-8") as file:
        return answer, list(csv.DictReader(file))


def total(rows: list[dict[str, str]], column: str, **wanted: str) -> Decimal:
    """Return the sum of a column over the rows that have these cells."""
    return sum(
        (
            Decimal(row[column])
            for row in rows
            if all(row[name] == value for name, value in wanted.items())
        ),
        Decimal(0),
    )


def invoice(
    books: Books, amounts: dict[Category, str], *, provider: str = "openai",
    invoice_id: str = "INV-1", statement_id: str = "st-1", is_final: bool = True,
    account: str = "org-1",
) -> None:  # fmt: skip
    """Keep an October invoice with these amounts."""
    start = int(OCTOBER.timestamp()) * clock.NS_PER_S
    end = int(NOVEMBER.timestamp()) * clock.NS_PER_S
    statement = Statement(
        statement_id=statement_id, provider=provider, account=account, basis=Basis.INVOICE,
        source="typed", start_ns=start, end_ns=end, invoice_id=invoice_id,
        fetched_at_ns=end + 1, received_by="ada", raw_sha256=f"sha-{statement_id}", raw_bytes=1,
        lines=len(amounts), finality=Finality.FINAL if is_final else Finality.PROVISIONAL,
    )  # fmt: skip
    lines = [
        StatementLine(
            statement_id=statement_id, line=at, start_ns=start, end_ns=end, provider=provider,
            category=category, amount=int(Decimal(usd) * 10**12),
        )
        for at, (category, usd) in enumerate(amounts.items(), 1)
    ]  # fmt: skip
    assert keep_statement(books, statement, lines, b"x")


def allocate(world: World) -> None:
    """Book an allocation run of October as :mod:`tollbook.chargeback.allocate` does."""
    at = NOVEMBER - timedelta(microseconds=1)
    pool = {"rule": "shared", "method": "proportional"}
    shares = [
        AllocationLine(
            role="share", tenant="acme", amount=66_666_666_666_667, ratio="0.666666666667",
            unit="Tokens", quantity="20000", **pool,
        ),
        AllocationLine(
            role="share", tenant="globex", feature="chat", amount=33_333_333_333_333,
            ratio="0.333333333333", unit="Tokens", quantity="10000", **pool,
        ),
    ]  # fmt: skip
    taken = AllocationLine(
        role="origin", tenant="platform", feature="gateway", amount=-100 * 10**12, **pool
    )
    keep_allocation(
        world.desk.books, "allocation:2026-10:1", "2026-10", 1,
        policy_id="allocation_policy/default/1", documents=[], lines=[taken, *shares],
        problems=[], booked=3, author="ada",
    )  # fmt: skip
    world.ledger.add(
        *(
            world.adjustment(
                at, "allocation", f"{usd_decimal(line.amount)}", tenant_id=line.tenant,
                feature=line.feature, adjustment_id="allocation:2026-10:1:shared",
                billing_period="2026-10",
            )
            for line in (taken, *shares)
        )
    )  # fmt: skip
