"""What a person must mend before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence


class InputNotReadableError(TollbookError):
    """A file or folder that was named cannot be opened."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}; name a file, a folder or - for stdin")


class UnknownKindError(TollbookError):
    """A format was named that is none."""

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(f"--kind {kind}: no such format; one of {', '.join(known)}")


class WrongKindError(TollbookError):
    """An input is of another format than the one it was said to be."""

    def __init__(self, source: str, kind: str, found: str) -> None:
        super().__init__(
            f"{source}: is {found}, not {kind} as --kind says; leave --kind out, formats of traces"
            " are known by their content"
        )


class MissingExtraError(TollbookError):
    """What an input needs is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"reading {what} needs more than the base install: pip install 'tollbook[audit]'"
        )
