"""Every page of spend: as HTML, JSON and CSV, with the numbers of the reports."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.browser.history import ATTRIBUTE, FORMULA, HOSTILE, LONG, RUN, SCRIPT

if TYPE_CHECKING:
    from tests.console_pages.conftest import Console

RANGE = "since=80d"
TABLES = {
    "/": "by=provider",
    "/explorer": "by=tenant&and=model",
    "/tenants": "",
    "/features": "",
    "/users": "",
    "/models": "",
    "/kinds": "",
    "/layers": "",
    "/calls": "",
    "/runs": "",
    "/quality": "",
    "/operations": "",
    "/tenant": "id=harbour-media",
    "/run": f"id={RUN}",
}
"""Pages and what they cannot do without."""
_SUMMED = ("/tenants", "/features", "/users", "/models", "/kinds", "/layers", "/explorer")
"""Their first table adds up to the whole range."""


def _path(page: str, kind: str = "", more: str = "") -> str:
    base = "/overview" if page == "/" and kind else page
    query = "&".join(filter(None, [RANGE, TABLES.get(page, ""), more]))
    return f"{base}{kind}?{query}"


class _Tags(HTMLParser):
    """Tags that are opened and closed in order, and every attribute."""

    VOID = frozenset(["meta", "link", "input", "br", "img", "hr", "polyline"])

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.ids: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "option", "polyline"):
            if self.open and self.open[-1] == tag:
                self.open.pop()
            return
        while self.open and self.open[-1] in ("p", "option"):
            self.open.pop()
        if tag not in self.VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _read(text: str) -> _Tags:
    tags = _Tags()
    tags.feed(text)
    return tags


@pytest.mark.parametrize("page", TABLES)
def test_a_page_is_whole_html_under_its_policy(house: Console, page: str) -> None:
    answer = house.get(_path(page))
    assert answer.status == 200, answer.text[:500]
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    tags = _read(answer.text)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    for tag, name, value in tags.attributes:
        assert not name.startswith("on"), (tag, name, value)
        assert name != "style", (tag, value)
        assert not (value or "").lower().startswith("javascript:"), (tag, name, value)
    assert "The same in a terminal" in answer.text


@pytest.mark.parametrize("page", TABLES)
def test_json_and_csv_have_the_same_rows(house: Console, page: str) -> None:
    data = house.get(_path(page, ".json")).json()
    assert data["title"]
    names = list(data["tables"])
    assert names
    for name in names:
        answer = house.get(_path(page, ".csv", f"table={name}"), accept="*/*")
        assert answer.status == 200
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert rows[0] == data["tables"][name]["columns"]
        assert all(len(row) == len(rows[0]) for row in rows)
        assert len(rows) - 1 >= len(data["tables"][name]["rows"])


@pytest.mark.parametrize("page", _SUMMED)
def test_rows_of_csv_add_up_to_the_total_of_the_report(house: Console, page: str) -> None:
    whole = house.get(f"/api/v1/spend?{RANGE}&measures=cost_usd,calls", accept="*/*").json()
    text = house.get(_path(page, ".csv", f"table={_first(house, page)}"), accept="*/*").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == Decimal(
        whole["totals"]["cost_usd"]
    )
    data = house.get(_path(page, ".json")).json()
    table = data["tables"][_first(house, page)]
    if "cost_usd" in (table["total"] or {}):
        assert Decimal(table["total"]["cost_usd"]) == Decimal(whole["totals"]["cost_usd"])


def _first(house: Console, page: str) -> str:
    tables: dict[str, Any] = house.get(_path(page, ".json")).json()["tables"]
    return next(
        name
        for name, table in tables.items()
        if "cost_usd" in table["columns"] and not name.endswith("_numbers")
    )


@pytest.mark.parametrize("page", [*_SUMMED, "/", "/calls"])
def test_the_spend_of_a_page_is_that_of_the_report(house: Console, page: str) -> None:
    whole = house.get(f"/api/v1/spend?{RANGE}&measures=cost_usd", accept="*/*").json()
    figures = house.get(_path(page, ".json")).json()["figures"]
    spend = next(one["value"] for one in figures if one["label"] == "Spend")
    assert spend == whole["totals"]["cost_usd"]


def test_the_steps_of_the_chart_add_up_to_the_total(house: Console) -> None:
    for by in ("provider", "model", "tenant", "feature"):
        data = house.get(f"/overview.json?{RANGE}&by={by}").json()
        rows = data["tables"]["over_time_numbers"]["rows"]
        spend = next(one["value"] for one in data["figures"] if one["label"] == "Spend")
        assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal(spend)


@pytest.mark.parametrize("page", TABLES)
def test_an_empty_ledger_says_what_to_do(empty: Console, page: str) -> None:
    answer = empty.get(_path(page))
    if page == "/run":
        assert answer.status == 404
        return
    assert answer.status == 200, answer.text[:500]
    _read(answer.text)
    assert empty.get(_path(page, ".json")).status == 200
    if page != "/operations":
        assert re.search(r"No calls|None:|No call", answer.text)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_words_everywhere(house: Console, name: str) -> None:
    listed = house.get(f"/tenants?{RANGE}")
    assert SCRIPT not in listed.text
    assert ATTRIBUTE not in listed.text
    assert "onmouseover" not in {attribute for _, attribute, _ in _read(listed.text).attributes}
    own = f"/tenant?{RANGE}&id={quote(name)}"
    answer = house.get(own)
    assert answer.status == 200
    words = "".join(_read(answer.text).words)
    assert name in words or "\ufffd" in words
    data = house.get(f"/tenant.json?{RANGE}&id={quote(name)}").json()
    calls = next(one["value"] for one in data["figures"] if one["label"] == "Calls")
    rows = {row["tenant"]: row for row in _rows(house, "/tenants", "search=")}
    assert isinstance(calls, int)
    assert calls > 0
    assert calls == rows[name]["calls"]


def test_a_formula_is_not_one_in_csv(house: Console) -> None:
    text = house.get(f"/tenants.csv?{RANGE}", accept="*/*").text
    cells = [row[0] for row in csv.reader(io.StringIO(text))]
    assert f"'{FORMULA}" in cells
    assert LONG in cells


def _rows(house: Console, page: str, more: str = "") -> list[dict[str, Any]]:
    data = house.get(_path(page, ".json", more)).json()
    found: list[dict[str, Any]] = next(iter(data["tables"].values()))["rows"]
    return found


def test_links_of_hostile_names_lead_to_their_calls(house: Console) -> None:
    tags = _read(house.get(f"/tenants?{RANGE}").text)
    links = {value for tag, name, value in tags.attributes if tag == "a" and name == "href"}
    found = [one for one in links if one and one.startswith("/calls?") and "where=" in one]
    assert len(found) >= len(HOSTILE)
    assert all(house.get(one).status == 200 for one in found)


def test_search_order_and_pages_of_tenants(house: Console) -> None:
    robots = [row["tenant"] for row in _rows(house, "/tenants", "search=ROBOT")]
    assert sorted(robots) == ["meridian-robotics", "orchard-robotics", "summit-robotics"]
    names = [row["tenant"] for row in _rows(house, "/tenants", "order=tenant")]
    assert [one for one in names if one != "unknown"] == sorted(set(names) - {"unknown"})
    changes = [row["change_usd"] for row in _rows(house, "/tenants", "order=-change_usd")]
    known = [Decimal(one) for one in changes if one is not None]
    assert known == sorted(known, reverse=True)
    users = house.get(_path("/users", ".json")).json()["tables"]["users"]
    assert len(users["rows"]) == 50
    second = _rows(house, "/users", "page=2")
    assert not {row["user"] for row in second} & {row["user"] for row in users["rows"]}
    whole = list(csv.reader(io.StringIO(house.get(_path("/users", ".csv"), accept="*/*").text)))
    assert len(whole) - 1 > 50
    assert house.get(_path("/users", "", "page=x")).status == 400


def test_the_filter_form_becomes_a_filter_of_the_url(house: Console) -> None:
    answer = house.get("/tenants?since=80d&until=&filter=tenant&is=not&value=acme,globex")
    assert answer.status == 303
    assert answer.headers["location"] == "/tenants?since=80d&where=tenant%21%3Dacme%2Cglobex"
    tag = house.get("/calls?filter=tag&is=&value=plan%3Dgold")
    assert tag.headers["location"] == "/calls?where=tag%3Aplan%3Dgold"
    unset = house.get("/calls?filter=feature&is=unset&value=")
    assert unset.headers["location"] == "/calls?where=feature%3D"


def test_kinds_are_each_priced_and_add_up(house: Console) -> None:
    rows = _rows(house, "/kinds")
    assert {"input", "output", "input read from the cache"} <= {row["kind"] for row in rows}
    shares = sum((Decimal(row["cost_percent"]) for row in rows), Decimal())
    assert abs(shares - 100) < 1


def test_a_call_is_explained_from_the_list(house: Console) -> None:
    row = next(one for one in _rows(house, "/calls", "where=status=ok") if one["cost_usd"])
    data = house.get(f"/call.json?id={row['call_id']}").json()
    assert data["figures"][0]["value"] == row["cost_usd"]
    lines = data["tables"]["arithmetic"]
    assert sum(Decimal(one["cost_usd"]) for one in lines["rows"]) == Decimal(row["cost_usd"])
    assert data["texts"]
    assert data["command"] == f"tollbook explain {row['call_id']}"


def test_the_dearest_calls_come_first(house: Console) -> None:
    costs = [row["cost_usd"] for row in _rows(house, "/calls", "order=cost")]
    known = [Decimal(one) for one in costs if one is not None]
    assert known == sorted(known, reverse=True)
    assert costs[: len(known)] == [one for one in costs if one is not None]


def test_calls_are_paged_without_gap_or_overlap(house: Console) -> None:
    seen: list[str] = []
    path = _path("/calls", ".json", "where=tenant=orchard-robotics")
    while path:
        table = house.get(path).json()["tables"]["calls"]
        seen += [row["call_id"] for row in table["rows"]]
        path = (table["next"] or "").replace("/calls?", "/calls.json?")
    whole = house.get(f"/api/v1/spend?{RANGE}&where=tenant%3Dorchard-robotics", accept="*/*")
    assert len(seen) == len(set(seen)) == whole.json()["totals"]["calls"]


def test_a_run_is_a_tree_with_its_failure_and_its_retry(house: Console) -> None:
    rows = _rows(house, "/run")
    whole = Decimal(rows[0]["cost_usd"])
    assert sum(Decimal(row["own_cost_usd"]) for row in rows if row["kind"] != "call") == whole
    failed = [row for row in rows if row["status"] == "error"]
    assert len(failed) == 1
    assert rows[0]["retry_calls"] == 1
    assert "When what ran" in house.get(_path("/run")).text


def test_quality_counts_what_the_reports_count(house: Console) -> None:
    issues = {row["issue"]: row for row in _rows(house, "/quality")}
    report = house.get(f"/api/v1/spend?{RANGE}", accept="*/*").json()["completeness"]
    for name in ("unattributed", "unpriced", "estimated", "unmetered", "interrupted"):
        assert issues[name]["calls"] == report[name]["calls"], name
        assert issues[name]["cost_usd"] == report[name]["cost_usd"], name
    sites = house.get(_path("/quality", ".json")).json()["tables"]["call_sites"]["rows"]
    assert {row["call_site"] for row in sites} <= {
        "jobs/nightly.py:12 run", "jobs/nightly.py:48 run",
    }  # fmt: skip
    assert sum(row["calls"] for row in sites) == issues["unattributed"]["calls"] > 0


def test_commands_of_pages_answer_the_same(house: Console) -> None:
    """The command of a page, as a query of the API, has the rows of the page's table."""
    data = house.get(_path("/features", ".json")).json()
    words = data["command"].split()
    assert words[:3] == ["tollbook", "report", "spend"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    query = "&".join(
        f"{name.removeprefix('--').replace('-', '_')}={quote(value.strip(chr(39)))}"
        for name, value in options.items()
    )
    report = house.get(f"/api/v1/spend?{query}", accept="*/*").json()
    shown = [(row["feature"], row["cost_usd"]) for row in data["tables"]["features"]["rows"]]
    assert shown == [(row["feature"], row["cost_usd"]) for row in report["rows"]]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tenants?since=never", 400, "This cannot be asked"),
        ("/tenants?order=beauty", 400, "This cannot be asked"),
        ("/explorer?by=nothing", 400, "This cannot be asked"),
        ("/explorer?top=0", 400, "between 1 and"),
        ("/models?by=user", 400, "is not one of"),
        ("/tenants?tz=Mars/Base", 400, "IANA"),
        ("/tenant", 400, "expected the name of a tenant"),
        ("/call?id=none", 404, "There is no such page"),
        ("/run?id=none", 404, "There is no such page"),
        ("/nowhere", 404, "There is no such page"),
    ],
)
def test_errors_are_pages_that_say_what_to_do(
    house: Console, path: str, status: int, words: str
) -> None:
    answer = house.get(path)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert words in answer.text
    _read(answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    asked, _, query = path.partition("?")
    if asked != "/nowhere":
        data = house.get(f"{asked}.json?{query}", accept="application/json")
        assert data.status == status
        assert data.headers["content-type"] == "application/problem+json"


def test_pages_are_small_on_the_wire(house: Console) -> None:
    plain = house.get(_path("/tenants"))
    packed = house.get(_path("/tenants"), **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) * 4 < len(plain.text)
    refused = house.get(_path("/tenants"), **{"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    script = re.search(r'src="(/static/vega[^"]+)"', house.get(_path("/")).text)
    assert script
    asset = house.get(script[1], **{"accept-encoding": "gzip"})
    assert asset.headers["content-encoding"] == "gzip"
    assert "immutable" in asset.headers["cache-control"]
