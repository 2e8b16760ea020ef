"""A hop and a span as one line of text, for terminals and machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.audit.findings import Hop, SpanRef

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Characters that move a cursor, colour a terminal or turn the direction of text: names of spans
come from outside, and must not write over a report."""


def plain(text: str) -> str:
    """Return text on one line without characters that a terminal obeys."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).encode(errors="replace").decode()


def span_words(span: SpanRef) -> str:
    """Return ``web (fastapi) POST /ask``: service, instrumentation, name."""
    scope = _short_scope(span.scope)
    parts = (span.service, f"({scope})" if scope else "", span.name or span.span_id)
    return plain(" ".join(part for part in parts if part))


def place_words(span: SpanRef) -> str:
    """Return ``traces.jsonl:12``, or what of it is known."""
    if not span.source:
        return ""
    return plain(span.source if span.line is None else f"{span.source}:{span.line}")


def hop_words(hop: Hop, *, is_cause: bool = True) -> str:
    """Return where the tenant was last seen and first missing.

    Args:
        hop: of a finding.
        is_cause: whether the finding says why a call has no owner; a hop of another finding that
            has no beginning is just the place.
    """
    to = span_words(hop.first_missing)
    if hop.last_seen is None:
        return f"{to}: no tenant here, and none anywhere before it" if is_cause else f"at {to}"
    what = (
        "the second names another tenant than the first"
        if hop.is_change
        else "tenant seen on the first, missing from the second"
    )
    return f"{span_words(hop.last_seen)} --{plain(hop.crossing)}--> {to}: {what}"


def _short_scope(scope: str) -> str:
    """Return the name of an instrumentation without what all of them begin with."""
    for prefix in (
        "opentelemetry.instrumentation.",
        "openinference.instrumentation.",
        "@opentelemetry/instrumentation-",
    ):
        if scope.startswith(prefix):
            return scope.removeprefix(prefix)
    return scope
