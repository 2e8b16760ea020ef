"""An open ledger and its books, and the operations of finance carried out on them."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tollbook import clock
from tollbook.chargeback.periods.cutoffs import as_billed
from tollbook.config import load_config
from tollbook.console.finance import READ_TIMEOUT_S, carry_out
from tollbook.console.ledgerfile import open_ledger
from tollbook.console.upkeep import rerate_answer
from tollbook.desk import Desk
from tollbook.desk.registry import operations
from tollbook.money import pico_from_usd
from tollbook.reports.params import from_pairs
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.console.ledgerfile import LedgerFiles

SETTINGS = """
[store]
dir = "{data}"

[providers.openai]
dialect = "openai"
base_url = "https://api.openai.com"
api_key_env = "OPENAI_API_KEY"

[providers.anthropic]
dialect = "anthropic"
base_url = "https://api.anthropic.com"
api_key_env = "ANTHROPIC_API_KEY"

[providers.azure]
dialect = "azure"
base_url = "https://product.openai.azure.com"
api_key_env = "AZURE_OPENAI_API_KEY"

[finance]
approvers = ["controller"]
"""


class House:
    """What the steps of the quarter are done with."""

    def __init__(self, files: LedgerFiles, desk: Desk) -> None:
        self.files, self.desk = files, desk
        self._operations = operations()

    def do(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Carry out an operation as its command and its route of the API do."""
        return carry_out(self._operations[name], self.desk, given)

    def rerate(self, **given: str) -> dict[str, Any]:
        """Preview or book what today's cards change."""
        pairs = list(given.items())
        desk = self.desk
        return rerate_answer(self.files, desk.config, desk.config_path, desk.environ, pairs)

    def spend(self, **given: str) -> dict[tuple[str | None, ...], int]:
        """Return dollars in pico by the dimensions of ``by``."""
        query = as_billed(
            self.desk.books, self.desk.config, from_pairs(list(given.items()), clock.utc_now())
        )
        return {
            tuple(None if row[name] is None else str(row[name]) for name in query.by): row[
                "cost_usd"
            ] or 0
            for row in wide_rows(self.desk.reader, query)
        }  # fmt: skip

    def total(self, **given: str) -> int:
        """Return dollars in pico."""
        return sum(self.spend(**given).values())


@contextmanager
def open_house(directory: Path) -> Iterator[House]:
    """Write the settings, and open a ledger that is made where there is none."""
    directory.mkdir(parents=True, exist_ok=True)
    path, data = directory / "tollbook.toml", directory / "data"
    path.write_text(SETTINGS.format(data=data))
    config = load_config(path, os.environ)
    data.mkdir(exist_ok=True)
    with (
        open_ledger(config, data, path) as files,
        closing(files.store.reader()) as connection,
    ):
        desk = Desk(
            reader=DuckdbReader(connection, READ_TIMEOUT_S), books=files.books, config=config,
            data_dir=data, environ=os.environ, config_path=path, writer=files.store,
            author="controller",
        )  # fmt: skip
        yield House(files, desk)


def pico(text: str | None) -> int:
    """Return an amount of an answer in pico; nothing is nothing."""
    return 0 if text is None else pico_from_usd(text)
