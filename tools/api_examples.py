"""Writes the examples of the API's document: answers of a real ledger, cut to one row of each list.

Run it after an answer has changed: ``.venv/bin/python tools/api_examples.py``. A test compares the
names of the fields with those of today's answers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.furnish import Furnisher, furnish, last_month  # noqa: E402 -- the path comes first
from tests.browser.history import write_history  # noqa: E402 -- as above
from tests.console.conftest import LedgerThread, Running  # noqa: E402 -- as above

FILE = ROOT / "src" / "tollbook" / "console" / "answer_examples.json"
_TEXT_MAX = 160
_DEPTH_MAX = 6
_SECRETS = ("token", "secret", "password")


def main() -> None:
    """Record and write."""
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = Path(scratch)
        data_dir.chmod(0o700)
        call_id = write_history(data_dir, calls=400, hostile=False)[-1]
        thread = LedgerThread(data_dir)
        running = thread.start()
        running.api.catch_up()
        found = recorded(running, call_id)
        thread.end()
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{len(found)} answers, {len(text)} characters")


def recorded(running: Running, call_id: str) -> dict[str, Any]:
    """Return answers by method and route."""
    deeds: dict[str, Any] = {}
    ask = Furnisher.ask

    def noted(self: Furnisher, operation: str, /, **given: Any) -> Any:
        from tollbook.desk.registry import operations  # noqa: PLC0415 -- slow to load

        answer = ask(self, operation, **given)
        one = operations()[operation]
        if one.method == "POST":
            deeds.setdefault(f"POST /api/v1{one.path}", answer)
        return answer

    Furnisher.ask = noted  # type: ignore[method-assign] # for as long as this program runs
    furnish(running)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{running.port}", timeout=120,
        headers={"Authorization": f"Bearer {running.token}"},
    ) as client:  # fmt: skip
        document = client.get("/api/v1/openapi.json").json()
        wanted = _values(client, call_id)
        for path, item in document["paths"].items():
            route = item.get("get")
            content = (route or {}).get("responses", {}).get("200", {}).get("content", {})
            if "application/json" not in content or not path.startswith("/api/v1/"):
                continue
            answer = _asked(client, path, route, wanted)
            if answer is None:
                print(f"no answer: {path}", file=sys.stderr)
            else:
                deeds[f"GET {path}"] = answer
    return {name: _cut(answer) for name, answer in deeds.items()}


def _values(client: httpx.Client, call_id: str) -> dict[str, str]:
    """Return values of parameters that name something which is there."""

    def first(path: str, field: str) -> str:
        rows = client.get(f"/api/v1{path}").json().get("rows", [])
        return str(rows[0][field]) if rows else ""

    month = last_month()
    return {
        "call_id": call_id, "period": month, "name": "per-tenant", "owner": "harbour-media",
        "provider": "openai", "system": "stripe", "unit": "request",
        "run_id": first("/runs?since=90d", "run"),
        "statement_id": first("/statements", "statement_id"),
        "difference": first(f"/reconciliations/differences?period={month}", "id"),
        "export_id": first("/exports", "export_id"), "id": first("/incidents", "id"),
    }  # fmt: skip


def _asked(client: httpx.Client, path: str, route: Any, values: dict[str, str]) -> Any:
    given = {}
    for one in route.get("parameters", ()):
        name = one["name"]
        if one["in"] == "path":
            path = path.replace("{" + name + "}", values.get(name, ""))
        elif one.get("required"):
            given[name] = values.get(name) or str(one.get("example", ""))
        elif name == "since":
            given[name] = "30d"
    answer = client.get(path, params=given, headers={"accept": "application/json"})
    if not answer.is_success or "json" not in answer.headers["content-type"]:
        return None
    return answer.json()


def _cut(value: Any, depth: int = 0, name: str = "") -> Any:
    if isinstance(value, dict):
        kept = value if depth < _DEPTH_MAX else {}
        return {one: _cut(kept[one], depth + 1, one) for one in list(kept)[:40]}
    if isinstance(value, list):
        return [_cut(one, depth + 1, name) for one in value[:1]]
    if isinstance(value, str):
        if any(one in name for one in _SECRETS) and len(value) > 30:  # noqa: PLR2004 -- shorter ones are names
            return value[:6] + "..."
        return value if len(value) <= _TEXT_MAX else value[:_TEXT_MAX] + "..."
    return value


if __name__ == "__main__":
    main()
