"""What the pages of finance share: months, links to calls, forms by permit, long tables."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.console.pages.view import Column, Controls, Field, Figure, Figures, Notice, Table
from tollbook.errors import TollbookError
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Choice, Form, Kind, Section

MONTHS_SHOWN: Final = 24
ROWS_SHOWN: Final = 100
_MONTHS: Final = 12


def months(context: PageContext, *, upto_now: bool = True) -> list[str]:
    """Return names of months, the newest first: those of two years, and the one of the URL."""
    number = context.now.year * _MONTHS + context.now.month - 1 - (0 if upto_now else 1)
    found = [
        f"{one // _MONTHS:04}-{one % _MONTHS + 1:02}"
        for one in range(number, number - MONTHS_SHOWN, -1)
    ]
    chosen = context.get("period")
    return found if chosen is None or chosen in found else sorted({chosen, *found}, reverse=True)


def month_of(context: PageContext) -> str:
    """Return the month that a page is about: of the URL, else the last one that is over."""
    return context.get("period") or months(context, upto_now=False)[0]


def month_controls(
    context: PageContext, *more: Field, tabs: tuple[Choice, ...] = ()
) -> Controls:  # fmt: skip
    """Return controls to choose a month with."""
    options = tuple((one, one) for one in months(context))
    chosen = Field(
        name="period", label="Month", kind="select", options=options, value=month_of(context)
    )
    return Controls(has_range=False, has_filters=False, fields=(chosen, *more), tabs=tabs)


class Answered(NamedTuple):
    """What an operation answered, or why it did not."""

    answer: dict[str, Any]
    """Empty where it did not."""
    problem: str | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its rows."""
        found: list[dict[str, Any]] = self.answer.get("rows", [])
        return found

    def notices(self, tone: str = "warn") -> tuple[Section, ...]:
        """Why there is no answer, for people; nothing where there is one."""
        if self.problem is None:
            return ()
        return (Notice(text=self.problem, tone="bad" if tone == "bad" else "warn"),)


def answered(context: PageContext, operation: str, **given: Any) -> Answered:
    """Ask, and take a refusal as an answer: a page says what is missing and shows the rest."""
    try:
        return Answered(context.ask(operation, **given))
    except TollbookError as error:
        return Answered({}, error.message)


def calls_url(
    context: PageContext,
    month: str | None,
    dimensions: Mapping[str, str | None] | None = None,
    *,
    billed: bool = False,
) -> str:
    """Return the URL of the calls behind an amount.

    Args:
        context: of the page.
        month: its month; None: the range of the page.
        dimensions: what they have in common; None as a value is "not set".
        billed: as billed instead of by the time of the calls.
    """
    named = {} if dimensions is None else dimensions
    where = [format_filter(Filter(name, (value,))) for name, value in named.items()]
    if month is None:
        return context.url("/calls", where=[*context.all("where"), *where])
    name = "billing_period" if billed else "period"
    cleared: dict[str, Any] = dict.fromkeys(("since", "until", "period", "billing_period"))
    return context.url("/calls", **(cleared | {name: month, "where": where}))


def permitted(context: PageContext, *forms: Form | None) -> tuple[Form, ...]:
    """Return the forms whose operation the principal may carry out."""
    known = context.house.operations
    return tuple(
        one for one in forms
        if one is not None and one.operation in known and context.may(known[one.operation].needs)
    )  # fmt: skip


class Slice(NamedTuple):
    """Some of many rows, and where the others are."""

    rows: list[dict[str, Any]]
    next_url: str | None
    previous_url: str | None


def sliced(
    context: PageContext, rows: Sequence[dict[str, Any]], name: str = "from", size: int = ROWS_SHOWN
) -> Slice:
    """Return a screen of rows; CSV and JSON have all of them."""
    if context.wanted != "html":
        return Slice(list(rows), None, None)
    given = context.get(name) or ""
    at = min(int(given), 10**9) if given.isdecimal() and given.isascii() else 0
    following, before = at + size, max(0, at - size)
    return Slice(
        list(rows[at:following]),
        _moved(context, name, following) if following < len(rows) else None,
        _moved(context, name, before or None) if at else None,
    )


def _moved(context: PageContext, name: str, at: int | None) -> str:
    changes: dict[str, Any] = {name: at}
    return context.url(**changes)


def searched(
    context: PageContext, rows: Iterable[dict[str, Any]], *names: str, parameter: str = "q"
) -> list[dict[str, Any]]:
    """Return the rows that have what is searched for in one of some columns."""
    wanted = (context.get(parameter) or "").casefold()
    return [
        row for row in rows
        if not wanted or any(wanted in str(row.get(name) or "").casefold() for name in names)
    ]  # fmt: skip


def pico(row: dict[str, Any], name: str) -> int:
    """Return an amount of a row in pico; what is not known counts nothing."""
    return 0 if row.get(name) is None else pico_from_usd(row[name])


def sum_usd(rows: Iterable[dict[str, Any]], name: str) -> str:
    """Return the exact sum of a column of decimal text."""
    return usd_text(sum(pico(row, name) for row in rows))


def shares_percent(amounts: Sequence[int], digits: int = 4) -> list[str]:
    """Return parts in percent that add up to exactly 100, by largest remainder.

    Args:
        amounts: of one sign; where they come to nothing, each part is 0.
        digits: after the point.
    """
    whole, hundred = sum(amounts), 100 * 10**digits
    if not whole:
        return ["0"] * len(amounts)
    parts = [divmod(amount * hundred, whole) for amount in amounts]
    counts = [count for count, _ in parts]
    order = sorted(range(len(parts)), key=lambda at: -abs(parts[at][1]))
    for at in order[: hundred - sum(counts)]:
        counts[at] += 1
    return [
        f"{'-' if count < 0 else ''}{abs(count) // 10**digits}.{abs(count) % 10**digits:0{digits}}"
        for count in counts
    ]


def facts(name: str, title: str, told: Iterable[tuple[str, Any]], note: str | None = None) -> Table:
    """Return names and what is said of each, as a table of two columns."""
    rows = [{"what": what, "value": words(value)} for what, value in told]
    columns = (Column("what", "What"), Column("value", "Value", "code"))
    return Table(name=name, title=title, columns=columns, rows=rows, note=note, empty="Nothing.")


def words(value: Any) -> Any:
    """Return objects and lists as words, and anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return "; ".join(str(words(one)) for one in value)
    return value


def command(*words: str, **options: str | None) -> str:
    """Return a command as it can be pasted: whatever is in it, it is one command.

    Args:
        words: ``margin``, ``revenue``, ...
        options: by name, ``since`` for ``--since``; None and empty ones are left out.
    """
    told = [shlex.quote(word) for word in words]
    for name, value in options.items():
        if value:
            told += [f"--{name.replace('_', '-')}", shlex.quote(value)]
    return " ".join(["tollbook", *told])


def figures(*items: Figure | None) -> Figures:
    """Return the figures that there are."""
    return Figures(items=tuple(one for one in items if one is not None))


def columns(*told: tuple[str, str] | tuple[str, str, Kind]) -> tuple[Column, ...]:
    """Return columns of name, label and kind."""
    return tuple(Column(*one) for one in told)


def hidden(**values: str | None) -> tuple[Field, ...]:
    """Return hidden fields for what is given."""
    return tuple(
        Field(name=name, label=name, kind="hidden", value=value)
        for name, value in values.items()
        if value is not None
    )


REASON: Final = Field(
    name="reason", label="Reason", is_required=True, help="Kept in the books, with your name."
)
