"""Every page of finance over a closed month, over nothing, and with hostile names."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import zipfile
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import openpyxl  # type: ignore[import-untyped] # it has no types
import pyarrow.parquet as pq
import pypdf
import pytest
from tests.console_finance.finance_pages_kit import (
    HOSTILE,
    MONTH,
    POLICY,
    Browser,
    browsing,
    filled,
    forms_of,
    must_parse,
)
from tests.periods.finance_kit import finance_world

from tollbook.chargeback.periods import as_billed
from tollbook.console.answers import Answers
from tollbook.console.pages.context import House, PageContext
from tollbook.console.pages.page import pages
from tollbook.console.pages.view import Form
from tollbook.desk.permits import Role, principal_of
from tollbook.desk.registry import operations
from tollbook.ledger.cards import BooksShelf
from tollbook.reports.params import parse_filter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.periods.finance_kit import World

SYSTEM = {
    "type": "stripe", "start": "2026-10-01", "customers": {"acme": "cus_1"},
    "meters": [{"name": "tokens", "measure": "input_tokens"}],
}  # fmt: skip
REVENUE = "line_id,tenant,amount,issued,start,end\n1,acme,100,2026-10-01,2026-10-01,2026-10-31\n"
PAGES = (
    f"/margin?period={MONTH}", f"/margin?period={MONTH}&by=plan",
    f"/margin?period={MONTH}&by=month", f"/margin?period={MONTH}&by=feature",
    f"/margin/revenue?period={MONTH}",
    "/prices?since=2026-10-01", "/prices/card?provider=openai&model=gpt-4o",
    "/prices/unpriced?since=2026-10-01", "/prices/changes", "/prices/fx", "/prices/restatement",
    "/prices/restatement?from_date=2026-10-01",
    f"/reconciliation?period={MONTH}", f"/reconciliation/true-up?period={MONTH}",
    "/periods", f"/period?period={MONTH}", f"/period?period={MONTH}&verify=yes&by=feature",
    "/period?period=2026-11", f"/allocation?period={MONTH}", f"/statements?period={MONTH}",
    f"/statements?period={MONTH}&by=cost_center", f"/statement?period={MONTH}&owner=acme",
    "/provider-statements", "/exports", "/billing", "/getting-started",
)  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    root = tmp_path_factory.mktemp("closed")
    with filled(root):
        pass
    with browsing(root) as browser:
        close_by_forms(browser)
        browser.do("/billing", "Keep it", name="stripe", body=json.dumps(SYSTEM), reason="first")
        browser.do("/margin", "Import", {"text|file": ("crm.csv", REVENUE)}, name="crm")
        browser.do("/margin", "Keep the target", min_margin_percent="80", reason="board")
        yield browser


def close_by_forms(browser: Browser) -> None:
    period, allocation = f"/period?period={MONTH}", f"/allocation?period={MONTH}"
    browser.do(period, f"{MONTH} is reconciled")
    browser.do(
        allocation, "Keep the policy", body=json.dumps(POLICY), effective_from="2026-01",
        reason="agreed",
    )  # fmt: skip
    browser.do(allocation, f"Book the allocation of {MONTH}")
    browser.do(period, f"{MONTH} is allocated")
    browser.do(period, f"Seal {MONTH}")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_itself_in_three_forms(closed: Browser, path: str) -> None:
    html, data = closed.page(path), closed.data(path)
    must_parse(data["command"])
    assert "<script>alert" not in html
    assert 'style="' not in html
    name, _, query = path.partition("?")
    tables = list(data["tables"])
    for table in {*tables[:1], *tables[-1:]}:
        found = closed.get(f"{name}.csv?{query}&table={table}")
        assert found.status_code == 200
        rows = list(csv.DictReader(io.StringIO(found.text)))
        assert len(rows) == len(data["tables"][table]["rows"])
    known = operations()
    for form in forms_of(html):
        assert known[form["action"].removeprefix("/do/")].method == "POST"
        assert "by" not in form["fields"] or form["action"].endswith("invoices.export")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_over_nothing_says_what_to_do(empty: Browser, path: str) -> None:
    html = empty.page(path)
    assert "Traceback" not in html
    assert 'class="empty"' in html or 'class="notice' in html


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    root = tmp_path_factory.mktemp("empty")
    with finance_world(root):
        pass
    with browsing(root) as browser:
        yield browser


def test_a_hostile_name_is_shown_whole_and_leads_to_its_calls(closed: Browser) -> None:
    rows = closed.table(f"/statements?period={MONTH}", "owners")
    assert HOSTILE in [row["owner"] for row in rows]
    row = next(row for row in rows if row["owner"] == HOSTILE)
    html = closed.page(f"/statements?period={MONTH}&q=alert")
    assert "&lt;script&gt;" in html
    assert "acme" not in html.partition("<tbody>")[2].partition("</tbody>")[0]
    assert row["calls"] == 1
    statement = closed.data("/statement?" + urlencode({"period": MONTH, "owner": HOSTILE}))
    html = closed.page("/statement?" + urlencode({"period": MONTH, "owner": HOSTILE}))
    link = unescape(re.findall(r'href="(/calls\?[^"]*)"', html)[0])
    where = dict(parse_qsl(urlsplit(link).query))["where"]
    assert parse_filter(where).values == (HOSTILE,)
    must_parse(statement["command"])
    assert HOSTILE in shlex.split(statement["command"])
    assert statement["title"] == f"Statement of {HOSTILE}"
    assert len(statement["tables"]["lines"]["rows"]) == 2  # its calls, and what was allocated


def test_sums_of_pages_are_those_of_the_operations(closed: Browser) -> None:
    margin = closed.get(f"/api/v1/margin?period={MONTH}").json()
    shown = closed.data(f"/margin?period={MONTH}")["tables"]["margin"]
    assert {row["tenant"]: row["cost_usd"] for row in shown["rows"]} == {
        row["tenant"]: row["cost_usd"] for row in margin["rows"]
    }
    least = [row["gross_margin_usd"] for row in shown["rows"]]
    assert least == sorted(least, key=float)
    acme = next(row for row in shown["rows"] if row["tenant"] == "acme")
    assert acme["revenue_usd"] == "100.000000000000"
    assert acme["about"] == "below 80 %"
    balance = closed.get(f"/api/v1/periods/trial-balance?period={MONTH}").json()
    assert closed.table(f"/period?period={MONTH}", "trial_balance") == balance["rows"]


def test_parts_of_an_allocation_come_to_a_hundred(closed: Browser) -> None:
    (rule,) = closed.table(f"/allocation?period={MONTH}", "rules")
    assert (rule["sum_percent"], rule["receivers"]) == ("100.0000", 2)
    assert rule["taken_usd"] == rule["given_usd"] == "5.000000000000"
    assert closed.table(f"/allocation?period={MONTH}", "diff") == []


def test_a_closed_month_has_no_step_left(closed: Browser) -> None:
    html = closed.page(f"/period?period={MONTH}&verify=yes")
    assert [form["action"] for form in forms_of(html)] == []
    assert "everything that it covers is as it was" in html


def test_every_download_opens(closed: Browser) -> None:
    statement = f"/statement?period={MONTH}&owner=acme"
    for kind in ("pdf", "xlsx", "csv"):
        closed.do(statement, "Make the files", files=kind)
    for version, kind in (("1.4", "csv"), ("1.2", "parquet")):
        closed.do("/exports", "Export", period=MONTH, version=version, files=kind,
                  perspective="cost", view="billed")  # fmt: skip
    links = {
        row["file"]: f"/api/v1/exports/file?export_id={row['export']}&name={row['file']}"
        for row in closed.table(statement, "files")
    }
    exports = closed.table("/exports", "exports")
    assert {row["state"] for row in exports} == {"final"}
    for row in exports:
        for one in closed.table(f"/export?id={row['export_id']}", "files"):
            links[one["name"]] = (
                f"/api/v1/exports/file?export_id={row['export_id']}&name={one['name']}"
            )
    suffixes = set()
    for name, link in links.items():
        found = closed.get(link)
        assert found.status_code == 200, name
        suffix = name.rpartition(".")[2]
        suffixes.add(suffix)
        opened(suffix, found.content)
    assert suffixes == {"pdf", "xlsx", "csv", "parquet", "json"}


def opened(suffix: str, content: bytes) -> None:
    file = io.BytesIO(content)
    if suffix == "pdf":
        assert pypdf.PdfReader(file).pages
    elif suffix == "xlsx":
        assert zipfile.is_zipfile(file)
        assert openpyxl.load_workbook(file).sheetnames
    elif suffix == "parquet":
        assert pq.read_table(file).num_rows
    elif suffix == "csv":
        assert len(list(csv.reader(io.StringIO(content.decode())))) > 1
    else:
        assert content.startswith(b"{")


def context_of(world: World, role: Role, path: str, *pairs: tuple[str, str]) -> PageContext:
    answers = Answers(
        world.reader, BooksShelf(world.books),
        as_billed=lambda query: as_billed(world.books, world.config, query),
        with_periods=lambda found: found,
    )  # fmt: skip
    house = House(answers, world.desk(), operations(), dict)
    return PageContext(house, principal_of("user:vera", role), path, list(pairs))


def test_who_may_only_look_is_offered_no_form(tmp_path: Path) -> None:
    offered = {Role.VIEWER: 0, Role.FINANCE: 0}
    with filled(tmp_path) as world:
        for path in ("/margin", "/prices", "/reconciliation", "/period", "/allocation",
                     "/statements", "/provider-statements", "/exports", "/billing"):  # fmt: skip
            for role in offered:
                context = context_of(world, role, path, ("period", MONTH))
                view = pages()[path].build(context)
                offered[role] += sum(isinstance(one, Form) for one in view.sections)
    assert offered[Role.VIEWER] == 0
    assert offered[Role.FINANCE] > 15
