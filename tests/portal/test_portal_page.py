from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.portal.conftest import OWNER, A

from tollbook.console.portal.errors import PortalRequestError
from tollbook.console.portal.numbers import LOCALES, amount, whole
from tollbook.console.portal.parts import Part
from tollbook.console.portal.settings import PortalSettings, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.portal.conftest import Ledger

PNG = "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n rest").decode()
THEIRS = {
    "name": "Usage <of> Acme", "accent": "#7a1fa2", "accent_dark": "#d6a4f0", "locale": "de",
    "frame_ancestors": ["https://app.example.com"], "logo": PNG,
}  # fmt: skip


@pytest.fixture
def themed(ledger: Ledger) -> Iterator[None]:
    ledger.do("portal.set", tenant=A, reason="theirs", **THEIRS)
    yield
    ledger.do("portal.set", tenant=A, reason="as it was")


def open_page(ledger: Ledger, query: str = "", **more: Any) -> Any:
    return ledger.get(f"/portal/?token={ledger.token(**more)}{query}")


def test_the_page_says_what_the_api_says(ledger: Ledger) -> None:
    page = open_page(ledger)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for words in ("plain-feature", "other-feature", "9,000", "0.03", "Billed by day", A):
        assert words in page.text, words
    assert "plain-user" in open_page(ledger, "&by=user").text


def test_nothing_leaks_from_the_page(ledger: Ledger) -> None:
    headers = open_page(ledger).headers
    assert "set-cookie" not in headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.usefixtures("themed")
