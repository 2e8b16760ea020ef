from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tollbook.cli.main import cli
from tollbook.console.portal.settings import PortalSettings, check

ROOT = Path(__file__).resolve().parents[2]
PORTAL = "src/tollbook/console/portal"


@pytest.mark.parametrize(
    "text",
    [
        "from tollbook.reports.spend import run_spend",
        "import tollbook.console.answers",
        "from tollbook.chargeback.periods.cutoffs import closes",
        "def f(desk): return desk.reader",
        "def f(x): return x.fetch('SELECT 1')",
    ],
)
def test_modules_of_the_portal_cannot_reach_the_ledger(text: str) -> None:
    from tools.check_source import check_file  # noqa: PLC0415 -- of the repository, not installed

    found = [one.rule for one in check_file(Path(f"{PORTAL}/page.py"), text)]
    assert found == ["tenant-scope"]
    for elsewhere in (f"{PORTAL}/tenant/answers.py", "src/tollbook/console/app.py"):
        assert not list(check_file(Path(elsewhere), text))


def test_commands_and_settings_of_the_page_are_real() -> None:
    text = (ROOT / "docs/portal.md").read_text()
    import click  # noqa: PLC0415 -- here alone

    portal = cli.get_command(click.Context(cli), "portal")
    assert isinstance(portal, click.Group)
    named = re.findall(r"^\$ tollbook portal (\S+)", text, re.MULTILINE)
    assert set(named) == set(portal.commands)
    ((block),) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    check(msgspec.json.decode(block, type=PortalSettings))


def test_the_client_of_the_page_has_those_questions() -> None:
    import ast  # noqa: PLC0415 -- here alone

    from tollbook.client import Client  # noqa: PLC0415 -- here alone

    text = (ROOT / "docs/api.md").read_text()
    ((block),) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    used = {
        node.attr
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "tollbook"
    }
    assert used
    assert all(hasattr(Client, name) for name in used)
