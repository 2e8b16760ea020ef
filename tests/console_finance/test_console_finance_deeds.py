"""Forms with files and objects, prices that are tried before they are kept, and restatement."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from tests.console.conftest import write_calls
from tests.console_finance.finance_pages_kit import Browser, browsing, plain

from tollbook.console.pages.deeds import object_of, uploaded
from tollbook.money import pico_from_usd
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARD = """[[prices]]
provider = "openai"
model = "gpt-4o-mini*"
effective_from = 2026-01-01
input = 1
output = 2
"""
USAGE = {
    "object": "page", "has_more": False, "next_page": None,
    "data": [{
        "object": "bucket", "start_time": 1790812800, "end_time": 1790899200,
        "results": [{
            "object": "organization.costs.result", "amount": {"value": 1.5, "currency": "usd"},
            "line_item": "gpt-4o-mini, input", "project_id": None, "organization_id": None,
        }],
    }],
}  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A ledger with three calls of acme and one of globex, by the spool."""
    write_calls(tmp_path, ["acme", "acme", "acme", "globex"])
    with browsing(tmp_path) as found:
        yield found


def test_cards_are_tried_kept_and_booked_once(browser: Browser) -> None:
    path = "/prices/restatement?from_date=2026-01-01"
    assert browser.table(path, "tenants") == []
    upload = {"text|file": ("cards.toml", CARD)}
    tried = browser.send("/prices", "Show what it would change", upload)
    assert tried.status_code == 200
    assert "acme" in plain(tried.text) or "acme" in tried.text
    assert browser.get("/api/v1/prices/history").json()["rows"] == []
    where = browser.do("/prices", "Keep the cards", upload, reason="contract")
    assert where.startswith("/prices/restatement")
    rows = {row["tenant"]: row for row in browser.table(path, "tenants")}
    # 1000 input at 1 USD and 100 output at 2 USD for a million, each call.
    assert rows["acme"]["after_usd"] == "0.003600000000"
    assert rows["globex"]["after_usd"] == "0.001200000000"
    change = sum(pico_from_usd(row["change_usd"]) for row in rows.values())
    (month,) = browser.table(path, "months")
    assert pico_from_usd(month["change_usd"]) == change
    button = "Book the change"
    browser.do(path, button, reason="contract")
    assert browser.table(path, "tenants") == []
    again = browser.get("/api/v1/prices/restatement").json()
    assert again["totals"]["calls"] == 0
    spent = browser.table("/statements?period=" + month["month"], "owners")
    assert {row["owner"]: row["cost_usd"] for row in spent} == {
        "acme": "0.003600000000", "globex": "0.001200000000",
    }  # fmt: skip


def test_one_card_is_kept_and_ended_by_forms(browser: Browser) -> None:
    browser.do("/prices", "Keep the card", provider="openai", model="gpt-4o-mini",
               effective_from="2026-01-01", discount_percent="10", reason="order form")  # fmt: skip
    (row,) = browser.table("/prices", "cards")
    assert (row["model"], row["prices"]) == ("gpt-4o-mini", "list price, less 10 %")
    card = f"/prices/card?card={row['card']}"
    browser.do(card, "End the card", since="2026-02-01", reason="over")
    assert [one["version"] for one in browser.table(card, "history")] == [2, 1]
    refused = browser.send("/prices", "Keep the card", provider="openai", model="x",
                           effective_from="2026-01-01", reason="no rate at all")  # fmt: skip
    assert refused.status_code == 422


def test_a_statement_is_uploaded_marked_and_not_kept_twice(browser: Browser) -> None:
    content = json.dumps(USAGE).encode()
    upload = {"content_base64|file_name": ("costs.json", content)}
    for _ in range(2):
        browser.do("/provider-statements", "Keep it", upload, provider="openai")
    (row,) = browser.table("/provider-statements", "statements")
    assert (row["provider"], row["basis"], row["file_name"]) == ("openai", "cost", "costs.json")
    one = f"/provider-statement?id={row['statement_id']}"
    (line,) = browser.table(one, "lines")
    assert line["amount_usd"] == "1.500000000000"
    browser.do(one, "It is final", reason="invoice came")
    assert browser.table(one, "marks")[0]["mark"] == "final"
    junk = {"content_base64|file_name": ("x.bin", b"\x00\xff\xfe")}
    assert browser.send("/provider-statements", "Keep it", junk).status_code == 422


def test_an_invoice_is_typed_in_and_a_month_reconciled(browser: Browser) -> None:
    month = browser.get("/api/v1/periods").json()["rows"][-1]["period"]
    browser.do("/provider-statements", "Keep the invoice", provider="openai", period=month,
               invoice_id="INV-1", amount="2")  # fmt: skip
    path = f"/reconciliation?period={month}"
    browser.do(path, f"Reconcile {month}")
    (run,) = browser.table(path, "runs")
    assert (run["provider"], run["billed_usd"]) == ("openai", "2.000000000000")
    causes = browser.table(path, "causes")
    total = sum(pico_from_usd(row["amount_usd"]) for row in causes)
    assert total == pico_from_usd(run["difference_usd"])
    first = browser.table(path, "differences")[0]
    one = f"/reconciliation/difference?id={first['id']}"
    browser.do(one, "Assign", owner="bob", note="ask them")
    browser.do(one, "Note it", note="they answered", state="disputed")
    shown = browser.table(path, "differences")[0]
    assert (shown["owner"], shown["state"]) == ("bob", "disputed")
    plan = f"/reconciliation/true-up?period={month}"
    (before,) = browser.table(plan, "totals")
    browser.do(plan, f"Book the true-up of {month}")
    (after,) = browser.table(plan, "totals")
    assert after["booked_before_usd"] == before["books_usd"]
    assert after["books_usd"] == "0.000000000000"
    assert browser.table(path, "runs")[0]["trued_up_usd"] == before["books_usd"]


def test_what_cannot_be_fetched_is_said_on_a_page(browser: Browser) -> None:
    refused = browser.send("/provider-statements", "Fetch", name="openai")
    assert refused.status_code == 422
    assert "OPENAI_ADMIN_KEY" in plain(refused.text)


def test_objects_are_json_or_toml() -> None:
    assert object_of("body", '{"a": {"b": 1}}') == {"a": {"b": 1}}
    assert object_of("body", '[[rules]]\nname = "rest"') == {"rules": [{"name": "rest"}]}
    for text in ("{", "= 1", "{" * 10_000):
        with pytest.raises(QueryError):
            object_of("body", text)


def test_files_are_text_or_base64() -> None:
    assert uploaded("text", b"\xef\xbb\xbfa,b") == "a,b"
    assert base64.b64decode(uploaded("content_base64", b"\x00\xff")) == b"\x00\xff"
    with pytest.raises(QueryError):
        uploaded("text", b"\xff\xfe\x00")
