"""The pages of alerts on a running ledger process: what they say, and what their forms do."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import pytest
from tests.alerts.alerts_kit import NOW
from tests.alerts.test_alerts_incidents import signal, turn
from tests.console.conftest import LedgerThread, write_calls

from tollbook.alerts.keeper import Keeper
from tollbook.alerts.shelf import BooksShelf
from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Iterator


class Browser:
    """Asks with the process's token."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.own = port, {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = dict(self.own)
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, None if body is None else urlencode(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def get(self, path: str) -> str:
        status, text = self.ask("GET", path)
        assert status == 200, text
        return text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    data_dir = tmp_path_factory.mktemp("alerts")
    write_calls(data_dir, ["acme", "globex"])
    with open_books(data_dir) as books:
        turn(Keeper(BooksShelf(books)), NOW, signal(NOW, words="<b>much</b> more"))
    thread = LedgerThread(data_dir)
    running = thread.start()
    yield Browser(running.port, running.token)
    assert thread.end() == 0


@pytest.mark.parametrize(("path", "words"), [
    ("/incidents", "Burn rate: tenant acme"),
    ("/incidents?state=resolved", "No incident in this state"),
    ("/incident?id=1", "&lt;b&gt;much&lt;/b&gt; more"),
    ("/alert-rules", "error-storm"),
    ("/alert-rule?name=burn-rate", "Keep a new version"),
    ("/alert-rule?name=burn-rate&backtest=3d", "Incidents there would have been"),
    ("/alert-rule?name=cap-near&backtest=3d", "tells of now only"),
    ("/alert-rule?name=nothing", "There is no rule nothing"),
    ("/channels", "No channel is set"),
])  # fmt: skip
def test_every_page_says_what_it_should(browser: Browser, path: str, words: str) -> None:
    text = browser.get(path)
    assert words in text
    assert " style=" not in text
    before, mark, query = path.partition("?")
    assert msgspec.json.decode(browser.get(f"{before}.json{mark}{query}"))


def test_the_inbox_as_csv_has_the_dollars(browser: Browser) -> None:
    head, row, *_ = browser.get("/incidents.csv?state=all").splitlines()
    assert head.startswith("state,severity,title,excess_usd,driver")
    assert "5.000000000000" in row


def test_forms_do_what_operations_do(browser: Browser) -> None:
    page = browser.get("/incident?id=1")
    found = re.search(r'action="/do/incidents\.assign".*?</form>', page, re.DOTALL)
    assert found is not None
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found[0]))
    status, text = browser.ask("POST", "/do/incidents.assign", {**fields, "owner": "bo"})
    assert status == 303, text
    assert "bo" in browser.get("/incidents.csv?state=all")