def test_the_theme_is_the_tenants(ledger: Ledger) -> None:
    page = open_page(ledger)
    assert "Usage &lt;of&gt; Acme" in page.text
    assert "9.000" in page.text
    assert "0,03" in page.text
    assert f'src="{PNG}"' in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors https://app.example.com" in policy
    assert "x-frame-options" not in page.headers
    found = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert found
    digest = b64encode(sha256(found[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "#7a1fa2" in found[1]


def test_no_inline_styles_or_handlers(ledger: Ledger) -> None:
    assert not re.search(r"<[^>]+\s(style|on\w+)=", open_page(ledger).text)


def test_links_carry_the_token_so_that_no_script_is_needed(ledger: Ledger) -> None:
    page = open_page(ledger)
    links = re.findall(r'href="(/portal/\?[^"]*)"', page.text)
    assert len(links) >= 8
    for link in links:
        assert ledger.get(link.replace("&amp;", "&")).status_code == 200, link


def test_an_expired_or_missing_token_is_told_on_a_page(ledger: Ledger) -> None:
    for path in ("/portal/", "/portal", "/portal/?token=x"):
        page = ledger.get(path)
        assert page.status_code == 401, path
        assert "Open it again from the application" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_wrong_range_is_told_on_the_page(ledger: Ledger) -> None:
    page = open_page(ledger, "&since=nonsense")
    assert page.status_code == 200
    assert "is not a time" in page.text


@pytest.mark.parametrize("part", list(Part))
def test_a_token_opens_its_parts_alone(ledger: Ledger, part: Part) -> None:
    token = ledger.token(parts=(part,))
    paths = {
        Part.USAGE: "usage", Part.BILLED: "billed", Part.BUDGET: "budgets",
        Part.STATEMENTS: "statements", Part.PROJECTION: "projection",
    }  # fmt: skip
    for one, path in paths.items():
        answer = ledger.get(f"/portal/api/{path}", token)
        assert answer.status_code == (200 if one is part else 403), (one, answer.text)
    assert ledger.get(f"/portal/?token={token}").status_code == 200
    if part is not Part.BILLED:
        assert "billable" not in ledger.get("/portal/api/usage", token).text


def test_our_cost_is_shown_only_where_the_settings_say_so(ledger: Ledger) -> None:
    token = ledger.token()
    paths = ("usage", "billed", "budgets", "statements", "projection")
    # 9,060 tokens at 3 dollars a million, and of one call of each kind.
    costs = ("0.027180", "0.003030", "0.006030", "0.00906")
    plain = " ".join(ledger.get(f"/portal/api/{path}", token).text for path in paths)
    plain += ledger.get(f"/portal/?token={token}").text
    assert "cost" not in plain.lower()
    assert not [one for one in costs if one in plain]
    ledger.do("portal.set", tenant=A, reason="they may", shows_cost=True)
    try:
        shown = ledger.get("/portal/api/usage", token).json()
        assert shown["totals"]["cost_usd"] == "0.027180000000"
        limits = ledger.get("/portal/api/budgets", token).json()["rows"]
        assert limits[0]["limit"] == "50.000000000000"
    finally:
        ledger.do("portal.set", tenant=A, reason="as it was")


def test_budgets_are_the_tenants_alone(ledger: Ledger) -> None:
    rows = ledger.get("/portal/api/budgets", ledger.token()).json()["rows"]
    assert [row["name"] for row in rows] == ["each-tenant", "calls"]
    calls = rows[1]
    assert (calls["limit"], calls["left"] + calls["used"]) == (1_000, 1_000)
    assert rows[0]["limit"] is None


@pytest.mark.parametrize("kind", ["pdf", "csv"])
def test_a_month_is_a_file(ledger: Ledger, kind: str) -> None:
    month = ledger.get("/portal/api/projection", ledger.token()).json()["period"]
    answer = ledger.get(f"/portal/api/statement?period={month}&format={kind}", ledger.token())
    assert answer.status_code == 200
    assert A in answer.headers["content-disposition"]
    if kind == "pdf":
        assert answer.content.startswith(b"%PDF")
    else:
        head = answer.text.splitlines()[0].split(",")
        assert "cost_usd" not in head
        assert "plain-feature" in answer.text
    assert ledger.get("/portal/api/statement?format=exe", ledger.token()).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"accent": "#ffff00"}, {"accent": "red"}, {"accent_dark": "#111111"},
        {"accent": "#0b57d0}body{display:none"}, {"logo": "https://example.com/x.png"},
        {"logo": "data:image/svg+xml;base64,PHN2Zz4="}, {"logo": PNG.replace("png", "jpeg")},
        {"logo": "data:image/png;base64,!!!!"}, {"logo": PNG + "A" * 100_000},
        {"frame_ancestors": ("*",)}, {"frame_ancestors": ("https://a.example; script-src *",)},
        {"frame_ancestors": ("http://app.example.com",)}, {"frame_ancestors": ("'self' x",)},
        {"name": ""}, {"name": "a\nb"}, {"currency_text": "x" * 9}, {"locale": "xx"},
        {"parts": ()}, {"frame_ancestors": ("https://a.example",) * 21},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_would_break_the_page_are_refused(wrong: dict[str, Any]) -> None:
    check(PortalSettings())
    with pytest.raises(PortalRequestError):
        check(PortalSettings(**wrong))


@given(st.integers(-(10**18), 10**18), st.sampled_from(sorted(LOCALES)))
def test_numbers_are_the_same_in_every_country(number: int, name: str) -> None:
    locale = LOCALES[name]
    text = whole(number, locale)
    digits = text.replace(locale.thousands, "") if locale.thousands else text
    assert int(digits) == number


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("1234567.891", "en", "1,234,567.89"), ("1234567.891", "de", "1.234.567,89"),
        ("1234567.891", "in", "12,34,567.89"), ("1234567.891", "ch", "1\u2019234\u2019567.89"),
        ("0.000012345", "en", "0.000012"), ("-0.005", "de", "-0,0050"), ("0", "fr", "0,00"),
        ("-1234.5", "plain", "-1234.50"),
    ],
)  # fmt: skip
def test_amounts_are_written_as_a_country_does(text: str, name: str, shown: str) -> None:
    assert amount(text, LOCALES[name]) == shown


def test_making_tokens_is_noted_and_the_console_offers_it(ledger: Ledger) -> None:
    ledger.token()
    page = ledger.get("/portals", OWNER, headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "/do/portal.token" in page.text
    kept = ledger.get("/portals.json", OWNER).json()
    assert {row["tenant"] for row in kept["tables"]["tokens"]["rows"]} >= {A}
