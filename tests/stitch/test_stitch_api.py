"""The API of a running ledger: stitching as a report, and in its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.console.conftest import LedgerThread, write_calls

from tollbook.console.client import ApiError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_report_and_the_status(tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme", None])
    thread = LedgerThread(tmp_path)
    running = thread.start()
    try:
        running.api.catch_up()
        answer = running.api.ask("stitching", [("since", "7d"), ("show", "conflicting")])
        assert {row["calls"] for row in answer["rows"]} == {0}
        assert answer["calls"] == []
        assert answer["observed"] == {}
        assert answer["completeness"]["complete_until"] is not None
        counted = running.api.status()["stitching"]
        assert set(counted.values()) == {0}
        assert list(counted) == [row["state"] for row in answer["rows"]]
        with pytest.raises(ApiError, match="--show"):
            running.api.ask("stitching", [("show", "x")])
    finally:
        assert thread.end() == 0
