"""Check files against FOCUS 1.2 and 1.4: every rule that a file alone can break.

Stricter than the validators at hand: those miss prices that are not the cost, dates that are no
ISO dates in a single row, values of tags that are lists, custom columns without ``x_``, and more
(docs/finance/focus.md). Memory is bounded by distinct SKUs, prices and invoices, not by rows.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.chargeback.focus.checkbundle import bundle_problems
from tollbook.chargeback.focus.checkcells import problem_of
from tollbook.chargeback.focus.checkmodel import MODELS
from tollbook.chargeback.focus.checkreading import Table, open_table, tables_in
from tollbook.chargeback.focus.checkrows import row_problems
from tollbook.chargeback.focus.checksets import SetRules
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tollbook.chargeback.focus.checkmodel import Column
    from tollbook.chargeback.focus.checksets import Told

FINDINGS_MAX: Final = 1_000
_CUSTOM: Final = re.compile(r"x_[A-Z][A-Za-z0-9]*", re.ASCII)
_NAME_MAX: Final = 50


class Finding(Struct, frozen=True, kw_only=True):
    """One rule that a file breaks."""

    file: str
    rule: str
    column: str | None = None
    row: int | None = None
    """Counted from 1 below the header; None is the file as a whole."""
    problem: str


class CheckReport(Struct, frozen=True, kw_only=True):
    """What was checked, and what was found."""

    files: list[dict[str, Any]]
    findings: list[Finding]
    has_more: bool
    """There are more than are shown."""


class NoFocusFileError(TollbookError):
    """What is to be checked is no file of FOCUS."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def check(path: Path) -> CheckReport:
    """Check a file, or all files of FOCUS in a directory and how they fit together.

    Raises:
        NoFocusFileError: it cannot be read, or is no dataset of FOCUS.
    """
    try:
        tables = tables_in(path) if path.is_dir() else [open_table(path)]
    except (OSError, ValueError) as error:
        raise NoFocusFileError(path, str(error) or "cannot be read") from error
    if not tables:
        raise NoFocusFileError(path, "has no file of FOCUS (.csv, .parquet)")
    findings: list[Finding] = []
    files, sets = [], {}
    for table in tables:
        rules = SetRules(table.version)
        rows = 0
        try:
            for one in _table_findings(table, rules):
                if one is None:
                    rows += 1
                elif len(findings) <= FINDINGS_MAX:
                    findings.append(one)
        except (OSError, ValueError, csv.Error) as error:
            raise NoFocusFileError(table.path, str(error) or "cannot be read") from error
        files.append({
            "file": table.path.name, "dataset": table.dataset, "version": table.version,
            "rows": rows,
        })  # fmt: skip
        sets[table.dataset] = (table, rules)
    for name, told in bundle_problems(sets):
        findings.append(_finding(name, told))
    return CheckReport(
        files=files, findings=findings[:FINDINGS_MAX], has_more=len(findings) > FINDINGS_MAX
    )


def _finding(file: str, told: Told) -> Finding:
    rule, column, row, words = told
    return Finding(file=file, rule=rule, column=column or None, row=row, problem=words)


def _table_findings(table: Table, rules: SetRules) -> Iterator[Finding | None]:
    """Yield findings, and None for each row that was read."""
    model = MODELS[table.dataset, table.version]
    name = table.path.name
    for told in header_problems(table.columns, model):
        yield _finding(name, told)
    is_cost = table.dataset == "cost_and_usage"
    rows = 0
    for at, row in enumerate(table.rows(), 1):
        rows = at
        yield None
        for told in _cell_problems(at, row, model):
            yield _finding(name, told)
        for rule, column, words in row_problems(row, table.version) if is_cost else ():
            yield _finding(name, (rule, column, at, words))
        for told in rules.add(at, row) if is_cost else ():
            yield _finding(name, told)
    if not rows:
        yield _finding(name, ("empty", "", None, "has no rows"))
    for told in rules.finish():
        yield _finding(name, told)


def header_problems(columns: Sequence[str], model: Mapping[str, Column]) -> Iterator[Told]:
    """Yield what is wrong with the columns of a file."""
    names = set(columns)
    if len(names) != len(columns):
        twice = sorted({name for name in columns if list(columns).count(name) > 1})
        yield "column-twice", twice[0], None, "is there twice"
    for one in model.values():
        if one.is_mandatory and one.name not in names:
            yield "mandatory-column", one.name, None, "is missing"
    has_custom = False
    for name in columns:
        if name in model:
            if has_custom:
                yield "column-order", name, None, "stands after a custom column"
            continue
        has_custom = True
        if not _CUSTOM.fullmatch(name) or len(name) > _NAME_MAX:
            yield "custom-column", name[:64], None, "is no column of FOCUS and not like x_Name"


def _cell_problems(
    at: int, row: Mapping[str, str | None], model: Mapping[str, Column]
) -> Iterator[Told]:
    for name, text in row.items():
        column = model.get(name)
        if column is None:
            continue
        if text is None:
            if not column.is_nullable:
                yield "not-null", name, at, "must not be null"
            continue
        broken = problem_of(column, text)
        if broken is not None:
            yield broken[0], name, at, broken[1]
