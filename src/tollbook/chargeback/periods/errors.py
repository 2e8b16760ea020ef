"""Why a period cannot be moved on, in one line each."""

from __future__ import annotations

from typing import ClassVar

from tollbook.errors import TollbookError


class PeriodError(TollbookError):
    """Something that cannot be done to a period as it is."""

    def __init__(self, period: str, problem: str) -> None:
        super().__init__(f"{period}: {problem}")


class ChecksFailedError(TollbookError):
    """Checks stand in the way of a step."""

    exit_code: ClassVar[int] = 1

    def __init__(self, period: str, step: str, problems: list[str]) -> None:
        super().__init__(
            f"{period} cannot be {step}: {'; '.join(problems)} "
            "(tollbook close check shows all; an approver may accept one with a reason)"
        )


class NotApproverError(TollbookError):
    """Somebody who is not named in the settings."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:64]!r} is not among [finance] approvers")


class NotYourselfError(TollbookError):
    """A step in the name of somebody else."""

    def __init__(self, name: str, signed_in: str) -> None:
        super().__init__(
            f"{signed_in[:64]!r} cannot act as {name[:64]!r}; leave the name out: it is whoever "
            "has signed in"
        )
