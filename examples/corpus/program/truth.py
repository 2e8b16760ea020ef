"""Which span is which call of the product: written beside the spans, not into them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

_count = itertools.count(1)
_ticket: ContextVar[str | None] = ContextVar("ticket", default=None)


@contextlib.contextmanager
def asked(ticket: str) -> Iterator[None]:
    """Say which call of the product the spans that begin meanwhile are.

    Calls of one ticket are numbered, so that two spans of one call are not taken for two calls.
    """
    token = _ticket.set(f"{ticket}#{os.getpid()}-{next(_count)}")
    try:
        yield
    finally:
        _ticket.reset(token)


class TruthProcessor(SpanProcessor):
    """Notes the ticket of each span that begins while a call is made.

    Args:
        path: a file of JSON lines that only this process writes.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note it."""
        del parent_context
        ticket = _ticket.get()
        if ticket is not None:
            at = span.get_span_context()
            ref = f"{at.trace_id:032x}:{at.span_id:016x}"
            self._file.write(json.dumps({"span": ref, "ticket": ticket}) + "\n")
