"""The operations over HTTP: a running ledger keeps an upload and answers as JSON and CSV."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest
from tests.console.conftest import LedgerThread, write_calls
from tests.statements.test_statements_commands import COSTS

from tollbook.desk import BODY_MAX_BYTES
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


def test_upload_and_lines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_calls(data, ["acme"])
    thread = LedgerThread(data)
    running = thread.start()
    try:
        given = {"file_name": "costs.json", "content": COSTS}
        (row,) = running.api.finance("POST", "/statements/imports", given)["rows"]
        assert row["new"] is True
        typed = {"provider": "openai", "period": "2026-10", "invoice_id": "A", "amount": "0.25"}
        running.api.finance("POST", "/statements/invoices", typed)
        listed = running.api.finance("GET", "/statements", {})["rows"]
        assert {one["source"] for one in listed} == {"openai.costs", "typed"}
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        headers = {"authorization": f"Bearer {running.token}", "accept": "text/csv"}
        connection.request("GET", "/api/v1/statements/lines?period=2026-10", headers=headers)
        text = connection.getresponse().read().decode()
        assert "gpt-5" in text.splitlines()[1]
        assert "0.250000000000" in text
        connection.close()
        with pytest.raises(TollbookError, match=r"413|[Tt]oo [Ll]arge|exceed|does not answer"):
            running.api.finance(
                "POST", "/statements/imports", given | {"content": "x" * (BODY_MAX_BYTES + 1)}
            )
        assert len(running.api.finance("GET", "/statements", {})["rows"]) == 2
    finally:
        assert thread.end() == 0
