"""Tables and plain words for a terminal."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tollbook.cli.layout import GAP, Column, fit
from tollbook.reports.query import LATEST
from tollbook.reports.tabular import PERCENT, column_names, csv_text, is_number_column, label_other
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.cli.options import Format

_PIPE_WIDTH: Final = 240
_CENT_DIGITS: Final = 2
UNKNOWN_COST: Final = "unknown"
_WHOLE: Final = frozenset(["call_id", "api_key_id", "card_id", "price_card_id", "run", "tree"])
"""Ids that people copy, and branches of a tree, which a line break would spoil."""


def money(text: str | None) -> str:
    """Return dollars with every digit that counts, at least cents: ``0.000123``, ``12.50``."""
    if text is None:
        return UNKNOWN_COST
    whole, _, part = text.partition(".")
    sign = "-" if whole.startswith("-") else ""
    digits = part.rstrip("0").ljust(_CENT_DIGITS, "0")
    return f"{sign}{int(whole.removeprefix('-')):,}.{digits}"


def cell(name: str, value: Any, zone: ZoneInfo | None = None) -> str:
    """Return a value as a person reads it; times in a zone where one is given, else as they are."""
    if is_number_column(name):
        return money(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and not name.endswith("_id"):
        return f"{value:,}"
    if zone is not None and name.endswith("_at"):
        return _local(value, zone).removesuffix("+00:00")
    # A control character in a tenant's name must not move the terminal's cursor.
    return "".join(char if char.isprintable() else "\ufffd" for char in str(value))


def console() -> Console:
    """Return a console for stdout; NO_COLOR and FORCE_COLOR are respected by rich."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    totals: Mapping[str, Any] | None = None,
    title: str | None = None,
    optional: Sequence[str] = (),
    zone: ZoneInfo | None = None,
) -> None:
    """Print rows with their totals.

    Long text wraps, nothing is cut off. Where the terminal is too narrow even so, ``optional``
    columns are left out, the first first, and a line says which.
    """
    lines = [
        [_shown(row, name, label_other(row, columns).get(name), zone) for name in columns]
        for row in rows
    ]
    if totals is not None:
        last = [cell(name, totals[name]) if name in totals else "" for name in columns]
        if columns and columns[0] not in totals:
            last[0] = "total"
        lines.append(last)
    for at, name in enumerate(columns):
        if is_number_column(name):
            _align_points(lines, at)
    out = console()
    laid = fit(
        [
            Column(name, _heading(name), tuple(line[at] for line in lines), _is_wrapped(name, rows))
            for at, name in enumerate(columns)
        ],
        out.width - 1,
        optional,
    )
    table = Table(
        box=SIMPLE_HEAD, title=None if title is None else Text(title),
        title_justify="left", title_style="bold",
        show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0),
    )  # fmt: skip
    height = max((column.heading.count("\n") for column in laid.columns), default=0)
    for column, width in zip(laid.columns, laid.widths, strict=True):
        is_number = _is_number(column.name, rows, totals)
        above = "\n" * (height - column.heading.count("\n"))
        table.add_column(
            Text(above + column.heading),
            justify="right" if is_number else "left", no_wrap=True, width=width,
        )  # fmt: skip
    for at in range(len(lines)):
        is_total = totals is not None and at == len(rows)
        if is_total:
            table.add_section()
        texts = (Text(column.cells[at]) for column in laid.columns)
        table.add_row(*texts, style="bold" if is_total else None)
    # A table that does not fit is printed as it is: the terminal wraps it, nothing is lost.
    out.width = max(out.width, sum(laid.widths) + GAP * len(laid.widths))
    out.print(Padding(table, (1, 0), expand=False))
    if laid.left_out:
        names = ", ".join(_heading(name) for name in laid.left_out)
        click.echo(f"Too narrow for: {names} (a wider terminal or --format csv has them).")


def _heading(name: str) -> str:
    return re.sub(r"\busd\b", "USD", name.replace("_", " "))


