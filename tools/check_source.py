"""Rules of this code base that no general linter knows, as small syntax-tree checks.

Each rule says why it exists and how to comply; ``# allow: RULE -- reason`` on the line lifts it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
MODULE_LINES_MAX = 400
_ALLOW = re.compile(r"# allow: (?P<rule>[a-z-]+) -- \S")
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
_MONEY_NAME = re.compile(r"(?:^|_)(?:usd|pico|cost|price|rate)(?:_|$)")
_SQL_MONEY = re.compile(r"\bavg\s*\(|(?:cost|usd|pico)\w*\s*/|/\s*(?:cost|usd|pico)", re.IGNORECASE)
_SQL = re.compile(
    r"\b(?:select|insert|update|delete)\b.*\b(?:from|into|set)\b", re.IGNORECASE | re.DOTALL
)


class Finding(NamedTuple):
    """One breach: where, which rule, what to do."""

    path: Path
    line: int
    rule: str
    advice: str


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return ""


def _money_named(node: ast.expr) -> bool:
    return bool(_MONEY_NAME.search(_name(node)))


def no_float_near_money(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Floats lose cents: money is integers or Fractions (tollbook.money)."""
    advice = "use tollbook.money (integers of 10^-12 USD, Rate, split_pico)"
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if _money_named(node.left) or _money_named(node.right):
                yield node.lineno, advice
        elif isinstance(node, ast.Call) and _name(node.func) == "float":
            if any(_money_named(argument) for argument in node.args):
                yield node.lineno, advice
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else None
            name = _name(target) if target is not None else getattr(node, "arg", "")
            if _MONEY_NAME.search(name) and _name(node.annotation) == "float":
                yield node.lineno, advice


def no_naive_datetime(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """A datetime without a zone books a call into the wrong day somewhere."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        if name in {"utcnow", "utcfromtimestamp"}:
            yield node.lineno, "use an aware datetime: tollbook.clock.utc_now()"
        has_zone = len(node.args) > 1 or any(keyword.arg == "tz" for keyword in node.keywords)
        if name == "fromtimestamp" and not has_zone:
            yield node.lineno, "give fromtimestamp a zone: fromtimestamp(seconds, tz=UTC)"


def one_clock(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Time is read in tollbook.clock only, so that simulations can set it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            if pair in {
                ("time", "time"), ("time", "time_ns"), ("time", "monotonic"),
                ("time", "monotonic_ns"), ("datetime", "now"), ("date", "today"),
                ("datetime", "today"),
            }:  # fmt: skip
                yield node.lineno, "read the time through tollbook.clock"


def no_money_arithmetic_in_sql(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """DuckDB turns DECIMAL / x and avg(DECIMAL) into DOUBLE."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _SQL.search(node.value)
            and _SQL_MONEY.search(node.value)
        ):
            yield node.lineno, "sum in SQL; divide and average in Python on exact integers"


def ledger_is_append_only(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """History does not change: corrections are new entries."""
    pattern = re.compile(r"\b(?:update|delete\s+from|truncate)\s+entries\b", re.IGNORECASE)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and pattern.search(node.value)
        ):
            yield node.lineno, "append a reversal and a new charge instead"


_LEDGER_ROOMS = (
    "tollbook.console.answers", "tollbook.console.operations", "tollbook.console.pages",
    "tollbook.reports.spend", "tollbook.reports.wide", "tollbook.reports.calls",
    "tollbook.reports.runs", "tollbook.reports.layers", "tollbook.reports.units",
    "tollbook.reports.rollup", "tollbook.reports.explain", "tollbook.reports.batches",
    "tollbook.reports.reader", "tollbook.reports.stitching", "tollbook.ledger",
    "tollbook.chargeback", "tollbook.insights", "tollbook.budgeting", "tollbook.alerts",
    "tollbook.people",
)  # fmt: skip
_READING = frozenset(["reader", "fetch", "store", "writer"])


def tenant_scope(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What one tenant is shown is asked in one place, where the tenant's filter cannot be left out.

    Modules of the portal outside of ``portal/tenant`` import no room that reads the ledger, and
    touch no reader.
    """
    advice = "ask through tollbook.console.portal.tenant.TenantAnswers"
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            if any(module == room or module.startswith(f"{room}.") for room in _LEDGER_ROOMS):
                yield getattr(node, "lineno", 1), advice
        if isinstance(node, ast.Attribute) and node.attr in _READING:
            yield node.lineno, advice


RULES = {
    "float-money": no_float_near_money,
    "naive-datetime": no_naive_datetime,
    "one-clock": one_clock,
    "sql-money": no_money_arithmetic_in_sql,
    "append-only": ledger_is_append_only,
}
PORTAL = "src/tollbook/console/portal/"
PLACED_RULES = {"tenant-scope": (PORTAL, f"{PORTAL}tenant/", tenant_scope)}
"""Rules of one folder: which, but for what below it, and the check."""
EXEMPT = {("one-clock", "src/tollbook/clock.py")}


def check_file(path: Path, text: str) -> Iterator[Finding]:
    """Yield the breaches in one Python file of the package."""
    relative = path.relative_to(ROOT).as_posix() if path.is_absolute() else path.as_posix()
    lines = text.splitlines()
    tree = ast.parse(text, relative)
    placed = {
        rule: check
        for rule, (folder, but, check) in PLACED_RULES.items()
        if relative.startswith(folder) and not relative.startswith(but)
    }
    for rule, check in (RULES | placed).items():
        if (rule, relative) in EXEMPT:
            continue
        for line, advice in check(tree):
            allowed = _ALLOW.search(lines[line - 1])
            if not (allowed and allowed["rule"] == rule):
                yield Finding(path, line, rule, advice)
    for number, line_text in enumerate(lines, 1):
        if _UNFINISHED.search(line_text):
            yield Finding(path, number, "unfinished", "finish it, or leave it out and say so")
    if len(lines) > MODULE_LINES_MAX:
        yield Finding(path, len(lines), "module-size", f"over {MODULE_LINES_MAX} lines: split it")


def main() -> int:
    """Check every tracked Python file below ``src``; print findings; return the exit code."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/*.py"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = listing.stdout.split() or [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*.py")
    ]
    findings = [
        finding
        for name in names
        if (ROOT / name).exists()
        for finding in check_file(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))
    ]
    for path, line, rule, advice in findings:
        print(f"{path.relative_to(ROOT)}:{line}: {rule}: {advice}")
    print(f"{len(names)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
