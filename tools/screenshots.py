"""Make the pictures of the console in docs/screenshots, over a year of made-up calls.

    python -m examples.year /tmp/a-year
    python tools/screenshots.py /tmp/a-year/data-or-dir [--only overview,tenants]

The directory is written to: budgets, people, prices and statements are set up in it through the
operations that pages and commands use. Needs Chromium, Playwright and Pillow.
"""

from __future__ import annotations

import argparse
import io
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

from tollbook import clock
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

OUT: Final = Path(__file__).parent.parent / "docs" / "screenshots"
WIDTHS: Final = (1440, 390)
CHROMIUM: Final = "/usr/bin/chromium"
NEXT: Final = f"{clock.utc_now():%Y-%m}"
MONTH: Final = f"{clock.utc_now().replace(day=1) - timedelta(days=1):%Y-%m}"
"""The month that is closed, and the one after it."""
TENANT: Final = "ridge-bank"
RECORDED: Final = Path(__file__).parent.parent / "tests" / "audit_corpus" / "data"
_COLOURS: Final = 255
"""Of a picture: enough for text, lines and soft backgrounds, at a third of the size."""
_WHY: Final = "set up for the pictures"


class Desk:
    """Asks a ledger process as the owner of its directory."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token = base, token
        self._http = httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=600
        )
        self._known = operations()

    def ask(self, operation: str, /, **given: Any) -> dict[str, Any]:
        """Carry out an operation.

        Raises:
            RuntimeError: it was refused, with its words.
        """
        one = self._known[operation]
        more: dict[str, Any] = {"params": given} if one.method == "GET" else {"json": given}
        answer = self._http.request(one.method, f"/api/v1{one.path}", **more)
        if answer.is_error:
            raise RuntimeError(f"{operation}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found

    def page(self, path: str) -> dict[str, Any]:
        """Return the data of a page."""
        name, _, query = path.partition("?")
        found: dict[str, Any] = self._http.get(f"{name}.json?{query}").raise_for_status().json()
        return found

    def hand_in(self, files: list[tuple[str, bytes]]) -> str:
        """Have traces audited, and return the path of the result once it is there."""
        sent = self._http.post("/do/trace-audit", files=[("files", one) for one in files])
        path: str = sent.headers["location"]
        while not (page := self.page(path))["tables"]:
            if not page["figures"]:
                raise RuntimeError(f"trace audit: {page['notices']}")
            time.sleep(0.5)
        return path


class Shot(NamedTuple):
    """A page to take, by the name of its files."""

    name: str
    path: str
    is_public: bool = False
    """Taken as nobody, such as the page to sign in."""


@contextmanager
def serving(data_dir: Path) -> Iterator[Desk]:
    """Run the ledger process of a directory, and yield a desk on it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tollbook.console.process", "--data", str(data_dir)]
    process = subprocess.Popen(command, env=_environ(port))  # noqa: S603 -- this interpreter
    try:
        yield _desk(data_dir, port)
    finally:
        process.terminate()
        process.wait(60)


def _environ(port: int) -> dict[str, str]:
    import os  # noqa: PLC0415 -- the only place where the surroundings are read

    return {**os.environ, "TOLLBOOK_CONSOLE__PORT": str(port)}


def _desk(data_dir: Path, port: int) -> Desk:
    deadline = time.monotonic() + 120
    base = f"http://127.0.0.1:{port}"
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError, FileNotFoundError):
            token = (data_dir / "console.token").read_text().strip()
            if httpx.get(f"{base}/login", timeout=30).is_success:
                return Desk(base, token)
        time.sleep(0.5)
    raise RuntimeError("the ledger process did not start")


def set_up(desk: Desk) -> None:
    """Give the year what a house has after a year: budgets, people, prices, statements."""
    if desk.ask("budgets.list")["rows"]:
        return
    _budgets(desk)
    _people(desk)
    _finance(desk)


def _budgets(desk: Desk) -> None:
    common = {"window": "month", "timezone": "Europe/Berlin"}
    for given in (
        {"name": "per-tenant", "limit_usd": "400", "each": "tenant", "mode": "hard",
         "steps": "90 rate 600", "warn_at_percent": "60, 80"},
        {"name": "everything", "limit_usd": "7000", "mode": "soft", "warn_at_percent": "80"},
        {"name": "agents-a-day", "limit_usd": "250", "each": "feature", "match": "feature=agent",
         "window": "day", "mode": "hard"},
    ):  # fmt: skip
        desk.ask("budgets.set", **(common | given), reason="agreed with finance")
    desk.ask("budgets.top_up", name="per-tenant", owner="beacon-bank", amount="150",
             expires="7d", reason="launch week")  # fmt: skip
    desk.ask("budgets.stop", field="tenant", value="tundra-labs-4", until="12h",
             reason="its trial has ended")  # fmt: skip
    desk.ask("channels.set", name="on-call", type="webhook", is_paused=True,
             url="https://hooks.example.com/tollbook", severity="warning",
             secret_env="ONCALL_WEBHOOK_SECRET",  # noqa: S106 -- the name of a variable
             reason="who is on call")  # fmt: skip
    desk.ask("alerts.set_rule", name="summaries-burn", kind="burn_rate", each=["feature"],
             where=["feature=summaries"], min_usd="5", reason="costs most")  # fmt: skip


