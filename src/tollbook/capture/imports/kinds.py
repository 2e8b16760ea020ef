"""The kinds of logs that are known by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.capture.imports import helicone, langfuse, litellm, openrouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.capture.imports.record import Record
    from tollbook.capture.imports.row import Row

    RecordOf = Callable[[Row, str | None], Record]
    """A row and the provider of rows that name none, to a record; raises RowError, and
    NotACallError for rows that are of something else."""

KINDS: Final[dict[str, RecordOf]] = {
    litellm.NAME: litellm.record_of,
    langfuse.NAME: langfuse.record_of,
    helicone.NAME: helicone.record_of,
    openrouter.NAME: openrouter.record_of,
}
