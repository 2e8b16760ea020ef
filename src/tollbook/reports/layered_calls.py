"""What the sections of requests weigh in groups of calls: tools by what they are, memory or none.

Which section the tokens of a layer are of is known where the weights of a request are; the split
of its dollars below the layer is an estimate by tokens, made in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.layers import Section
from tollbook.money import pico_from_usd
from tollbook.reports.over import ALL_WEIGHT, WEIGHTS, keys_sql, rows_sql, section_weight

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_DEFINED: Final = section_weight(Section.TOOL_DEFINITIONS)
_RESULTS: Final = section_weight(Section.TOOL_RESULTS)
_CONTEXT: Final = section_weight(Section.RETRIEVED, Section.MEMORY, Section.HISTORY)
_REMEMBERED: Final = section_weight(Section.RETRIEVED, Section.MEMORY)
_BEFORE: Final = (
    f"CASE WHEN weights[1] = {Section.TOOL_DEFINITIONS:d} THEN 0 ELSE weights[2] END"
)  # fmt: skip
"""Weight before the definitions: they come first, or after the system prompt."""
_SIGN: Final = "sign(tool_layer_tokens)"


class ToolUse(NamedTuple):
    """The tool layer of one group; tokens and pico are signed sums."""

    group: tuple[Any, ...]
    model: str | None
    calls: int
    """With anything of tools in the request."""
    tokens: int
    cost: int
    defined_tokens: int
    defined_cached_tokens: int
    """Of those, read from a cache: a cache holds the start of a prompt."""
    result_tokens: int
    undivided_tokens: int
    """Of requests whose weights are not known."""
    undivided_cost: int
    read_tokens: int
    """Input text that was read from a cache, of all requests with tools; and its pico."""
    read_cost: int
    fresh_tokens: int
    """Input text that was not; and its pico."""
    fresh_cost: int


def tool_use(reader: Reader, query: SpendQuery) -> list[ToolUse]:
    """Return the tool layer by group and model.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys, width = keys_sql(query), len(query.by)
    rows = reader.fetch(f"""
        WITH weighed AS (
            SELECT *, {_DEFINED} AS defined_weight, {_RESULTS} AS results_weight,
                {ALL_WEIGHT} AS whole, {_BEFORE} AS before
            FROM (SELECT *, {WEIGHTS} AS weights FROM ({rows_sql(query)})
                  WHERE coalesce(tool_layer_tokens, 0) <> 0)),
        parted AS (
            SELECT *, abs(tool_layer_tokens) * defined_weight
                    // nullif(defined_weight + results_weight, 0) AS defined,
                coalesce(cache_read_tokens, 0) AS read,
                coalesce(uncached_input_tokens, 0) + coalesce(cache_write_5m_tokens, 0)
                    + coalesce(cache_write_1h_tokens, 0) AS fresh
            FROM weighed)
        SELECT {keys} coalesce(model_actual, model_requested) AS model, sum(calls),
            sum(tool_layer_tokens), sum(tool_layer_cost_usd),
            sum({_SIGN} * coalesce(defined, 0)),
            sum({_SIGN} * least(coalesce(defined, 0), greatest(0, abs(read)
                - before * (abs(read) + abs(fresh)) // nullif(whole, 0)))),
            sum(CASE WHEN defined IS NULL THEN 0
                ELSE tool_layer_tokens - {_SIGN} * defined END),
            sum(CASE WHEN defined IS NULL THEN tool_layer_tokens ELSE 0 END),
            sum(CASE WHEN defined IS NULL THEN tool_layer_cost_usd ELSE 0 END),
            sum(read), sum(coalesce(cache_read_tokens_cost_usd, 0)), sum(fresh),
            sum(coalesce(uncached_input_tokens_cost_usd, 0)
                + coalesce(cache_write_5m_tokens_cost_usd, 0)
                + coalesce(cache_write_1h_tokens_cost_usd, 0))
        FROM parted GROUP BY {keys} model
    """)  # noqa: S608 -- our own statement
    found = []
    for row in rows:
        model, calls, tokens, cost, *more = row[width:]
        defined, cached, results, undivided, undivided_cost, read, read_cost, fresh, paid = more
        found.append(
            ToolUse(
                row[:width], model, int(calls), int(tokens), pico_from_usd(cost or 0),
                int(defined or 0), int(cached or 0), int(results or 0), int(undivided or 0),
                pico_from_usd(undivided_cost or 0), int(read or 0), pico_from_usd(read_cost or 0),
                int(fresh or 0), pico_from_usd(paid or 0),
            )
        )  # fmt: skip
    return found


class ContextUse(NamedTuple):
    """Calls of one group and model, with context or without; sums are signed."""

    group: tuple[Any, ...]
    model: str | None
    has_context: bool
    calls: int
    errors: int
    answered: int
    """Calls whose usage is known."""
    cost: int
    context_tokens: int
    context_cost: int
    response_tokens: int
    response_cost: int


def context_use(reader: Reader, query: SpendQuery, *, is_history_counted: bool) -> list[ContextUse]:
    """Return calls by group, model and whether their requests carried context.

    Args:
        reader: the ledger.
        query: range, groups and filters.
        is_history_counted: whether earlier turns are context too, beside memories and chunks.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys, width = keys_sql(query), len(query.by)
    carried = _CONTEXT if is_history_counted else _REMEMBERED
    rows = reader.fetch(f"""
        SELECT {keys} coalesce(model_actual, model_requested) AS model, carried > 0 AS has_context,
            sum(calls), sum(CASE WHEN status = 'error' THEN calls ELSE 0 END),
            sum(CASE WHEN usage_source <> 'none' THEN calls ELSE 0 END), sum(cost_usd),
            sum(context_layer_tokens), sum(context_layer_cost_usd), sum(response_layer_tokens),
            sum(response_layer_cost_usd)
        FROM (SELECT *, CASE WHEN weights IS NOT NULL THEN coalesce({carried}, 0)
                             ELSE abs(context_layer_tokens) END AS carried
              FROM (SELECT *, {WEIGHTS} AS weights FROM ({rows_sql(query)})
                    WHERE kind <> 'adjustment'))
        WHERE carried IS NOT NULL GROUP BY {keys} model, has_context
    """)  # noqa: S608 -- our own statement
    found = []
    for row in rows:
        model, has_context, calls, errors, answered, cost, tokens, paid, wrote, wrote_cost = row[
            width:
        ]
        found.append(
            ContextUse(
                row[:width], model, bool(has_context), int(calls), int(errors), int(answered),
                pico_from_usd(cost or 0), int(tokens or 0), pico_from_usd(paid or 0),
                int(wrote or 0), pico_from_usd(wrote_cost or 0),
            )
        )  # fmt: skip
    return found
