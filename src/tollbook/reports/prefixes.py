"""The stable prefix of requests (system and tools): its size in tokens, versions, and repeats.

The ledger knows the prefix's fingerprint and characters. Its tokens are the input tokens of the
call in proportion to the weight of the whole request; where that is not known, the tokens of the
prompt layer; and where these are not known either, a quarter of its characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.money import pico_from_usd
from tollbook.reports.over import ALL_WEIGHT, WEIGHTS, calls_sql, keys_sql
from tollbook.usage import INPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_INPUT = " + ".join(f"coalesce({kind}, 0)" for kind in INPUT_KINDS)
_WRITTEN = "coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0)"
_CACHED = f"coalesce(cache_read_tokens, 0) + {_WRITTEN}"
_INPUT_COST = " + ".join(f"coalesce({kind}_cost_usd, 0)" for kind in INPUT_KINDS)


def _sized(query: SpendQuery) -> str:
    """Return the statement of calls with a prefix and its tokens."""
    return f"""
        SELECT *, least(input_tokens, greatest(0, CASE
            WHEN whole > 0 THEN prefix_chars * input_tokens // whole
            WHEN prompt_layer_tokens > 0 THEN prompt_layer_tokens
            ELSE prefix_chars // 4 END)) AS prefix_tokens
        FROM (SELECT *, {ALL_WEIGHT} AS whole FROM (
            SELECT *, {WEIGHTS} AS weights, {_INPUT} AS input_tokens,
                coalesce(model_actual, model_requested) AS model
            FROM ({calls_sql(query)})
            WHERE prefix_hash IS NOT NULL AND usage_source <> 'none'))
    """  # noqa: S608 -- our own statement


class Version(NamedTuple):
    """One prefix of one group."""

    group: tuple[Any, ...]
    prefix: str
    first_at: Any
    """Naive UTC."""
    last_at: Any
    calls: int
    prefix_tokens: int
    """Of all calls together."""
    input_tokens: int
    input_cost: int
    """Pico."""
    output_tokens: int


def prefix_versions(reader: Reader, query: SpendQuery) -> list[Version]:
    """Return every prefix of each group of a query, in the order in which they came.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys = keys_sql(query)
    width = len(query.by)
    rows = reader.fetch(f"""
        SELECT {keys} prefix_hash, min(called_at), max(called_at), count(*), sum(prefix_tokens),
            sum(input_tokens), sum({_INPUT_COST}),
            sum(coalesce(visible_output_tokens, 0) + coalesce(reasoning_tokens, 0))
        FROM ({_sized(query)}) GROUP BY {keys} prefix_hash ORDER BY min(called_at), prefix_hash
    """)  # noqa: S608 -- our own statement
    return [
        Version(
            row[:width], row[width], row[width + 1], row[width + 2], int(row[width + 3]),
            int(row[width + 4]), int(row[width + 5]), pico_from_usd(row[width + 6] or 0),
            int(row[width + 7]),
        )
        for row in rows
    ]  # fmt: skip


class Minimum(NamedTuple):
    """The least tokens of a prefix that a provider caches for a model."""

    provider: str
    model: str
    tokens: int


class Repeats(NamedTuple):
    """Calls of one prefix at one price."""

    group: tuple[Any, ...]
    provider: str
    model: str
    card_id: str
    prefix: str
    bucket: int
    """How many of the edges the input exceeds."""
    is_repeat: bool
    """The prefix was seen within the cache's lifetime before."""
    calls: int
    full_tokens: int
    """Of prefixes, neither read from a cache nor written to one."""
    cached_tokens: int
    prefix_tokens: int
    input_tokens_min: int


def provider_models(reader: Reader, query: SpendQuery) -> list[tuple[str, str, str]]:
    """Return provider, model and price card of the calls that have a prefix.

    Raises:
        QueryTimeoutError: it took too long.
    """
    return [
        (row[0], row[1], row[2])
        for row in reader.fetch(f"""
            SELECT DISTINCT provider, coalesce(model_actual, model_requested), price_card_id
            FROM ({calls_sql(query)}) WHERE prefix_hash IS NOT NULL AND price_state = 'priced'
                AND cost_source = 'card' AND price_card_id IS NOT NULL
                AND coalesce(model_actual, model_requested) IS NOT NULL
        """)  # noqa: S608 -- our own statement
    ]


def prefix_repeats(
    reader: Reader, query: SpendQuery, minimums: Sequence[Minimum], lifetime_s: int,
    edges: Sequence[int],
) -> list[Repeats]:  # fmt: skip
    """Return what of prefixes was paid at the full price, by whether it might have been cached.

    Two calls of one provider, model and prefix follow one another whoever made them.

    Args:
        reader: the ledger.
        query: range, groups and filters.
        minimums: which models cache, and from how many tokens on; others are left out.
        lifetime_s: how long a cache holds a prefix that nobody uses.
        edges: inputs, ascending, that a price step lies above.

    Raises:
        QueryTimeoutError: it took too long.
    """
    if not minimums:
        return []
    keys, width = keys_sql(query), len(query.by)
    bucket = " + ".join(f"(input_tokens > {int(edge)})::INTEGER" for edge in edges) or "0"
    marks = ", ".join("(?, ?, ?)" for _ in minimums)
    rows = reader.fetch(
        f"""
        WITH minimums(provider, model, least_tokens) AS (VALUES {marks}),
        spaced AS (
            SELECT calls.*, called_at - lag(called_at) OVER (
                PARTITION BY calls.provider, calls.model, prefix_hash ORDER BY called_at, entry_id
            ) <= INTERVAL {int(lifetime_s)} SECOND AS is_repeat
            FROM ({_sized(query)}) AS calls JOIN minimums
                ON calls.provider = minimums.provider AND calls.model = minimums.model
            WHERE prefix_tokens >= least_tokens AND price_state = 'priced'
                AND cost_source = 'card' AND price_card_id IS NOT NULL)
        SELECT {keys} provider, model, price_card_id, prefix_hash, {bucket} AS bucket,
            coalesce(is_repeat, false) AS again, count(*),
            sum(greatest(0, least(coalesce(uncached_input_tokens, 0),
                                  prefix_tokens - ({_CACHED})))),
            sum(least(prefix_tokens, {_CACHED})), sum(prefix_tokens), min(input_tokens)
        FROM spaced
        GROUP BY {keys} provider, model, price_card_id, prefix_hash, bucket, again
        """,  # noqa: S608 -- our own statement
        [value for one in minimums for value in one],
    )
    found = []
    for row in rows:
        provider, model, card_id, prefix, edge, again, calls, full, cached, tokens, least = row[
            width:
        ]
        found.append(
            Repeats(
                row[:width], provider, model, card_id, prefix, int(edge), bool(again), int(calls),
                int(full), int(cached), int(tokens), int(least),
            )
        )  # fmt: skip
    return found
