"""A ledger with some weeks of calls behind the console, one without any, and a plain client."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from tests.browser.history import write_history
from tests.console.conftest import LedgerThread

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON."""
        return msgspec.json.decode(self.text)


class Console(NamedTuple):
    """A running console; asks as the process's own token does."""

    port: int
    token: str

    def get(self, path: str, accept: str = "text/html", **headers: str) -> Answer:
        """Ask for a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        own = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        connection.request("GET", path, headers=own | headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        if names.get("content-encoding") == "gzip":
            return Answer(response.status, names, "")
        return Answer(response.status, names, body.decode())


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Yield a console over 75 days of calls, hostile names among them."""
    data_dir = tmp_path_factory.mktemp("house")
    write_history(data_dir, calls=500)
    thread = LedgerThread(data_dir)
    running = thread.start()
    running.api.catch_up()
    yield Console(running.port, running.token)
    assert thread.end() == 0


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Yield a console over a ledger without calls."""
    thread = LedgerThread(tmp_path_factory.mktemp("empty"))
    running = thread.start()
    yield Console(running.port, running.token)
    assert thread.end() == 0
