"""Batches whose results never came are booked once, at unknown cost: unknown is not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.ledger.batches_state import batches_where, forget_owners, save_batch, sources_where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from tollbook.call import Call
    from tollbook.ledger.batches_state import ProviderBatch, Source

_KEPT_US: Final = 90 * 24 * 3600 * 1_000_000
"""Providers keep results of batches for some thirty days."""


def is_void(batch: ProviderBatch) -> bool:
    """Whether a batch has ended and there is nothing to be read of it."""
    return batch.is_ended and not batch.result_ids


def is_complete(batch: ProviderBatch, sources: Sequence[Source]) -> bool:
    """Whether everything that a batch has given is booked."""
    if is_void(batch):
        return True
    read = {one.source_id for one in sources if one.is_read}
    if batch.is_ended and read.issuperset(batch.result_ids):
        return True
    booked = sum(one.booked for one in sources)
    return batch.lines is not None and booked >= batch.lines


def settle(
    connection: duckdb.DuckDBPyConnection,
    now_ns: int,
    after_ns: int,
    append: Callable[[ProviderBatch], Call],
) -> int:
    """Book what has waited too long; return how many batches that were.

    Args:
        connection: of the transaction.
        now_ns: the wall clock.
        after_ns: how long a batch may wait for its results.
        append: books a batch's missing results and returns the call that stands for them.
    """
    before_us = (now_ns - after_ns) // 1000
    settled = 0
    for batch in batches_where(
        connection, "NOT is_closed AND first_seen_at < make_timestamp(?)", [before_us]
    ):
        sources = sources_where(
            connection, "provider = ? AND provider_batch_id = ?", [batch.provider, batch.batch_id]
        )
        if not is_complete(batch, sources):
            batch.settled_call_id = append(batch).opened.call_id
            settled += 1
        batch.is_closed = True
        save_batch(connection, batch)
    forget_owners(connection, now_ns // 1000 - _KEPT_US)
    return settled
