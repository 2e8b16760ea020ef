"""What is wrong with an OTLP request, in one line."""

from __future__ import annotations

from tollbook.errors import TollbookError


class BadOtlpError(TollbookError):
    """A body that is no OTLP message, or larger than is read; sending it again does not help."""

    def __init__(self, what: str, encoding: str, problem: str) -> None:
        super().__init__(f"the OTLP request is no {what} message in {encoding}: {problem}")
