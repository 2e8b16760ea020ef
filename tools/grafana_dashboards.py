"""Write the Grafana dashboards in ``deploy/``: panels as a list, so that they can be reviewed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

TARGET: Final = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
_WIDTH: Final = 24


class Panel(NamedTuple):
    """One panel."""

    title: str
    queries: tuple[tuple[str, str], ...]
    """PromQL with its legend; or, for ``table`` and ``bars``, the API's path with the columns."""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12


_FAILED_SHARE: Final = (
    'sum(rate(tollbook_gateway_requests_total{status=~"5..|429"}[5m])) / '
    "sum(rate(tollbook_gateway_requests_total[5m]))"
)
GATEWAY: Final = (
    Panel(
        "Calls a second by provider",
        (("sum by (provider) (rate(tollbook_gateway_requests_total[5m]))", "{{provider}}"),),
        "reqps",
    ),
    Panel("Share that failed", ((_FAILED_SHARE, "failed"),), "percentunit"),
    Panel(
        "In flight",
        (
            ("sum(tollbook_gateway_in_flight)", "calls"),
            ("sum(tollbook_gateway_open_streams)", "streams"),
            ("sum(tollbook_gateway_draining)", "draining"),
        ),
    ),
    Panel(
        "Refused before they were calls",
        (("sum by (status) (rate(tollbook_gateway_refused_total[5m]))", "{{status}}"),),
        "reqps",
    ),
    Panel(
        "Connections to providers",
        (
            ("sum by (provider) (tollbook_gateway_upstream_open)", "{{provider}} open"),
            ("sum by (provider) (tollbook_gateway_upstream_waiting)", "{{provider}} waiting"),
        ),
    ),
    Panel(
        "Spool",
        (
            ("sum(rate(tollbook_spool_written_bytes_total[5m]))", "written"),
            ("sum(tollbook_spool_ring_bytes)", "waiting in memory"),
        ),
        "bytes",
    ),
    Panel(
        "Disk takes frames", (("min(tollbook_spool_writable)", "writable"),), kind="stat", width=6
    ),
    Panel(
        "Frames lost", (("sum(tollbook_spool_frames_lost_total)", "lost"),), kind="stat", width=6
    ),
    Panel("Workers", (("tollbook_gateway_workers", "{{state}}"),), kind="stat", width=12),
    Panel(
        "Requests sent again",
        (("sum(rate(tollbook_gateway_upstream_retries_total[5m]))", "again"),),
        "reqps",
    ),
)
LEDGER: Final = (
    Panel("Behind by", (("tollbook_ledger_lag_seconds", "lag"),), "s", "stat", 6),
    Panel("Rows", (("tollbook_ledger_entries", "rows"),), kind="stat", width=6),
    Panel("Cannot be read", (("tollbook_ledger_problems", "problems"),), kind="stat", width=6),
    Panel("Losses on record", (("tollbook_ledger_losses", "losses"),), kind="stat", width=6),
    Panel(
        "Calls booked a second",
        (("sum by (provider) (rate(tollbook_calls_total[5m]))", "{{provider}}"),),
        "reqps",
    ),
    Panel(
        "Cost per hour (for looking)",
        (("sum by (model) (rate(tollbook_cost_usd_total[1h])) * 3600", "{{model}}"),),
        "currencyUSD",
    ),
    Panel(
        "Tokens a second",
        (
            ("sum(rate(tollbook_input_tokens_total[5m]))", "input"),
            ("sum(rate(tollbook_output_tokens_total[5m]))", "output"),
        ),
    ),
    Panel("To look after", (("tollbook_calls_in_state", "{{state}}"),)),
    Panel("Incidents", (("tollbook_incidents", "{{state}}"),), kind="stat"),
    Panel("Owners of budgets", (("tollbook_budget_owners", "{{state}}"),), kind="stat"),
)
SPEND: Final = (
    Panel(
        "Spend by day",
        (("/api/v1/spend?by=day,provider&measures=cost_usd", "day,provider,cost_usd"),),
        "currencyUSD",
        "bars",
        24,
    ),
    Panel(
        "Largest tenants",
        (("/api/v1/spend?by=tenant&measures=calls,cost_usd&limit=25", "tenant,calls,cost_usd"),),
        "currencyUSD",
        "table",
    ),
    Panel(
        "Features",
        (("/api/v1/spend?by=feature&measures=calls,cost_usd&limit=25", "feature,calls,cost_usd"),),
        "currencyUSD",
        "table",
    ),
    Panel(
        "Models",
        (
            (
                "/api/v1/spend?by=model&measures=calls,input_tokens,output_tokens,cost_usd",
                "model,calls,input_tokens,output_tokens,cost_usd",
            ),
        ),
        "currencyUSD",
        "table",
    ),
    Panel(
        "Dearest runs",
        (("/api/v1/runs?limit=25", "run,tenant,calls,cost_usd"),),
        "currencyUSD",
        "table",
    ),
)


def dashboard(title: str, uid: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    shown, x, y, height = [], 0, 0, 8
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + height
        shown.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return {
        "title": title, "uid": uid, "schemaVersion": 41, "editable": True, "tags": ["tollbook"],
        "time": {"from": "now-24h" if uid != "tollbook-spend" else "now-30d", "to": "now"},
        "refresh": "30s", "panels": shown,
    }  # fmt: skip


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    is_api = panel.kind in {"table", "bars"}
    source = {"type": "yesoreyeram-infinity-datasource", "uid": "tollbook"} if is_api else {
        "type": "prometheus", "uid": "prometheus"}  # fmt: skip
    make = _asked_of_api if is_api else _asked_of_prometheus
    return {
        "id": number, "title": panel.title, "gridPos": place, "datasource": source,
        "type": {"bars": "barchart"}.get(panel.kind, panel.kind),
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            make(chr(ord("A") + at), first, second) | {"datasource": source}
            for at, (first, second) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def _asked_of_prometheus(ref: str, expression: str, legend: str) -> dict[str, Any]:
    return {"refId": ref, "expr": expression, "legendFormat": legend}


def _asked_of_api(ref: str, path: str, columns: str) -> dict[str, Any]:
    sign = "&" if "?" in path else "?"
    url = f"{path}{sign}since=${{__from:date:iso}}&until=${{__to:date:iso}}"
    names = columns.split(",")
    numbers = {"calls", "input_tokens", "output_tokens", "cost_usd"}
    return {
        "refId": ref, "type": "json", "source": "url", "format": "table", "parser": "backend",
        "url": url, "root_selector": "rows", "url_options": {"method": "GET"},
        "columns": [
            {"selector": name, "text": name, "type": "number" if name in numbers else "string"}
            for name in names
        ],
    }  # fmt: skip


DASHBOARDS: Final = {
    "gateway.json": ("Tollbook: gateway", "tollbook-gateway", GATEWAY),
    "ledger.json": ("Tollbook: ledger", "tollbook-ledger", LEDGER),
    "spend.json": ("Tollbook: spend", "tollbook-spend", SPEND),
}


def main() -> None:
    """Write the files."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, (title, uid, panels) in DASHBOARDS.items():
        (TARGET / name).write_text(json.dumps(dashboard(title, uid, panels), indent=1) + "\n")


if __name__ == "__main__":
    main()
