"""A console with people in it, served on a port of its own, without gateway and spool."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import msgspec

from tollbook import clock
from tollbook.chargeback.periods.cutoffs import as_billed, with_periods
from tollbook.chargeback.reconcile.shelf import accepted_months
from tollbook.config import Config
from tollbook.console.answers import Answers
from tollbook.console.app import Services, create_app
from tollbook.console.doors import Doors
from tollbook.console.finance import READ_TIMEOUT_S, desk_of, finance_router
from tollbook.console.finance import Settings as FinanceSettings
from tollbook.console.ledgerfile import open_ledger
from tollbook.console.server import ApiServer, listen
from tollbook.desk.permits import Role
from tollbook.ledger.billing_rules import rule_of
from tollbook.people.accounts import add_account, found_account, list_accounts
from tollbook.people.sessions import Lives, begin_session
from tollbook.people.tokens import create_token
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from litestar import Litestar

    from tollbook.books.store import Books

TOKEN = "the token of this process, of nobody else"
PASSWORD = "correct horse battery staple"
TENANT = "acme"
LIVES = Lives(3600 * clock.NS_PER_S, 86_400 * clock.NS_PER_S)


class _Operations:
    """Stands for the ledger process's own deeds."""

    def status(self) -> dict[str, Any]:
        return {"spool": [], "incidents": [], "watermark": None}

    def ingest(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}

    def verify(self) -> dict[str, Any]:
        return {"findings": []}

    def rerate(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}

    def skip_corrupt(self, pairs: Any) -> dict[str, Any]:
        del pairs
        return {}


class People(NamedTuple):
    """A served console."""

    url: str
    app: Litestar
    books: Books
    doors: Doors
    config: Config
    data_dir: Path

    def client(self, **more: Any) -> httpx.Client:
        """Return a browser without cookies."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **more)

    def signed_in(self, role: Role, name: str | None = None) -> httpx.Client:
        """Return a browser with a session of an account of a role, made where there is none."""
        name = name or f"{role.value}@example.org"
        if name not in {one.name for one in list_accounts(self.books)}:
            tenant = TENANT if role is Role.TENANT else None
            add_account(self.books, name=name, role=role, tenant_id=tenant, actor="test")
        account = found_account(self.books, name)
        session = begin_session(
            self.books, account.account_id, method="password", address="127.0.0.1", agent="test",
            lives=LIVES,
        )  # fmt: skip
        return self.client(cookies={"tollbook-session": session})

    def with_token(self, *permits: str, tenant: str | None = None, label: str) -> httpx.Client:
        """Return a program with an API token."""
        _, secret = create_token(
            self.books, label=label, permits=permits, tenant_id=tenant, actor="test"
        )
        return self.client(headers={"authorization": f"Bearer {secret}"})

    def process(self) -> httpx.Client:
        """Return a command of this machine."""
        return self.client(headers={"authorization": f"Bearer {TOKEN}"})


@contextmanager
def people(
    data_dir: Path, environ: dict[str, str] | None = None, port: int = 0, **sections: Any
) -> Iterator[People]:
    """Serve a console on an empty ledger.

    Args:
        data_dir: its data directory.
        environ: of the process.
        port: to listen on; 0 takes a free one.
        sections: of the settings, such as ``console={"session_idle_h": 1}``.
    """
    config = msgspec.convert({"ledger": {"memory_limit": "256MB"}, **sections}, Config)
    with open_ledger(config, data_dir, None) as files:
        connection = files.store.reader()
        reader = DuckdbReader(connection)
        settings = FinanceSettings(config, data_dir, environ or {}, None)
        desk = desk_of(files, DuckdbReader(connection, READ_TIMEOUT_S), settings)
        doors = Doors(files.books, config, environ or {})
        answers = Answers(
            reader, files.shelf, as_billed=partial(as_billed, files.books, config),
            with_periods=partial(with_periods, files.books, config),
            accepted=partial(accepted_months, files.books), rule=partial(rule_of, files.books),
            late_identity_h=1.0,
        )  # fmt: skip
        app = create_app(Services(answers, _Operations(), TOKEN, finance_router(desk), desk, doors))
        listener = listen("127.0.0.1", port)
        port = listener.getsockname()[1]
        server = ApiServer(app, listener)
        server.start()
        doors.start()
        try:
            yield People(f"http://127.0.0.1:{port}", app, files.books, doors, config, data_dir)
        finally:
            server.stop()
            doors.close()
            connection.close()


def form_of(client: httpx.Client, path: str) -> dict[str, str]:
    """Return the hidden fields of the form of a page."""
    page = client.get(path)
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    return dict(found)


def log_in(client: httpx.Client, name: str, password: str, **more: str) -> httpx.Response:
    """Sign in through the page."""
    fields = form_of(client, "/login") | {"name": name, "password": password} | more
    return client.post("/login", data=fields)
