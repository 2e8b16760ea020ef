"""A data directory with books, a ledger that is filled by frames, and the desk of finance."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tollbook import __version__, ids
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.chargeback.pricebook.operations import OPERATIONS
from tollbook.config import load_config
from tollbook.console.finance import carry_out
from tollbook.console.ledgerfile import LedgerFiles, open_ledger
from tollbook.console.upkeep import rerate_answer, verify_answer
from tollbook.desk import Desk
from tollbook.reports.reader import DuckdbReader
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOVEMBER_NS = 1_793_491_200 * 10**9
"""2026-11-01."""
DAY_NS = 86_400 * 10**9
OPERATION = {one.name.removeprefix("prices."): one for one in OPERATIONS}
SETTINGS = """
[providers.openai]
dialect = "openai"
base_url = "https://api.openai.com/v1"
[providers.house]
dialect = "openai"
base_url = "https://llm.house.test/v1"
"""


class Spent(NamedTuple):
    """One call that a test makes."""

    tenant: str | None = "acme"
    model: str = "m-1"
    provider: str = "house"
    day: float = 0
    """After the first of November 2026."""
    input: int = 1000
    output: int = 100


class House:
    """One data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "tollbook.toml"
        self.settle(SETTINGS)

    def settle(self, text: str) -> None:
        """Write other settings; what is opened from now on has them."""
        self.config_path.write_text(text)
        self.config = load_config(self.config_path, {})

    def write(self, *calls: Spent) -> None:
        """Write calls into a spool, as a gateway does."""
        spool = self.root / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        writer = SpoolWriter(spool, new_writer_name(0), self.config.spool, version=__version__)
        for one in calls:
            at_ns = NOVEMBER_NS + int(one.day * DAY_NS)
            call_id = ids.new_id()
            writer.append(CallOpened(
                call_id=call_id, started_at_ns=at_ns, identity=Identity(tenant_id=one.tenant),
                provider=one.provider, dialect="openai", operation="chat",
                metering=Metering.METERED, method="POST", path="/v1/chat/completions",
                model_requested=one.model,
            ))  # fmt: skip
            usage = b'{"prompt_tokens":%d,"completion_tokens":%d}' % (one.input, one.output)
            writer.append(CallClosed(
                call_id=call_id, closed_at_ns=at_ns + 1000, status=Status.OK, http_status=200,
                duration_ns=5, usage=(usage,), usage_complete=True, model_actual=one.model,
            ))  # fmt: skip
        writer.flush()
        writer.close()

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """The ledger, open for writing; what is in the spool is booked first."""
        with (
            open_ledger(self.config, self.root) as files,
            closing(files.store.reader()) as connection,
        ):
            opened = Opened(self, files, DuckdbReader(connection))
            opened.drain()
            yield opened


class Opened(NamedTuple):
    """An open ledger."""

    house: House
    files: LedgerFiles
    reader: DuckdbReader

    def drain(self) -> None:
        """Book what the spool holds."""
        while not self.files.ingester.step().at_end:
            pass

    @property
    def desk(self) -> Desk:
        return Desk(
            reader=self.reader, books=self.files.books, config=self.house.config,
            data_dir=self.house.root, environ={}, author="carla",
            config_path=self.house.config_path,
        )  # fmt: skip

    def ask(self, operation: str, **given: Any) -> dict[str, Any]:
        """Carry out an operation of the price book."""
        return carry_out(OPERATION[operation], self.desk, given)

    def import_cards(self, text: str, file: str = "c.toml", **given: Any) -> dict[str, Any]:
        return self.ask("import", **({"file": file, "text": text, "reason": "test"} | given))

    def rerate(self, *pairs: tuple[str, str]) -> dict[str, Any]:
        house = self.house
        return rerate_answer(self.files, house.config, house.config_path, {}, list(pairs))

    def verify(self) -> dict[str, Any]:
        with closing(self.files.store.reader()) as connection:
            return verify_answer(
                connection, self.files.shelf, self.house.root, books=self.files.books
            )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.reader.fetch(sql)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def opened(house: House) -> Iterator[Opened]:
    with house.open() as found:
        yield found
