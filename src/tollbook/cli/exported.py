"""What commands do with an export that was made: copy its files, and show them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli.finance import show_rows
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES: Final = ("name", "rows", "size_bytes", "sha256")
_MANIFEST: Final = "manifest.json"


class CopyError(TollbookError):
    """The files of an export could not be copied."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"--output: {path}: {problem}; the export itself is kept")


def copied(answer: Mapping[str, Any], output: Path | None) -> Path:
    """Copy the files of an export into a directory; None leaves them where they are.

    Returns:
        Where they are.

    Raises:
        CopyError: a file cannot be read or written, or is there already.
    """
    source = Path(answer["directory"])
    if output is None:
        return source
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in (*(row["name"] for row in answer["rows"]), _MANIFEST):
            with (source / name).open("rb") as old, (output / name).open("xb") as new:
                shutil.copyfileobj(old, new)
    except FileExistsError as error:
        raise CopyError(Path(error.filename or output), "is there already") from error
    except OSError as error:
        raise CopyError(output, error.strerror or str(error)) from error
    return output


def show_exported(answer: Mapping[str, Any], output_format: str, output: Path | None) -> None:
    """Copy the files of an export and say where they are."""
    where = copied(answer, output)
    show_rows(answer, output_format, None if output_format == "json" else FILES)
    if output_format == "table":
        click.echo(f"{answer['export_id']} in {where}")
