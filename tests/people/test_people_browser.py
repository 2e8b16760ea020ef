"""The ways of people through a real browser: first owner, inviting, signing out; also by axe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect, sync_playwright
from tests.people.people_kit import PASSWORD, people

from tollbook.people.links import make_setup_link
from tollbook.people.shown import link_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from tests.people.people_kit import People


CHROMIUM = "/usr/bin/chromium"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def serious(page: Page) -> list[Any]:
    """Return what axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["help"]) for one in found if one["impact"] in ("serious", "critical")]


def setup_url(house: People) -> str:
    secret = make_setup_link(house.books)
    assert secret is not None
    port = house.url.rpartition(":")[2]
    return link_url(house.config, secret, is_local=True).replace(":8081", f":{port}")


@pytest.mark.slow
@pytest.mark.parametrize("has_script", [True, False])
def test_from_the_first_owner_to_somebody_invited(
    chromium: Browser, tmp_path: Path, *, has_script: bool
) -> None:
    with people(tmp_path) as house:
        context = chromium.new_context(java_script_enabled=has_script, base_url=house.url)
        page = context.new_page()
        problems: list[str] = []
        page.on(
            "console", lambda said: problems.append(said.text) if said.type == "error" else None
        )
        page.goto(setup_url(house))
        page.get_by_label("Name or e-mail address").fill("root@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.goto("/people")
        page.get_by_label("Name or e-mail address").fill("bob")
        page.get_by_label("Role", exact=True).select_option("viewer")
        page.get_by_role("button", name="Make the account").click()
        link = page.get_by_text("/login/link?token=").first.inner_text()
        if has_script:
            assert serious(page) == []
        page.goto("/account")
        if has_script:
            assert serious(page) == []
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
        assert problems == []

        other = chromium.new_context(java_script_enabled=has_script, base_url=house.url)
        page = other.new_page()
        page.goto("/login/link?token=" + link.partition("token=")[2])
        expect(page.get_by_text("For the account bob")).to_be_visible()
        if has_script:
            assert serious(page) == []
        page.get_by_label("Password").fill("bob has a long password")
        page.get_by_role("button", name="Set the password").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.get_by_role("link", name="People")).to_have_count(0)  # not offered to viewers
        other.clear_cookies()
        page.goto("/account")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        if has_script:
            assert serious(page) == []
        page.get_by_label("Name", exact=True).fill("bob")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("Password").fill("bob has a long password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Account")).to_be_visible()
        context.close()
        other.close()
