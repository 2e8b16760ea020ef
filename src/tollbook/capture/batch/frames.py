"""Frames of what readers of batches return; the gateway and the fetcher write the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook import clock, ids
from tollbook.call import BatchResult, BatchSeen
from tollbook.capture.batch.owners import line_identity
from tollbook.dialects.batch_base import InputLine

if TYPE_CHECKING:
    from tollbook.call import Identity
    from tollbook.capture.batch.owners import CustomIds
    from tollbook.dialects.batch_base import BatchFacts, ResultLine


def seen_frame(
    facts: BatchFacts,
    provider: str,
    dialect: str,
    collection: str,
    *,
    call_id: bytes | None = None,
    identity: Identity | None = None,
    problem: str | None = None,
) -> BatchSeen:
    """Return how a batch stands; ``call_id`` and ``identity`` are those of its submission."""
    return BatchSeen(
        at_ns=clock.unix_ns(),
        provider=provider,
        dialect=dialect,
        batch_id=facts.batch_id,
        collection=collection,
        status=facts.status,
        is_ended=facts.is_ended,
        endpoint=facts.endpoint,
        input_ids=facts.input_ids,
        result_ids=facts.result_ids,
        created_at_ns=facts.created_at_ns,
        ended_at_ns=facts.ended_at_ns,
        lines=facts.lines,
        model=facts.model,
        call_id=call_id,
        identity=identity,
        problem=problem,
    )


def result_frame(
    line: ResultLine, provider: str, dialect: str, source_id: str, custom_ids: CustomIds
) -> BatchResult:
    """Return a line of results as it is handed to the ledger; never its text.

    Its custom id is read again: the submission may not have passed through the gateway.
    """
    metered = line.metered
    now_ns = clock.unix_ns()
    return BatchResult(
        call_id=ids.new_id(now_ns),
        at_ns=now_ns,
        provider=provider,
        dialect=dialect,
        source_id=source_id,
        custom_id=line.custom_id,
        endpoint=line.endpoint,
        http_status=line.http_status,
        error_type=line.error_type,
        is_billable=line.is_billable,
        provider_request_id=line.provider_request_id,
        provider_response_id=metered.provider_response_id,
        model_actual=metered.model_actual,
        usage=metered.usage if line.problem is None else (),
        problem=line.problem,
        identity=line_identity(InputLine(line.custom_id, ()), custom_ids),
    )
