"""A data directory with some calls, with and without a ledger running over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.console.conftest import LedgerThread, write_calls

from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., Result]

TENANTS: list[str | None] = ["acme", "acme", "acme", "globex", "=HYPERLINK(1)", None]


@pytest.fixture(scope="module")
def closed_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose ledger has stopped."""
    data_dir = tmp_path_factory.mktemp("data")
    data_dir.chmod(0o700)
    write_calls(data_dir, TENANTS)
    thread = LedgerThread(data_dir)
    thread.start()
    assert thread.end() == 0
    return data_dir


@pytest.fixture(scope="module")
def open_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory over which a ledger runs."""
    data_dir = tmp_path_factory.mktemp("data")
    data_dir.chmod(0o700)
    write_calls(data_dir, TENANTS)
    thread = LedgerThread(data_dir)
    thread.start().api.catch_up()
    yield data_dir
    assert thread.end() == 0


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command line in an empty working directory; returns click's result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLBOOK_STORE__DIR", raising=False)

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return invoke
