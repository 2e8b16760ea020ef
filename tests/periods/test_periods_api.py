"""A month is closed through the API of the ledger process, and a late call finds its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.console.conftest import LedgerThread, write_calls

from tollbook import clock
from tollbook.chargeback.periods.period import Period
from tollbook.console.client import ApiCheckError, ApiError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_month_is_closed_over_the_api(tmp_path: Path) -> None:
    (before,) = write_calls(tmp_path, ["acme"])
    thread = LedgerThread(tmp_path)
    api = thread.start().api
    try:
        api.catch_up()
        this = Period.of(clock.utc_now())
        month = {"period": this.name}

        def post(name: str, **more: str) -> dict[str, Any]:
            return api.finance("POST", f"/periods/{name}", month | more)

        rows = api.finance("GET", "/periods/checks", month | {"step": "closed"})["rows"]
        failing = {row["check"] for row in rows if row["result"] == "failed"}
        assert failing >= {"month-over", "spool-read", "invoice:openai", "reconciled:openai"}
        with pytest.raises(ApiCheckError, match="cannot be reconciled: month-over"):
            post("step", to="reconciled")
        with pytest.raises(ApiError, match="to: Invalid enum value 'shut'"):
            post("step", to="shut")
        for name in sorted(failing):
            post("accept", check=name, reason="a test", by="ada")
        policy = {"rules": [], "description": "nothing is shared"}
        api.finance("POST", "/allocations/policies", {
            "body": policy, "effective_from": this.name, "reason": "a test",
        })  # fmt: skip
        api.finance("POST", "/allocations/run", month)
        for to in ("reconciled", "allocated"):
            post("step", to=to)
        sealed = post("seal", by="ada")
        assert sealed["state"] == "closed"
        (late,) = write_calls(tmp_path, ["acme"])
        api.catch_up()
        told = {name: api.explain(name)["entries"][0]["billing_period"] for name in (before, late)}
        assert told == {before: this.name, late: this.following.name}
        for name, calls in ((this.name, 1), (this.following.name, 1)):
            report = api.ask("spend", [("billing_period", name)])
            assert report["totals"]["calls"] == calls
        found = api.finance("GET", "/periods/verify", month)
        assert (found["rows"], found["came_later_calls"]) == ([], 1)
        states = {row["period"]: row["state"] for row in api.finance("GET", "/periods", {})["rows"]}
        assert states[this.name] == "closed"
        balance = api.finance("GET", "/periods/trial-balance", month)
        assert balance["difference_usd"] == "0.000000000000"
    finally:
        assert thread.end() == 0
