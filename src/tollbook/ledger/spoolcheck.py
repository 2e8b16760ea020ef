"""Compare the committed read positions with the spool files that are still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb


def check_spool(
    connection: duckdb.DuckDBPyConnection, root: Path | None, add: Callable[..., None]
) -> None:
    """Report writers that were left behind damage, and positions beyond the end of their file.

    Args:
        connection: for reading the ledger.
        root: the spool; None when it is not at hand.
        add: takes the name of the check and the problem.
    """
    positions = connection.execute(
        'SELECT writer, segment, "offset", state FROM spool_positions ORDER BY writer'
    ).fetchall()
    for writer, segment, offset, state in positions:
        if state == "corrupt":
            add("spool", f"{writer} is damaged at segment {segment}, byte {offset}; its later"
                " calls are not booked")  # fmt: skip
        path = root / writer / f"{segment:08d}.seg" if root is not None and segment else None
        try:
            size_bytes = path.stat().st_size if path is not None else None
        except FileNotFoundError:
            continue  # consumed segments are deleted in time
        if size_bytes is not None and offset > size_bytes:
            add("spool", f"{writer} was read to byte {offset} of segment {segment}, which has"
                f" only {size_bytes}")  # fmt: skip
