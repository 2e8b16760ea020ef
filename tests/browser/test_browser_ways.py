"""The main ways through the console, signed in, as somebody with a browser goes them."""

from __future__ import annotations

import http.server
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import openai
import pytest
from playwright.sync_api import expect
from tests.browser.history import RUNAWAY, write_history
from tests.console.conftest import LedgerThread, Running, any_port
from tests.console_finance.finance_pages_kit import MONTH, FinanceLedger, filled
from tests.e2e.conftest import make_house  # noqa: F401 -- a fixture

from tollbook.books.store import open_books
from tollbook.config import Config
from tollbook.config.finance import Finance
from tollbook.console.process import run_ledger
from tollbook.desk.permits import Role
from tollbook.people.accounts import add_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

ANNA = "anna@example.org"
PASSWORD = "a long password of anna"
TENANT = "orchard-robotics"
OTHER = "harbour-media"

pytestmark = pytest.mark.slow


class _Watchful(LedgerThread):
    """The ledger process, with rules looked at each second."""

    def _run(self) -> None:
        plain = any_port(Config())
        alerts = msgspec.structs.replace(plain.alerts, interval_s=1.0)
        config = msgspec.structs.replace(plain, alerts=alerts)
        try:
            self.exit_code = run_ledger(config, {}, data_dir=self.data_dir, stop=self.stop)
        except BaseException as error:
            self.error = error


def _add_anna(data_dir: Path) -> None:
    with open_books(data_dir) as books:
        add_account(books, name=ANNA, role=Role.OWNER, password=PASSWORD, actor="test")


@contextmanager
def _serving(thread: LedgerThread) -> Iterator[Running]:
    running = thread.start()
    try:
        running.api.catch_up()
        yield running
    finally:
        assert thread.end() == 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A ledger with a run that does not end, whose rules are looked at all the time."""
    data_dir = tmp_path_factory.mktemp("ways")
    write_history(data_dir, calls=300, runaway_calls=60)
    _add_anna(data_dir)
    with _serving(_Watchful(data_dir)) as running:
        yield running


@contextmanager
def _signed_in(browser: Browser, port: int) -> Iterator[Page]:
    """Sign in by the form; what the browser complains of fails the test."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{port}", viewport={"width": 1440, "height": 900}
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints = _complaints(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Name", exact=True).fill(ANNA)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def _complaints(page: Page) -> list[str]:
    found: list[str] = []
    page.on("console", lambda one: found.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: found.append(str(one)))
    page.on("dialog", lambda one: one.accept())
    return found


@pytest.fixture(scope="module")
def anna(browser: Browser, watched: Running) -> Iterator[Page]:
    with _signed_in(browser, watched.port) as page:
        yield page


def _form(page: Page, submit: str) -> Any:
    """Return the form with a button, unfolded."""
    button = page.locator("form[method=post] button", has_text=submit)
    found = page.locator("main section", has=button).last
    folded = found.locator("details:not([open]) > summary")
    if folded.count():
        folded.first.click()
    return found


def _await_incident(page: Page) -> None:
    """Load the overview until the rules have seen what there is to see."""
    for _ in range(60):
        page.goto("/")
        if page.get_by_role("link", name=f"tenant {TENANT}").count():
            return
        page.wait_for_timeout(500)
    raise AssertionError("no incident on the overview")


def test_from_the_overview_to_the_calls_of_the_runaway(anna: Page) -> None:
    _await_incident(anna)
    anna.get_by_role("link", name=f"tenant {TENANT}").first.click()
    anna.wait_for_url("**/incident?id=*")
    drivers = anna.locator("section[aria-labelledby=table-drivers] tbody")
    for words in (TENANT, "agent", "claude-sonnet-4-5"):
        expect(drivers).to_contain_text(words)
    # Its page names the run that has the money, the run the call.
    anna.goto(f"/tenant?id={TENANT}")
    anna.get_by_role("link", name=RUNAWAY).first.click()
    anna.wait_for_url("**/run?id=*")
    expect(anna.locator("main")).to_contain_text("60")
    anna.locator("main table a[href^='/call?id=']").first.click()
    anna.wait_for_url("**/call?id=*")
    expect(anna.get_by_role("heading", name="Arithmetic, line by line")).to_be_visible()
    expect(anna.locator("main")).to_contain_text("$0.4635")


def test_a_call_is_explained_down_to_its_price_card(anna: Page) -> None:
    anna.goto("/calls?order=cost")
    anna.locator("main tbody a[href^='/call?id=']").first.click()
    anna.wait_for_url("**/call?id=*")
    lines = anna.locator("section", has=anna.get_by_role("heading", name="Arithmetic")).last
    for words in ("150,000", "900", "3", "15"):
        expect(lines).to_contain_text(words)
    expect(anna.locator("pre code").first).to_contain_text("input_tokens")
    expect(anna.locator("code.command")).to_contain_text("tollbook explain")


def test_an_incident_is_acknowledged_and_then_expected(anna: Page) -> None:
    _await_incident(anna)
    anna.get_by_role("link", name=f"tenant {TENANT}").first.click()
    form = _form(anna, "Acknowledge")
    form.get_by_label("Note").fill("an agent without a limit")
    form.get_by_role("button", name="Acknowledge").click()
    figures = anna.locator(".figures").first
    expect(figures).to_contain_text("acknowledged")
    expect(figures).to_contain_text(ANNA)
    form = _form(anna, "Expect it")
    form.get_by_label("Until").fill("4h")
    form.get_by_label("Reason").fill("they are told")
    form.get_by_role("button", name="Expect it").click()
    expect(anna.locator(".figures").first).to_contain_text("expected")
    events = anna.locator("section[aria-labelledby=table-events]")
    for words in ("an agent without a limit", "they are told", ANNA):
        expect(events).to_contain_text(words)
    anna.goto("/incidents?state=expected")
    expect(anna.get_by_role("link", name=f"tenant {TENANT}").first).to_be_visible()


def test_a_budget_set_in_the_editor_bites(
    browser: Browser,
    make_house: Callable[..., Any],  # noqa: F811 -- the fixture
) -> None:
    house = make_house()
    _add_anna(house.data_dir)
    client = openai.OpenAI(
        base_url=f"{house.url}/openai/v1", max_retries=0, api_key=house.key("app", tenant_id="acme")
    )

    def ask() -> Any:
        return client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Say something."}],
            max_tokens=20,
        )  # fmt: skip

    ask()
    with client, _signed_in(browser, house.console_port) as page:
        page.goto("/budgets")
        form = _form(page, "Set the budget")
        form.get_by_label("Name").fill("per-tenant")
        form.get_by_label("or in requests").fill("2")
        form.get_by_label("One limit for each").fill("tenant")
        form.get_by_label("Reason").fill("a trial")
        form.get_by_role("button", name="Set the budget").click()
        rules = page.locator("section[aria-labelledby=table-rules]")
        expect(rules).to_contain_text("per-tenant")
        refused = _until_refused(ask)
        assert refused.status_code == 429
        assert "per-tenant" in refused.message
        assert int(refused.response.headers["retry-after"]) > 0
        page.goto("/budget?name=per-tenant")
        for _ in range(40):
            if "blocked" in page.locator("section[aria-labelledby=table-standing]").inner_text():
                break
            page.wait_for_timeout(500)
            page.reload()
        row = page.locator("section[aria-labelledby=table-standing] tbody tr", has_text="acme")
        expect(row).to_contain_text("blocked")