def _people(desk: Desk) -> None:
    for name, role in (
        ("anna@example.org", "owner"), ("bo@example.org", "finance"), ("cy@example.org", "viewer"),
    ):  # fmt: skip
        desk.ask("people.add", name=name, role=role)
    for label, tenant in (("web-app", None), ("worker-eu", None), ("partner", "alder-bank")):
        desk.ask("keys.create", label=label, environment="production",
                 **({} if tenant is None else {"tenant": tenant}))  # fmt: skip
    desk.ask("tokens.create", label="nightly-export", permits=["finance:read"], expires="90d")
    desk.ask("portal.set", name="Usage of Acme AI", accent="#7a1fa2", accent_dark="#d6a4f0",
             timezone="Europe/Berlin", frame_ancestors=["https://app.example.com"],
             reason="our colours")  # fmt: skip
    found = desk.ask("incidents.list")["rows"]
    if found:
        desk.ask("incidents.note", id=found[0]["id"], text="asked the customer")


def _finance(desk: Desk) -> None:
    billed = {}
    for row in desk.page(f"/models?period={MONTH}&by=provider")["tables"]["models"]["rows"]:
        billed[row["provider"]] = row["cost_usd"]
    for number, (provider, cost) in enumerate(sorted(billed.items())):
        whole = int(cost.partition(".")[0])
        # The bills say a little more than the ledger: calls that went past the gateway.
        desk.ask("statements.invoice", provider=provider, period=MONTH, currency="USD",
                 invoice_id=f"INV-{MONTH}-{number + 1:03}", amount=f"{whole + 61 - 40 * number}.17",
                 tax="0")  # fmt: skip
        desk.ask("reconcile.run", period=MONTH, provider=provider)
    lines = ["line_id,tenant,amount,issued,start,end,plan,currency"]
    rows = desk.ask("margin.show", period=MONTH)["rows"]
    known = [one for one in rows if one["tenant"] and one["cost_usd"]]
    known.sort(key=lambda one: -int(one["cost_usd"].partition(".")[0]))
    for at, row in enumerate(known):
        share = 85 if at % 400 == 3 else (260, 320, 190, 410, 240, 290)[at % 6]  # noqa: PLR2004 -- some lose
        amount = int(row["cost_usd"].partition(".")[0]) * share // 100 + 5
        plan = ("enterprise", "team", "starter")[min(at // 8, 2)]
        for month, days in ((MONTH, 31), (NEXT, 30)):
            lines.append(f"{month}-{at},{row['tenant']},{amount}.00,{month}-01,{month}-01,"
                         f"{month}-{days},{plan},USD")  # fmt: skip
    desk.ask("revenue.import", name="crm", file="revenue.csv", text="\n".join(lines) + "\n")
    desk.ask("margin.target", min_margin_percent="30", reason="board")
    desk.ask("prices.card", provider="openai", model="gpt-4o-mini", effective_from="2026-12-01",
             input="0.12", output="0.48", cache_read="0.06", reason="contract of 2027")  # fmt: skip
    policy = {"rules": [{"name": "rest", "source": {"unattributed": True},
                         "method": {"type": "proportional"}}]}  # fmt: skip
    desk.ask("allocate.policy", name="default", body=policy, effective_from="2026-01",
             reason="agreed with finance")  # fmt: skip


def shots(desk: Desk) -> list[Shot]:
    """Return what is taken."""
    found = [
        Shot(name, f"/{path}")
        for name, path in (
            ("overview", ""), ("explorer", "explorer?by=feature&and=model"), ("sql", "sql"),
            ("tenants", "tenants"), ("features", "features"), ("users", "users"),
            ("models", "models"), ("kinds", "kinds"), ("layers", "layers"), ("calls", "calls"),
            ("runs", "runs"), ("change", "insights/change"),
            ("skew", "insights/skew"), ("forecast", "forecast"),
            ("tenant", f"tenant?id={TENANT}"),
            ("budgets", "budgets"), ("budget", "budget?name=per-tenant"),
            ("what-if", "budget-what-if?name=per-tenant&limit_usd=300&each=tenant&since=7d"),
            ("incidents", "incidents?state=all"), ("alert-rules", "alert-rules"),
            ("alert-rule", "alert-rule?name=burn-rate"), ("channels", "channels"),
            ("margin", f"margin?period={MONTH}"), ("prices", "prices"),
            ("prices-unpriced", "prices/unpriced"),
            ("reconciliation", f"reconciliation?period={MONTH}"),
            ("allocation", f"allocation?period={MONTH}"), ("periods", "periods"),
            ("period", f"period?period={MONTH}"), ("statements", f"statements?period={MONTH}"),
            ("provider-statements", "provider-statements"), ("exports", "exports"),
            ("billing", "billing"), ("quality", "quality"), ("audit", "audit"),
            ("operations", "operations"), ("getting-started", "getting-started"),
            ("keys", "keys"), ("people", "people"), ("portals", "portals"),
            ("account", "account"),
        )
    ]  # fmt: skip
    run = desk.page("/runs")["tables"]["runs"]["rows"][0]["run"]
    found.append(Shot("run", f"/run?{urlencode({'id': run})}"))
    call = desk.page("/calls?order=cost")["tables"]["calls"]["rows"][0]["call_id"]
    found.append(Shot("call", f"/call?id={call}"))
    incidents = desk.ask("incidents.list", tenant=TENANT)["rows"]
    incidents.sort(key=lambda one: "deviation" not in one["rules"])
    found += [Shot("incident", f"/incident?id={one['id']}") for one in incidents[:1]]
    token = desk.ask("portal.token", tenant=TENANT)["token"]
    found.append(Shot("portal", f"/portal/?{urlencode({'token': token})}", is_public=True))
    found.append(Shot("login", "/login", is_public=True))
    found += _audited(desk)
    for path in ("/insights", "/insights/change"):  # computed beside, for whoever comes again
        desk.page(path)
    found.append(Shot("insights", "/insights"))
    return found


def _audited(desk: Desk) -> list[Shot]:
    """Hand recorded traces in, and return the pages of their audit."""
    names = ("clean", "background-jobs", "stripped-headers", "embeddings-retrieval")
    files = [(f"{one}.jsonl.gz", (RECORDED / f"{one}.opentelemetry.jsonl.gz").read_bytes())
             for one in names]  # fmt: skip
    path = desk.hand_in(files)
    first = desk.page(path)["tables"]["findings"]["rows"][0]["finding_id"]
    return [Shot("trace-audit", "/trace-audit"), Shot("trace-audit-result", path),
            Shot("trace-audit-finding", f"{path}&finding={first}")]  # fmt: skip


def take(
    browser: Browser, desk: Desk, wanted: list[Shot], out: Path, widths: tuple[int, ...] = WIDTHS
) -> list[str]:
    """Take each page at some widths in two themes; return what the browser complained of."""
    complaints: list[str] = []
    for width in widths:
        context = browser.new_context(
            viewport={"width": width, "height": 1000 if width > 400 else 844}  # noqa: PLR2004 -- phone
        )
        for shot in wanted:
            headers = {} if shot.is_public else {"Authorization": f"Bearer {desk.token}"}
            context.set_extra_http_headers(headers)
            page = context.new_page()
            _note(page, shot, complaints)
            page.goto(desk.base + shot.path, wait_until="load", timeout=120_000)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                if page.evaluate("typeof vegaEmbed !== 'undefined'"):
                    page.wait_for_selector("html[data-drawn=yes]")
                    page.wait_for_timeout(400)
                over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if over > 0:
                    complaints.append(f"{shot.path}: {over} px too wide at {width}")
                keep(page.screenshot(), out / f"{shot.name}-{width}-{scheme}.png")
            page.close()
        context.close()
    return complaints


def _note(page: Page, shot: Shot, complaints: list[str]) -> None:
    def told(one: ConsoleMessage) -> None:
        if one.type in ("error", "warning"):
            complaints.append(f"{shot.path}: {one.text}")

    page.on("console", told)


def keep(picture: bytes, path: Path) -> None:
    """Write a picture with a palette, without changing its text by dithering."""
    found = Image.open(io.BytesIO(picture)).convert("RGB")
    found.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Set up the year, and take the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", help="names, with commas between")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with serving(given.data_dir) as desk, sync_playwright() as playwright:
        set_up(desk)
        names = None if given.only is None else set(given.only.split(","))
        wanted = [one for one in shots(desk) if names is None or one.name in names]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for complaint in take(browser, desk, wanted, given.out):
            print(complaint, file=sys.stderr)
        browser.close()


if __name__ == "__main__":
    main()
