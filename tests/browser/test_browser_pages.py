"""Pages of spend in a browser: no complaints, usable by keyboard, by ear, on phones, on paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from tests.browser.furnish import furnish, last_month
from tests.browser.history import RUN

from tollbook.console.pages.page import pages as every_page

if TYPE_CHECKING:
    from tests.browser.conftest import Pages
    from tests.console.conftest import Running

PATHS = (
    *sorted(path for path, page in every_page().items() if page.group is not None),
    "/explorer?by=tenant&and=model&compare=yes", "/tenants?show=units", "/tenants?show=margin",
    "/tenant?id=harbour-media", f"/run?id={RUN}", "/budget?name=per-tenant",
    "/budget-what-if?name=per-tenant&since=7d", "/incidents?state=all",
    "/alert-rule?name=burn-rate", "/insights/change", "/insights/skew",
    "/prices/card?provider=openai&model=gpt-4o-mini", "/prices/unpriced",
    f"/margin?period={last_month()}", f"/reconciliation?period={last_month()}",
    f"/period?period={last_month()}", f"/statements?period={last_month()}",
    f"/statement?period={last_month()}&owner=harbour-media",
    f"/reconciliation/true-up?period={last_month()}", "/people/tokens",
    "/people/account?name=bo@example.org",
)  # fmt: skip
_SERIOUS = ("serious", "critical")
_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa",
                                                "best-practice"]},
          "resultTypes": ["violations"]}  # fmt: skip
_CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]},
             "resultTypes": ["violations"]}  # fmt: skip


def _call(pages: Pages) -> str:
    answer = pages.running.api.ask("calls", [("since", "80d"), ("where", "status=ok")])
    return f"/call?id={answer['rows'][0]['call_id']}"


def _findings(page: Any) -> list[str]:
    found = Axe().run(page, options=_RULES).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in _SERIOUS
        for node in one["nodes"][:3]
    ]


@pytest.fixture(scope="module")
def furnished(console: Running) -> dict[str, str]:
    """Furnish the house; return paths that are about one thing of it."""
    return furnish(console)


def _problems(page: Any) -> list[str]:
    """Return what keeps people from using a page that is open: light, dark, on a phone."""
    for summary in page.query_selector_all("main details:not([open]) > summary"):
        summary.click()
    found = _findings(page)
    page.emulate_media(color_scheme="dark")  # colours are all that differ; axe is there already
    dark = page.evaluate("how => axe.run(document, how).then(one => one.violations)", _CONTRAST)
    page.emulate_media(color_scheme="light")
    found += [f"dark: {node['html'][:160]}" for one in dark for node in one["nodes"][:3]]
    page.set_viewport_size({"width": 390, "height": 844})
    root = "document.documentElement"
    over = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
    return found if over <= 0 else [*found, f"{over} px too wide for a phone"]


@pytest.mark.slow
def test_every_page_in_both_themes_and_on_a_phone(pages: Pages, furnished: dict[str, str]) -> None:
    page = pages.page()
    public = ("/login", furnished.pop("portal"))
    findings = {}
    for path in (*PATHS, *furnished.values(), _call(pages), *public):
        page.context.set_extra_http_headers({} if path in public else pages.headers)
        pages.go(page, path)
        found = _problems(page)
        if found:
            findings[path] = found
    assert findings == {}


def test_the_menu_of_a_phone(pages: Pages) -> None:
    page = pages.page("/", width=390)
    assert not page.is_visible("nav.side")
    page.click("details.menu > summary")
    page.locator("nav.side a[href='/tenants']").wait_for(state="visible")


def test_the_widest_screen_is_used_and_not_overflown(pages: Pages) -> None:
    page = pages.page("/tenant?id=harbour-media", width=2560)
    assert page.evaluate("document.querySelector('main').offsetWidth") > 1400
    assert page.evaluate("document.documentElement.scrollWidth") <= 2560


def test_charts_are_drawn_and_lead_on(pages: Pages) -> None:
    page = pages.page("/?by=tenant")
    marks = page.query_selector_all(".chart .mark-rect path")
    assert len(marks) > 20
    labels = page.eval_on_selector_all(
        ".chart .role-axis-label text", "all => all.map(one => one.textContent)"
    )
    assert not [one for one in labels if re.search(r"\d(m|µ|G|e-)", one or "")]
    largest = max(marks, key=lambda one: (one.bounding_box() or {"height": 0})["height"])
    largest.click()
    page.wait_for_url("**/explorer?*where=tenant*")


def test_the_theme_is_switched_and_kept(pages: Pages) -> None:
    page = pages.page("/models", scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("button.theme")
    dark = page.evaluate(background)
    assert dark != light
    pages.go(page, "/tenants")
    assert page.evaluate(background) == dark
    assert page.get_attribute("button.theme", "aria-label") == "Switch to the light theme"


def test_everything_is_reached_by_keyboard(pages: Pages) -> None:
    page = pages.page("/tenants")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "[document.activeElement.tagName, document.activeElement.getAttribute('role'),"
                " getComputedStyle(document.activeElement).outlineStyle].join(' ')"
            )
        )
        if seen[-1].startswith("DIV region"):
            break
    assert seen[-1].startswith("DIV region"), "the table can be scrolled by keys"
    assert all(not one.endswith(" none") for one in seen), "what has the focus is outlined"


def test_pages_are_read_without_scripts(pages: Pages) -> None:
    page = pages.context(scripts=False, width=390).new_page()
    page.goto("/")
    assert page.locator("h1").inner_text() == "Overview"
    assert page.locator("nav.side a[href='/tenants']").is_visible()
    assert "The numbers are in the table." in page.locator("main").inner_text()
    page.goto("/tenants")
    page.locator("input[name=value]").fill("harbour-media")
    page.get_by_role("button", name="Filter").click()
    assert "where=tenant%3Dharbour-media" in page.url
    assert page.locator("table tbody tr").count() == 1
    page.get_by_role("link", name="Remove the filter").click()
    assert page.locator("table tbody tr").count() > 10


def test_from_the_overview_to_the_reason_of_the_dearest_call(pages: Pages) -> None:
    page = pages.page("/")
    # Incidents about it have its name in theirs.
    page.get_by_role("link", name="orchard-robotics", exact=True).first.click()
    page.wait_for_url("**/tenant?id=orchard-robotics")
    assert page.locator("h1").inner_text() == "orchard-robotics"
    page.locator("section[aria-labelledby=table-dearest] tbody a").first.click()
    page.wait_for_url("**/call?id=*")
    assert page.get_by_role("heading", name="Arithmetic, line by line").is_visible()
    assert "tollbook explain" in page.locator("code.command").inner_text()
    assert "_tokens" in page.locator("pre code").first.inner_text()


def test_the_explorer_narrows_by_links(pages: Pages) -> None:
    page = pages.page("/explorer?by=tenant&and=feature&since=80d")
    page.locator("table tbody a").first.click()
    page.wait_for_url("**where=tenant**")
    assert page.locator(".chip").count() == 1
    assert page.locator("#controls-by").input_value() == "tenant"
    page.locator("#controls-and").fill("model")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**and=model**")
    assert page.locator(".chip").count() == 1
    assert "claude" in page.locator("table").first.inner_text()


def test_print_shows_the_content_alone(pages: Pages) -> None:
    page = pages.page("/tenant?id=harbour-media", scheme="dark")
    page.emulate_media(media="print")
    assert not page.is_visible("nav.side")
    assert not page.is_visible(".controls")
    assert page.is_visible("h1")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_an_error_is_a_page(pages: Pages) -> None:
    page = pages.page()
    answer = page.goto("/call?id=nothing")
    assert answer is not None
    assert answer.status == 404
    assert page.locator("h1").inner_text() == "There is no such page"
    assert _findings(page) == []
    pages.complaints = [one for one in pages.complaints if "404" not in one]
