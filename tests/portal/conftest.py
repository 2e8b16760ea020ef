"""A ledger of two tenants in a process's application, without a socket.

Everything about the second tenant has a mark in it or is a number that nothing else is, so that
whatever shows it can be found out.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from litestar.testing import TestClient
from tests.console.conftest import any_port

from tollbook import __version__, clock, ids
from tollbook.books.documents import Subject, put_document
from tollbook.books.keys import create_key
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.chargeback.periods.cutoffs import as_billed, with_periods
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.config.schema import PriceCard
from tollbook.console.answers import Answers
from tollbook.console.app import Services, create_app
from tollbook.console.doors import Doors
from tollbook.console.finance import Settings as FinanceSettings
from tollbook.console.finance import carry_out, desk_of, finance_router
from tollbook.console.ledgerfile import open_ledger
from tollbook.console.portal.operations import OPERATIONS
from tollbook.console.portal.parts import Part
from tollbook.console.portal.tokens import issue
from tollbook.ledger.billing_rules import rule_of
from tollbook.reports.reader import DuckdbReader
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from litestar import Litestar

    from tollbook.desk import Desk
    from tollbook.ledger.ingest import Ingester

A, B = "aurora-labs", "zqx-tenant"
MARK = "zqx"
"""In every name of the second tenant, and in no other text."""
B_TOKENS = 7_654_321
OWNER = "owner-token-of-this-test"


class Ledger(NamedTuple):
    """An application, and what stands behind it."""

    app: Litestar
    desk: Desk
    client: TestClient[Any]
    call_ids: Mapping[str, list[str]]
    ingester: Ingester

    def token(self, tenant: str = A, **more: Any) -> str:
        """Make a token of a tenant's portal."""
        parts = more.pop("parts", tuple(Part))
        return issue(self.desk.books, tenant, parts, **more).token

    def get(self, path: str, token: str | None = None, **more: Any) -> Any:
        """Ask with a token as a header."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.client.get(path, headers=headers, **more)

    def do(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Carry out an operation of the portal."""
        one = next(one for one in OPERATIONS if one.name == name)
        return carry_out(one, self.desk, given)


def settings() -> Config:
    """Return settings with a price, and budgets for each tenant and for one by name."""
    cards = [
        PriceCard(provider="openai", model=model, effective_from="2020-01-01",
                  input=Decimal(price), output=Decimal(price))
        for model, price in (("plain-model", 3), ("zqx-model", 7))
    ]  # fmt: skip
    budgets = [
        Budget(name="each-tenant", limit_usd=Decimal(50),
               each=["tenant"]),
        Budget(name="calls", limit_requests=1_000, each=["tenant"], window="day"),
        Budget(name="zqx-budget", limit_tokens=B_TOKENS * 3, match={"tenant": B}),
        Budget(name="all-of-us", limit_tokens=B_TOKENS * 9),
    ]  # fmt: skip
    plain = any_port(Config())
    return msgspec.structs.replace(plain, prices=cards, budgets=budgets)


def write_calls(data_dir: Path, *, days: int = 3) -> dict[str, list[str]]:
    """Write calls of both tenants on each of the last days; return the ids by tenant."""
    spool = data_dir / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    writer = SpoolWriter(spool, new_writer_name(0), Config().spool, version=__version__)
    found: dict[str, list[str]] = {A: [], B: []}
    for day in range(days):
        for tenant, word, model, tokens in (
            (A, "plain", "plain-model", 1_000), (A, "other", "plain-model", 2_000),
            (B, MARK, "zqx-model", B_TOKENS),
        ):  # fmt: skip
            call_id = ids.new_id()
            at_ns = clock.unix_ns() - day * 86_400 * clock.NS_PER_S
            writer.append(
                CallOpened(
                    call_id=call_id, started_at_ns=at_ns, provider="openai", dialect="openai",
                    identity=Identity(
                        tenant_id=tenant, feature=f"{word}-feature", user_id=f"{word}-user",
                        team_id=f"{word}-team", environment=f"{word}-environment",
                        agent_run_id=f"{word}-run-{day}", tags={"plan": f"{word}-plan"},
                        sources={"tenant_id": "tollbook_header"},
                    ),
                    operation="chat", metering=Metering.METERED, method="POST",
                    path="/v1/chat/completions", model_requested=model,
                )
            )  # fmt: skip
            usage = b'{"prompt_tokens":%d,"completion_tokens":10,"total_tokens":%d}' % (
                tokens, tokens + 10,
            )  # fmt: skip
            writer.append(
                CallClosed(
                    call_id=call_id, closed_at_ns=at_ns + 5_000_000, status=Status.OK,
                    http_status=200, usage=(usage,), usage_complete=True, model_actual=model,
                    provider_response_id=f"{word}-{day}-{call_id.hex()}", duration_ns=5_000_000,
                )
            )  # fmt: skip
            found[tenant].append(ids.to_text(call_id))
    writer.flush()
    writer.close()
    return found


@contextmanager
def open_house(data_dir: Path) -> Iterator[Ledger]:
    """Make the application of a ledger process over calls of two tenants."""
    config = settings()
    call_ids = write_calls(data_dir)
    with open_ledger(config, data_dir) as files:
        put_document(
            files.books, Subject.BILLING_RULE, "default",
            '{"kind":"rule","basis":"cost_plus","markup_percent":"20"}',
            effective_from_ns=0, reason="the price list",
        )  # fmt: skip
        put_document(
            files.books, Subject.PORTAL, f"tenant:{B}", '{"name":"zqx portal"}',
            effective_from_ns=0, reason="zqx asked for it",
        )  # fmt: skip
        create_key(files.books, label="zqx-key", tenant_id=B)
        while not files.ingester.step().at_end:
            pass
        with closing(files.store.reader()) as connection:
            reader = DuckdbReader(connection)
            answers = Answers(
                reader, files.shelf, as_billed=partial(as_billed, files.books, config),
                with_periods=partial(with_periods, files.books, config),
                rule=partial(rule_of, files.books),
            )  # fmt: skip
            desk = desk_of(files, reader, FinanceSettings(config, data_dir, {}))
            doors = Doors(files.books, config, {})
            app = create_app(
                Services(answers, _Operations(), OWNER, finance_router(desk), desk, doors)
            )
            with TestClient(app) as client:
                yield Ledger(app, desk, client, call_ids, files.ingester)


class _Operations:
    """What only a whole process can do, and no test here asks for."""

    def status(self) -> dict[str, Any]:
        return {"state": "ok"}

    def ingest(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}

    def verify(self) -> dict[str, Any]:
        return {}

    def rerate(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}

    def skip_corrupt(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """An application over calls of two tenants."""
    with open_house(tmp_path_factory.mktemp("data")) as made:
        yield made
