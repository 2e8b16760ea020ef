"""The commands, as the page of the desk writes them, and the pages of the console."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from click.testing import CliRunner
from tests.budgeting.kit import Made, house_in

from tollbook import clock
from tollbook.cli.main import cli
from tollbook.console.pages.budgets import PAGES
from tollbook.console.pages.context import House as PageHouse
from tollbook.console.pages.context import PageContext
from tollbook.console.pages.render import as_csv, as_data
from tollbook.console.pages.view import Form, Table
from tollbook.desk.permits import Role, principal_of
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    import pytest
    from tests.budgeting.kit import House

    from tollbook.console.pages.view import View

DOC = Path(__file__).parents[2] / "docs" / "budget-desk.md"


def _commands() -> list[str]:
    block = DOC.read_text().partition("```sh\n")[2].partition("```")[0]
    return block.strip().splitlines()


def _run(root: Path, line: str, output: str = "json") -> Any:
    words = [*shlex.split(line)[1:], "--data", str(root), "--format", output]
    result = CliRunner().invoke(cli, words, env={"TOLLBOOK_CONFIG": ""})
    assert result.exit_code == 0, (line, result.output)
    return msgspec.json.decode(result.output) if output == "json" else result.output


def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    root.mkdir()
    with house_in(root) as house:
        house.write([Made(tenant="acme", input_cost=40 * 10**12)])
    answers = {line.split()[2]: _run(root, line) for line in _commands()}
    assert len(answers) == len(_commands())
    assert answers["list"]["rows"][0]["name"] == "per-tenant"
    assert answers["what-if"]["rule"]["limit_usd"] == "30"
    assert answers["top-up"]["rows"][0]["amount"] == "25.000000000000"
    assert answers["stop"]["rows"][0]["name"].startswith("stop-tenant-acme-")
    assert answers["remove"]["rows"][0]["is_removal"]
    assert _run(root, "tollbook budget list")["rows"] == []
    for line in ("tollbook budget standing", "tollbook budget show per-tenant"):
        for output in ("table", "csv"):
            assert _run(root, line, output) is not None


def _page(house: House, path: str, role: Role, *pairs: tuple[str, str]) -> View:
    found = {page.path: page for page in PAGES}
    names: dict[str, Any] = operations()
    answers: Any = None
    context = PageContext(
        PageHouse(answers, house.desk, names, dict), principal_of("test", role), path, list(pairs)
    )
    view = found[path].build(context)
    assert as_data(view)
    assert as_csv(view, None)
    return view


def _now_made(**fields: Any) -> Made:
    return Made(at_s=clock.unix_ns() / 10**9, **fields)


def test_pages_show_who_is_blocked_first_and_offer_deeds_to_who_may(house: House) -> None:
    start = datetime.fromtimestamp(0, tz=UTC)
    house.write(
        [_now_made(tenant="acme", input_cost=6 * 10**12), _now_made(tenant="globex")], start
    )
    house.ask("set", name="cap", limit_usd="5", each="tenant", reason="x",
              steps="50 rate 30, 90 refuse")  # fmt: skip
    name = house.ask("stop", field="tenant", value="initech", reason="x")["name"]
    listed = _page(house, "/budgets", Role.OWNER)
    table = next(one for one in listed.flat() if isinstance(one, Table) and one.name == "standing")
    assert [row["state"] for row in table.rows][:2] == ["blocked", "blocked"]
    acme = next(row for row in table.rows if row["owner"] == "tenant=acme")
    assert "tenant%3Dacme" in acme["_links"]["spent"]
    only = _page(house, "/budgets", Role.OWNER, ("state", "ok"))
    table = next(one for one in only.flat() if isinstance(one, Table) and one.name == "standing")
    assert {row["state"] for row in table.rows} == {"ok"}
    one = _page(house, "/budget", Role.OWNER, ("name", "cap"))
    forms = [form.operation for form in one.flat() if isinstance(form, Form)]
    assert forms == ["budgets.top_up", "budgets.stop", "budgets.set", "budgets.remove"]
    stop = _page(house, "/budget", Role.OWNER, ("name", name))
    assert [form.operation for form in stop.flat() if isinstance(form, Form)] == ["budgets.resume"]
    tried = _page(house, "/budget-what-if", Role.OWNER, ("name", "cap"), ("limit_usd", "4"))
    (form,) = [form for form in tried.flat() if isinstance(form, Form)]
    hidden = {field.name: field.value for field in form.fields}
    assert hidden["limit_usd"] == "4"
    assert hidden["each"] == "tenant"
    assert hidden["steps"] == "50 rate 30, 90 refuse"
    for path, pairs in (("/budgets", []), ("/budget", [("name", "cap")]),
                        ("/budget-what-if", [("limit_usd", "4")])):  # fmt: skip
        view = _page(house, path, Role.VIEWER, *pairs)
        assert not [form for form in view.flat() if isinstance(form, Form)]
