"""A statement as CSV: one row for each line, nothing else, so that a program can read it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tollbook.chargeback.invoices.told import MONEY, columns_of, line_row
from tollbook.chargeback.safe_cells import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from tollbook.chargeback.invoices.content import Content


def write_csv(path: Path, content: Content) -> int:
    """Write the lines of a statement (RFC 4180, UTF-8) and return how many there are."""
    names = columns_of(content)
    return write_rows(path, names, (line_row(content, one) for one in content.lines))


def write_rows(path: Path, names: Sequence[str], rows: Iterable[dict[str, Any]]) -> int:
    """Write rows and return how many; text is safe, unknown is an empty cell."""
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(name, row.get(name)) for name in names])
            count += 1
    return count


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) or name in MONEY or name.endswith("_usd"):
        return str(value)
    return safe_text(str(value))
