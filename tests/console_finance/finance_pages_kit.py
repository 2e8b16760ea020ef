"""A ledger process over a ledger that a test makes up, and a browser without a window."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING, Any

import click
import httpx
import msgspec
from tests.console.conftest import LedgerThread, any_port
from tests.periods.finance_kit import World, finance_world, usd

from tollbook.cli.main import cli
from tollbook.config import Config
from tollbook.config.finance import Finance
from tollbook.console.process import run_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MONTH = "2026-10"
OCTOBER = datetime(2026, 10, 12, 8, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 3, 8, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>, =1+1 & \\comma'
POLICY = {"rules": [
    {"name": "rest", "source": {"unattributed": True}, "method": {"type": "proportional"}},
]}  # fmt: skip


class FinanceLedger(LedgerThread):
    """The ledger process with settings of finance."""

    def __init__(self, data_dir: Path, finance: Finance) -> None:
        super().__init__(data_dir)
        self._finance = finance

    def _run(self) -> None:
        config = msgspec.structs.replace(any_port(Config()), finance=self._finance)
        try:
            self.exit_code = run_ledger(config, {}, data_dir=self.data_dir, stop=self.stop)
        except BaseException as error:
            self.error = error


class Browser:
    """Reads pages and sends their forms, as a browser without JavaScript does."""

    def __init__(self, port: int, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )  # fmt: skip

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def page(self, path: str) -> str:
        found = self._http.get(path)
        assert found.status_code == 200, f"{path}: {found.status_code} {found.text[:400]}"
        return found.text

    def data(self, path: str) -> Any:
        name, _, query = path.partition("?")
        found = self._http.get(f"{name}.json?{query}")
        assert found.status_code == 200, f"{path}: {found.text[:400]}"
        return found.json()

    def table(self, path: str, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.data(path)["tables"][name]["rows"]
        return rows

    def send(self, path: str, submit: str, upload: Any = None, **typed: str) -> httpx.Response:
        """Send the form of a page that has a button, with what is typed over its fields."""
        form = next(one for one in forms_of(self.page(path)) if one["submit"] == submit)
        known = {re.sub(r"\{\}$|\[\]$", "", name): name for name in form["fields"]}
        fields = dict(form["fields"])
        for name, value in typed.items():
            assert name in known, f"{submit}: no field {name} among {sorted(known)}"
            fields[known[name]] = value
        sent = {name: value for name, value in fields.items() if value != "(file)"}
        return self._http.post(form["action"], data=sent, files=upload)

    def do(self, path: str, submit: str, upload: Any = None, **typed: str) -> str:
        """Send a form that must be done, and return where it leads to."""
        found = self.send(path, submit, upload, **typed)
        assert found.status_code == 303, f"{submit}: {found.status_code} {plain(found.text)}"
        return str(found.headers["location"])

    def close(self) -> None:
        self._http.close()


def must_parse(line: str) -> None:
    """Check that a command is one that the program has, with its options."""
    program, *words = shlex.split(line)
    assert program == "tollbook"
    context: click.Context = click.Context(cli)
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command, context = found, click.Context(found, parent=context)
    command.make_parser(context).parse_args(args=list(words))


def plain(html: str) -> str:
    """The words of a page's main part."""
    main = html.partition("<main")[2]
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))[:600]


def forms_of(html: str) -> list[dict[str, Any]]:
    """The forms of a page that do something, with their fields as they are filled in."""
    found = []
    for form in re.findall(r"<form method=\"post\".*?</form>", html, re.DOTALL):
        action = re.search(r'action="([^"]*)"', form)
        button = re.search(r"<button[^>]*>(.*?)</button>", form, re.DOTALL)
        assert action is not None
        assert button is not None
        fields: dict[str, str] = {}
        for tag in re.findall(r"<input[^>]*>", form):
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name is None or ('type="checkbox"' in tag and "checked" not in tag):
                continue
            is_file = 'type="file"' in tag
            fields[unescape(name[1])] = (
                "(file)" if is_file else "" if value is None else unescape(value[1])
            )
        for name, inner in re.findall(
            r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL
        ):
            options = re.findall(r'<option value="([^"]*)"([^>]*)>', inner)
            chosen = [value for value, more in options if "selected" in more]
            fields[unescape(name)] = unescape(chosen[0] if chosen else options[0][0])
        for name in re.findall(r'<textarea[^>]*name="([^"]*)"', form):
            fields[unescape(name)] = ""
        found.append({
            "action": action[1], "submit": unescape(button[1]).strip(), "fields": fields,
        })  # fmt: skip
    return found


def fill(world: World) -> None:
    """A month that passes every check up to reconciled."""
    world.charge(OCTOBER, usd("30"), tenant="acme", feature="search", model="gpt-4o")
    world.charge(OCTOBER, usd("10"), tenant=HOSTILE, feature="search", model="gpt-4o")
    world.charge(OCTOBER, usd("5"), feature=HOSTILE)
    world.read_up_to(NOVEMBER)
    world.invoice(OCTOBER, "openai", usd("45"))
    world.reconciled(MONTH, "openai", billed=usd("45"), ledger=usd("45"))


@contextmanager
def browsing(root: Path, **finance: Any) -> Iterator[Browser]:
    """Serve the ledger of a directory, and yield a browser on it."""
    thread = FinanceLedger(root, Finance(**finance))
    running = thread.start()
    browser = Browser(running.port, running.token)
    running.api.catch_up()
    try:
        yield browser
    finally:
        browser.close()
        assert thread.end() == 0


@contextmanager
def filled(root: Path, **finance: Any) -> Iterator[World]:
    """Make a ledger with a month to close."""
    with finance_world(root, **finance) as world:
        fill(world)
        yield world
