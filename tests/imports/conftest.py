"""Files of other tools' logs, imported into a ledger in a fresh directory."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pytest
from click.testing import CliRunner

from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Done(NamedTuple):
    """What a command came to."""

    code: int
    answer: Any
    text: str


class Desk:
    """A data directory, a place for files, and the command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data_dir = root / "data"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def json_lines(self, name: str, rows: Sequence[Any]) -> Path:
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def csv(self, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        """Write rows as tools do: structures as JSON text, nothing for null."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: json.dumps(value) if isinstance(value, (dict, list)) else value
                    for name, value in row.items()
                }
            )
        return self.write(name, text.getvalue())

    def run(self, kind: str, *arguments: object) -> Done:
        """Run ``tollbook import``."""
        words = ["import", kind, *map(str, arguments), "--data", str(self.data_dir)]
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        code = done.return_value if done.exception is None else getattr(done.exception, "code", 99)
        code = done.exit_code if code is None else code
        text = done.output
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = None
        return Done(int(code or 0), answer, text)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the ledger's file."""
        path = str(self.data_dir / "ledger.duckdb")
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def calls(self) -> list[dict[str, Any]]:
        """Return the charges in force, by time."""
        path = str(self.data_dir / "ledger.duckdb")
        with duckdb.connect(path, read_only=True) as connection:
            done = connection.execute("SELECT * FROM entries ORDER BY called_at, call_id")
            names = [column[0] for column in done.description or []]
            return [dict(zip(names, row, strict=True)) for row in done.fetchall()]

    def refused(self) -> list[dict[str, Any]]:
        """Return what the last import refused."""
        (path,) = self.data_dir.glob("imports/*/rejected.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk whose working directory has no settings."""
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


@pytest.fixture
def make_desk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Desk]:
    """Return a maker of desks, for tests that need one for each example."""
    return lambda: Desk(tmp_path_factory.mktemp("desk"))
