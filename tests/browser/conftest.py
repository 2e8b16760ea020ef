"""A running console over some weeks of calls, and a browser that is signed in to it.

``pages`` opens browser contexts: ``pages.context(scheme="dark", width=390, scripts=False)``; every
context notes what the browser complains of in ``pages.complaints``. Tests of other rooms can use
both fixtures by ``from tests.browser.conftest import console, pages`` in their own conftest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.history import write_history
from tests.console.conftest import LedgerThread, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Yield a running ledger and console with 75 days of calls."""
    data_dir = tmp_path_factory.mktemp("browsed")
    write_history(data_dir, calls=400)
    thread = LedgerThread(data_dir)
    running = thread.start()
    running.api.catch_up()
    yield running
    assert thread.end() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a headless browser.

    For no longer than a module: while it lives, an event loop runs in this thread, and nobody else
    can run one.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- slow to load

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Pages:
    """Opens pages of a console as whoever holds the process's token, and keeps complaints."""

    def __init__(self, browser: Browser, running: Running) -> None:
        self._browser, self.running = browser, running
        self.headers = {"Authorization": f"Bearer {running.token}"}
        self.base = f"http://127.0.0.1:{running.port}"
        self.complaints: list[str] = []
        self._opened: list[BrowserContext] = []

    def context(
        self, *, scheme: Any = "light", width: int = 1440, scripts: bool = True,
        token: str | None = None, **more: Any,
    ) -> BrowserContext:  # fmt: skip
        """Return a new browser context that is signed in."""
        headers = self.headers if token is None else {"Authorization": f"Bearer {token}"}
        found = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=self.base,
            java_script_enabled=scripts, extra_http_headers=headers, **more,
        )  # fmt: skip
        found.set_default_timeout(
            60_000
        )  # a page that is made for the first time on a busy machine
        self._opened.append(found)
        return found

    def page(self, path: str | None = None, **asked: Any) -> Page:
        """Return a page of a new context, at a path where one is given."""
        page = self.context(**asked).new_page()
        self.watch(page)
        if path is not None:
            self.go(page, path)
        return page

    def watch(self, page: Page) -> None:
        """Note what the browser complains of on a page: violations of the policy, errors."""

        def told(one: ConsoleMessage) -> None:
            if one.type in ("error", "warning"):
                self.complaints.append(f"{page.url}: {one.text}")

        page.on("console", told)
        page.on("pageerror", lambda one: self.complaints.append(f"{page.url}: {one}"))

    def go(self, page: Page, path: str) -> None:
        """Open a path and wait until its charts are drawn."""
        answer = page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        if page.evaluate("typeof vegaEmbed !== 'undefined'"):
            page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)

    def close(self) -> None:
        """Close what was opened."""
        for one in self._opened:
            one.close()
        self._opened.clear()


@pytest.fixture
def pages(browser: Browser, console: Running) -> Iterator[Pages]:
    """Yield pages; what the browser complained of fails the test, unless it was taken away."""
    found = Pages(browser, console)
    yield found
    found.close()
    assert found.complaints == []
