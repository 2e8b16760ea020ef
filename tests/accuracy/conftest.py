"""One house for all accuracy cases: every case is played once, then the ledger is opened."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.kit import CASES, KEYED, ScriptedProvider, play_all
from tests.accuracy.settings import settings_for
from tests.e2e.conftest import House

from tollbook.simulator.process import start_in_subprocess
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Book:
    """What the ledger holds after all cases, and what both ends saw."""

    def __init__(self, house: House, provider: ScriptedProvider, seen: dict[str, bytes]) -> None:
        self.house = house
        self.sent_up = provider.requests
        self.seen = seen
        self.rows: dict[str, list[dict[str, Any]]] = {}
        for row in house.records("SELECT * FROM entries ORDER BY called_at"):
            self.rows.setdefault(row["tenant_id"], []).append(row)

    def one(self, name: str) -> dict[str, Any]:
        """Return the only entry of a case."""
        rows = self.rows.get(name, [])
        assert len(rows) == 1, f"{len(rows)} entries for {name}"
        return rows[0]

    def check(
        self,
        name: str,
        cost_usd: str | None,
        *,
        source: str = "reported",
        status: str = "ok",
        **kinds: int,
    ) -> dict[str, Any]:
        """Assert the only entry of a case: tokens by kind, dollars, where the usage comes from."""
        row = self.one(name)
        used = {kind: row[kind] for kind in KINDS if row[kind] and kind != "requests"}
        assert used == {f"{kind}": count for kind, count in kinds.items()}, name
        assert (row["usage_source"], row["status"]) == (source, status), name
        assert row["cost_usd"] == (None if cost_usd is None else Decimal(cost_usd)), name
        return row


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Play every case against one house, stop it, and open its ledger."""
    directory = tmp_path_factory.mktemp("accuracy")
    with (
        ScriptedProvider(list(CASES.values())) as provider,
        start_in_subprocess(directory / "truth") as simulator,
    ):
        house = House(directory, simulator, "", 1)
        house.config_path.write_text(
            settings_for(house.gateway_port, house.console_port, provider.port)
        )
        keys = {name: house.key(name, **bound) for name, bound in KEYED.items()}
        house.start()
        try:
            seen = asyncio.run(play_all(list(CASES.values()), house.gateway_port, "sk-own", keys))
        finally:
            house.stop()
        yield Book(house, provider, seen)
