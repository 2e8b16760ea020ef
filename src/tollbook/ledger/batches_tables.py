"""The tables that remember batches between a submission and its results.

``provider_batches`` are the batches themselves (``batches`` are the links of the hash chain);
``batch_inputs`` the files their lines were uploaded in; ``batch_owners`` the lines that name an
owner; ``batch_sources`` the files, or batches, that results are read from; ``batch_lines`` the
lines that are booked, so that none is booked twice.
"""

from __future__ import annotations

from typing import Final

BATCH_TABLES: Final = (
    """CREATE TABLE provider_batches (
        provider VARCHAR NOT NULL, provider_batch_id VARCHAR NOT NULL, dialect VARCHAR NOT NULL,
        collection VARCHAR NOT NULL, status VARCHAR NOT NULL, is_ended BOOLEAN NOT NULL,
        endpoint VARCHAR, model VARCHAR, input_ids VARCHAR[] NOT NULL,
        result_ids VARCHAR[] NOT NULL, created_at TIMESTAMP, ended_at TIMESTAMP,
        first_seen_at TIMESTAMP NOT NULL, seen_at TIMESTAMP NOT NULL, lines BIGINT,
        call_id UUID, identity BLOB, problem VARCHAR, settled_call_id UUID,
        is_superseded BOOLEAN NOT NULL, is_closed BOOLEAN NOT NULL)""",
    """CREATE TABLE batch_inputs (
        provider VARCHAR NOT NULL, file_id VARCHAR NOT NULL, call_id UUID NOT NULL,
        identity BLOB NOT NULL, lines BIGINT NOT NULL, problem VARCHAR, "at" TIMESTAMP NOT NULL)""",
    """CREATE TABLE batch_owners (
        call_id UUID NOT NULL, custom_id VARCHAR NOT NULL, identity BLOB NOT NULL,
        "at" TIMESTAMP NOT NULL)""",
    """CREATE TABLE batch_sources (
        provider VARCHAR NOT NULL, source_id VARCHAR NOT NULL, provider_batch_id VARCHAR,
        booked BIGINT NOT NULL, seen_again BIGINT NOT NULL, total BIGINT,
        is_read BOOLEAN NOT NULL)""",
    """CREATE TABLE batch_lines (
        provider VARCHAR NOT NULL, source_id VARCHAR NOT NULL, line_key VARCHAR NOT NULL,
        custom_id VARCHAR NOT NULL, call_id UUID NOT NULL)""",
)
