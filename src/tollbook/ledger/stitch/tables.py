"""The tables of what others than the gateway saw: calls, and the spans of their traces."""

from __future__ import annotations

from typing import Final

STITCHED: Final = "stitched: "
WRAPPER: Final = "wrapper: "
LATE_IDENTITY: Final = "late identity: "
"""How the reasons of corrections begin. What is taken back for one of the first two and not charged
again is a call that has another id, or that holds others."""
STITCH_TABLES: Final = (
    # every call that an SDK, a span or an import told of; frames are those of the spool, and NULL
    # once they are older than they are kept: the id stays, so that no call is booked twice
    """CREATE TABLE observations (
        call_id UUID PRIMARY KEY, observer VARCHAR NOT NULL, provider VARCHAR NOT NULL,
        provider_response_id VARCHAR, provider_request_id VARCHAR,
        trace_id VARCHAR, span_id VARCHAR, parent_span_id VARCHAR,
        called_at TIMESTAMP NOT NULL, seen_at TIMESTAMP NOT NULL, is_whole BOOLEAN NOT NULL,
        writer VARCHAR, segment INTEGER, "offset" BIGINT, version VARCHAR,
        opened BLOB, closed BLOB, state VARCHAR NOT NULL, charged_as UUID, detail VARCHAR)""",
    # of what is told twice of a span the first word is kept
    """CREATE TABLE spans (
        trace_id VARCHAR NOT NULL, span_id VARCHAR NOT NULL, parent_span_id VARCHAR,
        name VARCHAR NOT NULL, kind VARCHAR NOT NULL, observer VARCHAR NOT NULL,
        is_error BOOLEAN NOT NULL, started_at TIMESTAMP NOT NULL, ended_at TIMESTAMP,
        seen_at TIMESTAMP NOT NULL, identity VARCHAR, call_id UUID, links VARCHAR,
        PRIMARY KEY (trace_id, span_id))""",
    """CREATE TABLE span_links (
        trace_id VARCHAR NOT NULL, linked_trace_id VARCHAR NOT NULL,
        seen_at TIMESTAMP NOT NULL)""",
    # what is to be said of a call, the gateway's as well: kind is conflict or ambiguous
    """CREATE TABLE stitch_notes (
        call_id UUID NOT NULL, kind VARCHAR NOT NULL, called_at TIMESTAMP NOT NULL,
        detail VARCHAR NOT NULL)""",
)
"""``observations.state``: charged (it is an entry of its own), aggregate (so is a total over calls
none of which was seen), stitched (``charged_as`` is the call that it is), wrapper (the
calls within it are charged, ``charged_as`` is one of them), covered (it told of no usage,
``charged_as`` is the call around it that did). ``is_whole``: nothing is missing of it
(:func:`tollbook.ledger.stitch.sight.is_whole`). ``detail`` is JSON: ``{"by": how it was matched}``.

``spans`` has every span that is known of a trace, calls included (``call_id`` is then a call of
``observations``; what it was charged as is ``charged_as`` there). ``identity`` is a JSON object of
:class:`tollbook.call.Identity`, ``links`` a JSON array of ``"trace_id:span_id"``. Rows are deleted
``[ledger] spans_retain_days`` after they came; entries keep trace, span and parent of each call."""
