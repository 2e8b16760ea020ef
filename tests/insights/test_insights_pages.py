"""Pages, routes, commands and the document of insights, on a ledger process that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread, write_calls

from tollbook.cli.main import cli
from tollbook.console.pages.page import pages
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[2] / "docs" / "insights.md"
INSIGHTS = sorted(one for one in operations() if one.startswith("insights."))
PAGES = sorted(one for one in pages() if one.startswith(("/insights", "/forecast")))


class House(NamedTuple):
    """A running ledger."""

    data_dir: Path
    base: str
    token: str

    def get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.get(self.base + path, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data_dir = tmp_path_factory.mktemp("insights-house")
    write_calls(data_dir, ["acme", "globex", "acme", None])
    process = LedgerThread(data_dir)
    running = process.start()
    running.api.catch_up()
    yield House(data_dir, f"http://127.0.0.1:{running.port}", running.token)
    process.end()


@pytest.mark.parametrize("name", INSIGHTS)
def test_every_insight_is_a_route_that_says_how_it_was_computed(house: House, name: str) -> None:
    operation = operations()[name]
    answer = house.get(f"/api/v1{operation.path}?where=status=ok&where=feature=search")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert len(body["method"]) > 100
    assert body["headline"].endswith(".")
    assert body["calls"].startswith("/calls?")
    assert body["query"]["where"] == ["feature=search", "status=ok"]
    assert body["completeness"]["unattributed"]["calls"] in (0, 1)
    assert {"rows", "totals", "by", "at_stake_usd"} <= set(body)
    wrong = house.get(f"/api/v1{operation.path}?since=nonsense")
    assert wrong.status_code == 400 or name == "insights.operational"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_in_three_forms(house: House, path: str) -> None:
    page = house.get(path)
    assert page.status_code == 200, page.text[:500]
    assert "<h1" in page.text
    assert "style=" not in page.text
    assert "tollbook " in page.text
    assert house.get(f"{path}.json").json()["title"]
    assert house.get(f"{path}.csv").status_code == 200


def test_the_index_has_all_of_them_by_dollars(house: House) -> None:
    text = house.get("/insights").text
    titles = {page.title for path, page in pages().items() if path in PAGES}
    assert len(titles) == len(INSIGHTS) + 1
    for title in (*titles, "Margin"):
        assert title in text


def test_rows_lead_to_their_calls(house: House) -> None:
    text = house.get("/insights/units?by=feature&unit=operation").text
    assert re.search(r'href="/calls\?[^"]*where=feature%3Dsearch', text)


def test_commands_ask_the_same(house: House) -> None:
    where = ["--data", str(house.data_dir)]
    done = CliRunner().invoke(cli, ["insights", "skew", *where, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert msgspec.json.decode(done.stdout)["totals"]["owners"] == 2
    filtered = ["--where", "tenant=acme", "--where", "status=ok"]
    done = CliRunner().invoke(cli, ["insights", "skew", *where, *filtered, "--format", "table"])
    assert "acme" in done.stdout
    assert "globex" not in done.stdout
    assert "How: Owners are those" in done.stdout
    done = CliRunner().invoke(cli, ["forecast", *where, "--format", "csv", "--by", "tenant"])
    assert done.exit_code == 0
    assert done.stdout.startswith("tenant,")
    done = CliRunner().invoke(cli, ["insights", "change", *where, "--by", "tennant"])
    assert done.exit_code == 2


def _documented() -> list[list[str]]:
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"`(tollbook [a-z -]+)` \|", text)
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return [line.split()[1:] for line in (*rows, *block[1].splitlines())]


def test_the_document_names_every_insight() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name in INSIGHTS:
        assert f"`/api/v1{operations()[name].path}`" in text


@pytest.mark.parametrize("words", _documented(), ids=" ".join)
def test_commands_of_the_document_work(house: House, words: list[str]) -> None:
    done = CliRunner().invoke(cli, [*words, "--data", str(house.data_dir), "--format", "json"])
    if "metric:resolved-tickets" in words:
        assert done.exit_code == 2  # there is none in these books
        assert "there is no 'resolved-tickets'" in done.stderr
    else:
        assert done.exit_code == 0, done.output
