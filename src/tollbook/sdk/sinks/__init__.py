"""Where the calls of this process are delivered: a spool, a Tollbook, OpenTelemetry, several.

Each is imported when it is asked for, so that an application pays for the one that it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tollbook.sdk.sinks.otel import OtelSink
    from tollbook.sdk.sinks.spool import SpoolSink
    from tollbook.sdk.sinks.tee import TeeSink
    from tollbook.sdk.sinks.tollbook import TollbookSink

__all__ = ["OtelSink", "SpoolSink", "TeeSink", "TollbookSink"]

_WHERE: Final = {
    "OtelSink": "otel", "SpoolSink": "spool", "TeeSink": "tee", "TollbookSink": "tollbook",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a sink when it is asked for."""
    if name in _WHERE:
        return getattr(import_module(f"tollbook.sdk.sinks.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'tollbook.sdk.sinks' has no attribute {name!r}")
