"""What a person may ask wrongly of a report, one line each."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterable


class QueryError(TollbookError):
    """A question that cannot be asked: which option, what is wrong, what is expected."""

    def __init__(self, option: str, problem: str) -> None:
        self.option, self.problem = option, problem
        super().__init__(f"{option}: {problem}")


class UnknownNameError(QueryError):
    """A dimension, measure or option that does not exist."""

    def __init__(self, option: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
        super().__init__(option, f"there is no {name[:64]!r}; {hint}")


class QueryTimeoutError(TollbookError):
    """The answer took longer than the limit; nothing is wrong with the ledger."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"the report took longer than {timeout_s:g} s and was stopped; "
            "ask for a shorter range, fewer dimensions or more filters"
        )


class ReaderStoppedError(TollbookError):
    """The ledger process is stopping."""

    def __init__(self) -> None:
        super().__init__("the ledger is stopping; ask again in a moment")


class CallNotFoundError(TollbookError):
    """No entry bears the id."""

    exit_code: ClassVar[int] = 1

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"no call {wanted[:128]!r} in the ledger (looked for a call id, a provider response id "
            "and a provider request id); a call of the last moment may not be ingested yet"
        )


class RunNotFoundError(TollbookError):
    """Nothing in the ledger bears the id."""

    exit_code: ClassVar[int] = 1

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"no run {wanted[:128]!r} in the ledger (looked for an agent run, a trace and a "
            "request); what happened in the last moment may not be ingested yet"
        )