def _until_refused(ask: Callable[[], Any]) -> openai.RateLimitError:
    """Call until a call is refused; the rule is in force within moments."""
    pause = threading.Event()
    for _ in range(100):
        try:
            ask()
        except openai.RateLimitError as error:
            return error
        pause.wait(0.1)
    raise AssertionError("no call was refused")


def test_a_month_is_closed_through_the_forms(browser: Browser, tmp_path: Path) -> None:
    with filled(tmp_path):
        pass
    _add_anna(tmp_path)
    with (
        _serving(FinanceLedger(tmp_path, Finance())) as running,
        _signed_in(browser, running.port) as page,
    ):
        page.get_by_role("link", name="Close", exact=True).click()
        page.get_by_role("link", name=MONTH).first.click()
        page.wait_for_url("**/period?*")
        _form(page, f"{MONTH} is reconciled").get_by_role("button").last.click()
        page.goto(f"/allocation?period={MONTH}")
        form = _form(page, "Keep the policy")
        rule = '{"name":"rest","source":{"unattributed":true},"method":{"type":"proportional"}}'
        form.locator("textarea").fill(f'{{"rules":[{rule}]}}')
        form.locator("input[name^=effective_from]").fill("2026-01")
        form.get_by_label("Reason").fill("agreed")
        form.get_by_role("button", name="Keep the policy").click()
        _form(page, f"Book the allocation of {MONTH}").get_by_role("button").last.click()
        page.goto(f"/period?period={MONTH}")
        _form(page, f"{MONTH} is allocated").get_by_role("button").last.click()
        _form(page, f"Seal {MONTH}").get_by_role("button").last.click()
        expect(page.locator(".figures").first).to_contain_text("closed")
        expect(page.locator("section[aria-labelledby=table-history]")).to_contain_text(ANNA)
        page.goto(f"/statements?period={MONTH}")
        expect(page.locator("main")).to_contain_text("acme")


class _Application(http.server.BaseHTTPRequestHandler):
    """A page of somebody's application, with the portal in a frame."""

    framed = ""

    def do_GET(self) -> None:
        body = f'<!doctype html><title>App</title><iframe src="{self.framed}" width=900 height=900>'
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _application() -> Iterator[tuple[str, type[_Application]]]:
    """Serve an application of an origin of its own."""
    handler = type("Application", (_Application,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_portal_in_a_frame_of_the_application_and_of_nobody_else(
    anna: Page, browser: Browser, watched: Running
) -> None:
    with ExitStack() as stack:
        theirs, theirs_handler = stack.enter_context(_application())
        evil, evil_handler = stack.enter_context(_application())
        anna.goto("/portals")
        form = _form(anna, "Keep")
        form.get_by_label("May be framed by").fill(theirs)
        form.get_by_label("Reason").fill("our application")
        form.get_by_role("button", name="Keep").click()
        expect(anna.locator("section[aria-labelledby=table-settings]")).to_contain_text(theirs)
        form = _form(anna, "Make a link")
        form.get_by_label("Tenant").fill(TENANT)
        form.get_by_role("button", name="Make a link").click()
        token = anna.get_by_text("eyJ").first.inner_text()
        framed = f"http://127.0.0.1:{watched.port}/portal/?token={token}"
        theirs_handler.framed = evil_handler.framed = framed

        context: BrowserContext = browser.new_context()
        stack.callback(context.close)
        page = context.new_page()
        complaints = _complaints(page)
        page.goto(theirs)
        portal = page.frame_locator("iframe").locator("body")
        expect(portal).to_contain_text(TENANT)
        expect(portal).to_contain_text("agent")
        assert OTHER not in portal.inner_html()
        assert complaints == []
        assert context.cookies() == []
        page.goto(evil)
        page.wait_for_timeout(500)
        assert any("frame-ancestors" in one for one in complaints)
        assert all(TENANT not in frame.content() for frame in page.frames[1:])
