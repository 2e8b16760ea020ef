"""What becomes of a request, before it is said in the words of HTTP or of gRPC."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

RETRY_AFTER_S: Final = 2
"""A disk that is full or a queue that is long may be better then."""
MAX_MESSAGE_CHARS: Final = 512


class Signal(Enum):
    """What a request carries, and the name its partial success counts by."""

    TRACES = "spans"
    LOGS = "log_records"
    METRICS = "data_points"
    FRAMES = "frames"


class Kind(Enum):
    """How it ended: the gRPC code (google.rpc.Code) and the status of HTTP."""

    OK = (0, 200)
    MALFORMED = (3, 400)  # INVALID_ARGUMENT
    TIMED_OUT = (3, 408)
    UNAUTHENTICATED = (16, 401)
    TOO_LARGE = (8, 413)  # RESOURCE_EXHAUSTED, without RetryInfo: do not send it again
    UNAVAILABLE = (14, 503)

    @property
    def code(self) -> int:
        """Of gRPC."""
        return self.value[0]

    @property
    def http_status(self) -> int:
        """Of HTTP."""
        return self.value[1]


class Outcome(Struct, frozen=True):
    """What a request gets."""

    kind: Kind
    accepted: int = 0
    rejected: int = 0
    """Spans, records, points or frames that were refused; sending them again is of no use."""
    message: str = ""


def refused(kind: Kind, message: str) -> Outcome:
    """Return an outcome that takes nothing."""
    return Outcome(kind, message=message[:MAX_MESSAGE_CHARS])


SPOOL_FAILS: Final = refused(
    Kind.UNAVAILABLE, "what was sent cannot be written down now; send it again later"
)
BUSY: Final = refused(Kind.UNAVAILABLE, "too much is being taken in at once; send it again later")
