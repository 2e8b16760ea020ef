"""What a house has beside calls: budgets, a stop, a portal, keys, people, bills, revenue, a rule.

Set through the operations that pages and commands use, with hostile names among the others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
from tests.browser.history import LONG, SCRIPT

from tollbook import clock
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from tests.console.conftest import Running

_WHY = "furnished"


def last_month() -> str:
    """Return the month before this one, as ``2026-10``."""
    return f"{clock.utc_now().replace(day=1) - timedelta(days=1):%Y-%m}"


class Furnisher:
    """Carries out operations as the owner of a running ledger."""

    def __init__(self, running: Running) -> None:
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{running.port}", timeout=120,
            headers={"Authorization": f"Bearer {running.token}"},
        )  # fmt: skip

    def ask(self, operation: str, /, **given: Any) -> Any:
        """Carry out one, which must be possible."""
        one = operations()[operation]
        more: dict[str, Any] = {"params": given} if one.method == "GET" else {"json": given}
        answer = self._http.request(one.method, f"/api/v1{one.path}", **more)
        assert answer.is_success, f"{operation}: {answer.text[:300]}"
        return answer.json()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def furnish(running: Running) -> dict[str, str]:
    """Furnish a house; return the paths of pages that are about one thing of it."""
    desk = Furnisher(running)
    month = last_month()
    desk.ask("budgets.set", name="per-tenant", limit_usd="0.2", each="tenant", window="month",
             mode="hard", steps="50 rate 60, 90 model gpt-4o-mini", reason=_WHY)  # fmt: skip
    desk.ask("budgets.set", name="all", limit_tokens=10**9, window="week", mode="soft", reason=_WHY)
    desk.ask("budgets.top_up", name="per-tenant", owner="harbour-media", amount="5", expires="7d",
             reason=LONG)  # fmt: skip
    desk.ask("budgets.stop", field="tenant", value=SCRIPT, until="2h", reason=SCRIPT)
    desk.ask(
        "channels.set",
        name="on-call",
        type="webhook",
        url="https://hooks.example.com/x",
        secret_env="ONCALL_WEBHOOK_SECRET",
        is_paused=True,
        reason=_WHY,
    )
    desk.ask("keys.create", label="web-app", tenant="harbour-media")
    desk.ask("people.add", name="bo@example.org", role="finance")
    desk.ask("tokens.create", label="nightly", permits=["finance:read"])
    desk.ask("portal.set", name="Usage of Acme", frame_ancestors=["https://app.example.com"],
             reason=_WHY)  # fmt: skip
    token = desk.ask("portal.token", tenant="harbour-media")["token"]
    desk.ask("statements.invoice", provider="openai", period=month, currency="USD",
             invoice_id="INV-1", amount="12.34")  # fmt: skip
    desk.ask("reconcile.run", period=month, provider="openai")
    differences = desk.ask("reconcile.differences", period=month)["rows"]
    statements = desk.ask("statements.list")["rows"]
    lines = f"line_id,tenant,amount,issued\n1,harbour-media,40.00,{month}-20\n2,x,0.01,{month}-21\n"
    desk.ask("revenue.import", name="crm", file="revenue.csv", text=lines)
    desk.ask("margin.target", min_margin_percent="60", reason=_WHY)
    desk.close()
    found = {
        "portal": f"/portal/?token={token}",
        "statement": f"/provider-statement?id={statements[0]['statement_id']}",
    }
    if differences:
        found["difference"] = f"/reconciliation/difference?id={differences[0]['id']}"
    return found
