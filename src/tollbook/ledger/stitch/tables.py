"""The tables of what others than the gateway saw: calls, and the spans of their traces."""

from __future__ import annotations

from typing import Final

STITCH_TABLES: Final = (
    # every call that an SDK, a span or an import told of; frames are those of the spool
    """CREATE TABLE observations (
        call_id UUID PRIMARY KEY, observer VARCHAR NOT NULL, provider VARCHAR NOT NULL,
        provider_response_id VARCHAR, trace_id VARCHAR, span_id VARCHAR, parent_span_id VARCHAR,
        called_at TIMESTAMP NOT NULL, seen_at TIMESTAMP NOT NULL,
        opened BLOB NOT NULL, closed BLOB NOT NULL,
        state VARCHAR NOT NULL, charged_as UUID, detail VARCHAR)""",
    """CREATE TABLE spans (
        trace_id VARCHAR NOT NULL, span_id VARCHAR NOT NULL, parent_span_id VARCHAR,
        name VARCHAR NOT NULL, kind VARCHAR NOT NULL, observer VARCHAR NOT NULL,
        is_error BOOLEAN NOT NULL, started_at TIMESTAMP NOT NULL, ended_at TIMESTAMP,
        seen_at TIMESTAMP NOT NULL, identity VARCHAR, call_id UUID, links VARCHAR,
        PRIMARY KEY (trace_id, span_id))""",
)
"""``state``: charged (it is an entry of its own), stitched (``charged_as`` is the call that it is),
wrapper (its children are charged); ``identity`` is JSON, ``links`` a JSON array."""
