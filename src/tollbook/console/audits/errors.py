"""Why a file is not audited here."""

from __future__ import annotations

from tollbook.audit.outputs import words
from tollbook.errors import TollbookError


class UploadTooLargeError(TollbookError):
    """More than the console takes."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"more than {words.size(max_bytes)} at once is not taken here; audit the files where "
            "they lie, with the command: tollbook audit FILE ..."
        )


class UploadError(TollbookError):
    """What was sent is no file, or not in a form that is understood."""


class AuditBusyError(TollbookError):
    """Too many audits wait already."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} audits wait for their turn already; repeat it in a minute, or use the "
            "command: tollbook audit FILE ..."
        )


class AuditTimeoutError(TollbookError):
    """It took too long."""

    def __init__(self, time_max_s: float) -> None:
        super().__init__(
            f"the audit was ended after {time_max_s:g} seconds; the command has no such limit: "
            "tollbook audit FILE ..."
        )


class AuditFailedError(TollbookError):
    """The process that audits ended without a report."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the audit failed: {problem}")


class NoSuchAuditError(TollbookError):
    """It is not kept any longer, or is somebody else's."""

    def __init__(self) -> None:
        super().__init__("there is no such audit of yours any longer; hand the files in again")
