"""Handing files in with a browser, with and without scripts; the pages and the report by axe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from msgspec.structs import replace
from tests.audit_html.made_audits import audit
from tests.audit_page.page_kit import auditing, put_audit, some_audit, traces
from tests.people.people_kit import TOKEN

from tollbook.audit.outputs.html import html_text
from tollbook.console.audits.limits import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, FilePayload, Page
    from tests.people.people_kit import People

    from tollbook.console.audits.jobs import Jobs

pytestmark = pytest.mark.slow
_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa",
                                                "best-practice"]},
          "resultTypes": ["violations"]}  # fmt: skip
_CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]},
             "resultTypes": ["violations"]}  # fmt: skip
_OVER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[People, Jobs]]:
    with auditing(tmp_path_factory.mktemp("browsed-audits")) as found:
        yield found


@contextmanager
def _page(browser: Browser, house: People, **more: Any) -> Iterator[Page]:
    """Open a page as the process; complaints of the browser fail."""
    context = browser.new_context(
        base_url=house.url, extra_http_headers={"Authorization": f"Bearer {TOKEN}"}, **more
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: complaints.append(str(one)))
    yield page
    context.close()
    assert complaints == []


def _files(*named: tuple[str, bytes]) -> list[FilePayload]:
    return [{"name": name, "mimeType": "", "buffer": content} for name, content in named]


def _drawn(page: Page) -> None:
    page.wait_for_load_state("load")
    if page.evaluate("typeof vegaEmbed !== 'undefined'"):
        page.wait_for_selector("html[data-drawn=yes]")


def _problems(page: Page) -> list[str]:
    """Return what axe finds, and what is too wide, at both widths in both themes."""
    found: list[str] = []
    for summary in page.query_selector_all("main details:not([open]) > summary"):
        summary.click()
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light")
        found += [f"{width}: {one}" for one in _violations(page, _RULES)]
        page.emulate_media(color_scheme="dark")  # colours are all that differ
        found += [f"{width} dark: {one}" for one in _violations(page, _CONTRAST)]
        if page.evaluate(_OVER) > 0:
            found.append(f"{page.evaluate(_OVER)} px too wide at {width}")
    return found


def _violations(page: Page, rules: dict[str, Any]) -> list[str]:
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in Axe().run(page, options=rules).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


def _is_done(page: Page) -> None:
    page.wait_for_selector("section[aria-labelledby=table-findings]")
    assert "id=" in page.url


def test_a_file_is_chosen_and_sent(browser: Browser, served: tuple[People, Jobs]) -> None:
    with _page(browser, served[0]) as page:
        page.goto("/trace-audit")
        two = _files(("a.jsonl", traces(2)), ("b.jsonl", traces(1, "globex")))
        page.set_input_files("input[type=file]", two)
        assert "b.jsonl (" in page.locator(".sending").inner_text()
        page.get_by_role("button", name="Audit").click()
        _is_done(page)
        assert "a.jsonl, b.jsonl" in page.locator(".subtitle").inner_text()
        page.locator("section[aria-labelledby=table-findings] tbody a").first.click()
        page.wait_for_url("**finding=*")
        _drawn(page)
        assert page.get_by_role("heading", name="Where it is lost").is_visible()


def test_a_file_is_dropped(browser: Browser, served: tuple[People, Jobs]) -> None:
    with _page(browser, served[0]) as page:
        page.goto("/trace-audit")
        dropped = page.evaluate_handle(
            "text => { const files = new DataTransfer();"
            " files.items.add(new File([text], 'dropped.jsonl')); return files; }",
            traces(1).decode(),
        )
        zone = ".card:has(form[data-drop])"
        page.dispatch_event(zone, "dragover", {"dataTransfer": dropped})
        assert "is-over" in (page.get_attribute(zone, "class") or "")
        page.dispatch_event(zone, "drop", {"dataTransfer": dropped})
        assert "is-over" not in (page.get_attribute(zone, "class") or "")
        assert "dropped.jsonl" in page.locator(".sending").inner_text()
        page.get_by_role("button", name="Audit").click()
        _is_done(page)


def test_it_works_without_scripts(browser: Browser, served: tuple[People, Jobs]) -> None:
    with _page(browser, served[0], java_script_enabled=False) as page:
        page.goto("/trace-audit")
        page.set_input_files("input[type=file]", _files(("plain.jsonl", traces(1))))
        page.get_by_role("button", name="Audit").click()
        for _ in range(200):
            if page.get_by_role("link", name="Look again").count() == 0:
                break
            page.get_by_role("link", name="Look again").click()
        assert page.get_by_role("heading", name="Findings").is_visible()


def test_too_much_is_said_before_it_is_sent(browser: Browser, served: tuple[People, Jobs]) -> None:
    house, jobs = served
    jobs.limits = replace(DEFAULT, upload_max_bytes=2048)
    with _page(browser, house) as page:
        page.goto("/trace-audit")
        page.set_input_files("input[type=file]", _files(("large.jsonl", b"x" * 4000)))
        assert "with the command" in page.locator(".sending .notice.warn").inner_text()
        page.get_by_role("button", name="Audit").click()
        assert page.url.endswith("/trace-audit")
    jobs.limits = DEFAULT


def test_pages_by_axe(browser: Browser, served: tuple[People, Jobs]) -> None:
    house, jobs = served
    with _page(browser, house) as page:
        page.goto("/trace-audit")
        page.set_input_files("input[type=file]", _files(("a.jsonl", traces(1))))
        page.get_by_role("button", name="Audit").click()
        _is_done(page)
        job = put_audit(jobs, next(iter(jobs._jobs.values())).owner, some_audit())
        path = f"/trace-audit?id={job.job_id}"
        made = job.audit
        assert made is not None
        found = {}
        for one in ("/trace-audit", path, f"{path}&finding={made.findings[0].finding_id}"):
            page.goto(one)
            _drawn(page)
            found[one] = _problems(page)
        assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("number", [0, 2])
def test_the_report_by_axe(browser: Browser, tmp_path: Path, number: int) -> None:
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text))
    page.on(
        "request", lambda one: None if one.url.startswith("file:") else complaints.append(one.url)
    )
    report = tmp_path / "report.html"
    report.write_text(html_text(audit(number)))
    page.goto(report.as_uri())
    assert _problems(page) == []
    page.emulate_media(media="print")
    if number:
        closed = page.locator("details.finding").last
        closed.evaluate("one => { one.open = false; }")
        assert closed.locator(".inside").is_visible(), "on paper all is open"
    context.close()
    assert complaints == []