def _is_wrapped(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column is text in which a line break does no harm: no number, no id to copy."""
    if is_number_column(name) or name.endswith(("_at", PERCENT)) or name in _WHOLE:
        return False
    return any(isinstance(row.get(name), str) for row in rows)


def _align_points(lines: list[list[str]], column: int) -> None:
    """Fill amounts up to the same number of digits, so that the points stand under each other."""
    parts = [line[column].partition(".") for line in lines]
    digits = max((len(part) for _, point, part in parts if point), default=0)
    for line, (_, point, part) in zip(lines, parts, strict=True):
        if point:
            line[column] += "0" * (digits - len(part))


def _shown(row: Mapping[str, Any], name: str, value: Any, zone: ZoneInfo | None) -> str:
    return "" if row.get("is_other") and value is None else cell(name, value, zone)


def _is_number(
    name: str, rows: Sequence[Mapping[str, Any]], totals: Mapping[str, Any] | None
) -> bool:
    if is_number_column(name) or name.endswith(PERCENT) or (totals is not None and name in totals):
        return True
    values = [row.get(name) for row in rows if row.get(name) is not None]
    return bool(values) and all(isinstance(value, int) for value in values)


def write_rows(
    answer: Mapping[str, Any],
    output_format: Format,
    *,
    columns: Sequence[str] | None = None,
    has_totals: bool = True,
    optional: Sequence[str] = (),
    measures: Sequence[str] | None = None,
) -> None:
    """Write an answer with ``rows``, ``totals`` and ``completeness`` in the wanted format."""
    rows = answer["rows"]
    asked = (*answer["query"].get("by", ()), *(measures or answer.get("totals") or ()))
    names = list(columns or column_names(rows, asked))
    if output_format == "json":
        write_json(answer)
    elif output_format == "csv":
        sys.stdout.write(csv_text(rows, names))
        for line in completeness_lines(answer):
            click.echo(line, err=True)
    else:
        if rows:
            print_table(
                rows, names, totals=answer["totals"] if has_totals else None,
                optional=optional, zone=ZoneInfo(answer["query"]["tz"]),
            )  # fmt: skip
        else:
            click.echo("No calls in this range.")
        for line in completeness_lines(answer):
            click.echo(line)


def write_json(answer: Any) -> None:
    """Write JSON, indented for a terminal and for reading."""
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def completeness_lines(answer: Mapping[str, Any]) -> list[str]:
    """Say in plain words how far the answer can be trusted."""
    complete, query = answer["completeness"], answer["query"]
    zone = ZoneInfo(query["tz"])
    since, until = (_local(query[name], zone) for name in ("since", "until"))
    start = "Everything up" if datetime.fromisoformat(str(query["since"])) == EPOCH else since
    lines = [f"{start} to {until} ({query['tz']}), {answer['currency']}."]
    if query.get("billing_period"):
        of = f"The billing period {query['billing_period']} as billed"
        is_whole = datetime.fromisoformat(str(query["until"])) == LATEST
        lines = [f"{of}, {answer['currency']}."] if is_whole else [f"{of}, of which:", *lines]
    if complete["complete_until"] is None:
        lines.append("Nothing has been ingested yet.")
    else:
        lines.append(f"Complete until {_local(complete['complete_until'], zone)}.")
    states = {
        "unattributed": "without a tenant (shown as unknown)",
        "unpriced": "without a price (not in the total)",
        "unmetered": "passed through unmetered (not in the total)",
        "estimated": "with estimated usage",
        "interrupted": "interrupted by the end of a gateway process",
    }
    for name, words in states.items():
        share = complete[name]
        if share["calls"]:
            cost = f", {money(share['cost_usd'])} USD" if share["cost_usd"] is not None else ""
            lines.append(f"{share['calls']:,} call{'s' * (share['calls'] != 1)} {words}{cost}.")
    if not any(complete[name]["calls"] for name in states):
        lines.append("Every call has a tenant, a price and reported usage.")
    if complete["incidents"]:
        lines.append(
            f"{complete['incidents']} incident(s) recorded, calls may be missing: tollbook doctor"
        )
    return lines


def _local(text: Any, zone: ZoneInfo) -> str:
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")
