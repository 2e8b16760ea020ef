"""``tollbook statements``, the API's operations, and the page that shows them."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.statements.provider_apis import FakeApi, OpenAiOrganization
from tests.statements.test_statements_invoice import PAPER, pdf

from tollbook.chargeback.statements.formats.mapped import parse_mapping
from tollbook.chargeback.statements.formats.registry import FORMATS
from tollbook.chargeback.statements.operations import OPERATIONS, preference
from tollbook.cli.main import cli
from tollbook.cli.statements import statements as group
from tollbook.config import Config
from tollbook.config.statements import Statements
from tollbook.console.finance import carry_out
from tollbook.desk import Desk
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.books.store import Books

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "statements.md"
COSTS = json.dumps({"object": "page", "has_more": False, "data": [{
    "object": "bucket", "start_time": 1_791_158_400, "end_time": 1_791_244_800,
    "results": [{"object": "organization.costs.result", "line_item": "gpt-5, input",
                 "amount": {"value": 0.25, "currency": "usd"}}],
}]})  # fmt: skip


@pytest.fixture
def data(books: Books) -> Path:
    """Return the data directory of books that nobody holds."""
    books.close()
    return books.path.parent


def run(data: Path, *words: str, code: int = 0, given: str | None = None) -> Any:
    result = CliRunner().invoke(
        cli, ["statements", *words, "--data", str(data), "--format", "json"], input=given
    )
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else result.stderr


def test_import_list_show_and_lines(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    path.write_text(COSTS)
    (row,) = run(data, "import", str(path))["rows"]
    assert (row["source"], row["new"], row["since"]) == (
        "openai.costs", True, "2026-10-05T00:00:00Z",
    )  # fmt: skip
    (again,) = run(data, "import", str(path))["rows"]
    assert (again["statement_id"], again["new"]) == (row["statement_id"], False)
    assert [one["lines"] for one in run(data, "list", "--basis", "cost")["rows"]] == [1]
    assert run(data, "list", "--provider", "anthropic")["rows"] == []
    assert run(data, "list", "--since", "2026-10-06")["rows"] == []
    answer = run(data, "lines", "--period", "2026-10")
    assert answer["total_lines"] == 1
    assert answer["rows"][0]["amount_usd"] == "0.250000000000"
    assert answer["rows"][0]["model"] == "gpt-5"
    assert run(data, "lines", row["statement_id"])["rows"] == answer["rows"]
    shown = run(data, "show", row["statement_id"][:9])
    assert shown["statement"]["raw_bytes"] == len(COSTS)
    raw = CliRunner().invoke(
        cli, ["statements", "show", row["statement_id"], "--raw", "--data", str(data)]
    )
    assert raw.stdout == COSTS
    table = CliRunner().invoke(
        cli,
        ["statements", "lines", "--period", "2026-10", "--data", str(data), "--format", "table"],
    )
    assert "0.25" in table.stdout
    assert "1 of 1 lines." in table.stdout


def test_marks(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    path.write_text(COSTS)
    (row,) = run(data, "import", str(path))["rows"]
    (final,) = run(data, "finalize", row["statement_id"], "--reason", "invoice agrees")["rows"]
    assert final["finality"] == "final"
    run(data, "withdraw", row["statement_id"], "--reason", "of another company")
    assert run(data, "list")["rows"] == []
    assert len(run(data, "list", "--withdrawn")["rows"]) == 1
    marks = run(data, "show", row["statement_id"])["rows"]
    assert [one["mark"] for one in marks] == ["final", "withdrawn"]
    assert run(data, "finalize", "st-nobody", "--reason", "x", code=1).startswith(
        "tollbook: no statement 'st-nobody'"
    )


def test_invoice_typed(data: Path) -> None:
    words = ("invoice", "--provider", "openai", "--period", "2026-10")
    (row,) = run(data, *words, "--id", "INV-7", "--amount", "123.45", "--tax", "1.23")["rows"]
    assert (row["basis"], row["invoice_id"], row["lines"]) == ("invoice", "INV-7", 2)
    problem = run(data, *words, "--amount", "5", code=2)
    assert problem == "tollbook: invoice: --id is missing\n"
    assert "--period, --id, --amount is missing" in run(
        data, "invoice", "--provider", "openai", code=2
    )


def test_invoice_of_a_pdf_is_never_guessed_silently(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(pdf(*PAPER))
    words = ("invoice", "--provider", "openai", "--pdf", str(path))
    told = run(data, *words, code=2)
    assert "read from: Amount due $1,306.50 USD" in told
    assert "would be taken from the PDF; check the lines above and say --accept" in told
    assert run(data, "list")["rows"] == []
    (row,) = run(data, *words, "--amount", "1306.51", "--accept")["rows"]
    assert (row["source"], row["invoice_id"]) == ("pdf", "7A2B3C4D-0012")
    lines = run(data, "lines", row["statement_id"])["rows"]
    assert [line["amount_usd"] for line in lines] == ["1200.010000000000", "106.500000000000"]


def test_mapping(data: Path, tmp_path: Path) -> None:
    (mapping,) = re.findall(r"```\n(basis.*?)```", PAGE.read_text(), re.DOTALL)
    path, rows = tmp_path / "own.toml", tmp_path / "export.csv"
    path.write_text(mapping)
    rows.write_text("Day,Charge,Model,Type,Tokens,Note\n2026-10-05,150,llama,prompt,2,x\n")
    kept = CliRunner().invoke(
        cli, ["statements", "map", "own", str(path), "--reason", "reseller", "--data", str(data)]
    )
    assert json.loads(kept.output)["rows"] == [
        {"document": "statement_mapping/own/1", "mapping": "own", "new": True}
    ]
    (row,) = run(data, "import", str(rows), "--as", "csv:own")["rows"]
    (line,) = run(data, "lines", row["statement_id"])["rows"]
    assert (line["amount_usd"], line["quantity"], line["tags"]) == (
        "1.500000000000", 2000, {"Note": "x"},
    )  # fmt: skip
    path.write_text(mapping.replace("basis", "base"))
    refused = CliRunner().invoke(
        cli, ["statements", "map", "own", str(path), "--reason", "x", "--data", str(data)]
    )
    assert refused.exit_code == 2
    assert parse_mapping(mapping, "own").provider == "together"


def test_fetch(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-secret")
    with FakeApi(OpenAiOrganization({"2026-10-05": 100})) as api:
        settings = tmp_path / "tollbook.toml"
        settings.write_text(f'[statements.fetch.openai]\nbase_url = "{api.url}"\nfirst_days = 3\n')
        answer = run(
            data, "fetch", "openai", "--since", "2026-10-01", "--until", "2026-10-10", "--config",
            str(settings),
        )  # fmt: skip
        assert len(answer["rows"]) == 11
        assert "at most every 60 s" in run(
            data, "fetch", "openai", "--config", str(settings), code=2
        )
    (line,) = run(data, "lines", "--period", "2026-10")["rows"]
    assert line["amount_usd"] == "0.100000000000"
    assert "sk-admin-secret" not in json.dumps(answer)


def test_operations(books: Books) -> None:
    offered = {one.name: one for one in OPERATIONS}
    desk = Desk(
        reader=None,  # type: ignore[arg-type] # statements need no ledger
        books=books, config=Config(), data_dir=books.path.parent, environ={}, author="ann",
    )  # fmt: skip

    def ask(name: str, **given: Any) -> dict[str, Any]:
        return carry_out(offered[f"statements.{name}"], desk, given)

    (row,) = ask("import", file_name="../../costs.json", content=COSTS)["rows"]
    assert (row["new"], row["file_name"], row["received_by"]) == (True, "costs.json", "ann")
    coded = base64.b64encode(COSTS.encode()).decode()
    (row,) = ask("import", file_name="x", content_base64=coded)["rows"]
    assert row["new"] is False
    (row,) = ask("list", basis="cost")["rows"]
    answer = ask("lines", period="2026-10", limit="1")
    assert (len(answer["rows"]), answer["total_lines"]) == (1, 1)
    ask("invoice", provider="openai", period="2026-10", invoice_id="A", amount="1")
    (line,) = ask("lines", basis="invoice", period="2026-10")["rows"]
    assert line["amount_usd"] == "1.000000000000"
    ask("mark", statement_id=row["statement_id"], mark="final", reason="agrees")
    shown = ask("show", statement_id=row["statement_id"])
    assert [one["author"] for one in shown["rows"]] == ["ann"]
    assert ask("shadowed")["rows"] == []
    for name, given, problem in (
        ("import", {"file_name": "x"}, "expected one of content and content_base64"),
        ("import", {"file_name": "x", "content_base64": "@"}, "no base64"),
        ("lines", {"limit": 10**6}, "limit"),
        ("list", {"basis": "guess"}, "basis"),
        ("list", {"who": "me"}, "unknown field"),
        ("show", {"statement_id": "st-x"}, "no statement"),
    ):  # fmt: skip
        with pytest.raises(TollbookError, match=problem):
            ask(name, **given)


def test_own_preference_goes_before_the_built_in_one() -> None:
    config = Config(statements=Statements(prefer=["aws.cost_explorer"]))
    order = preference(config)
    assert order[0] == "aws.cost_explorer"
    assert order.count("aws.cost_explorer") == 1
    assert "aws.cur2" in order


def test_the_page_names_every_form_and_only_commands_that_there_are() -> None:
    text = PAGE.read_text()
    for form in FORMATS:
        assert f"`{form}`" in text, form
    shown = re.findall(r"^ {4,}tollbook statements (.+)$", text, re.MULTILINE)
    assert len(shown) >= 9
    for line in shown:
        name, *words = shlex.split(line)
        command = group.commands[name]
        command.make_context(name, words, resilient_parsing=False).close()
    for one in OPERATIONS:
        assert f"{one.path}`" in text, one.path
