"""An entry as its billing rule sees it: facts, and which model's price its base is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.ledger.charge import measure
from tollbook.ledger.rebuild import EVIDENCE_COLUMNS, call_of, kinds_of
from tollbook.ledger.schema import PriceState
from tollbook.prices.billable_amount import Facts
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.usage import Kinds

FACT_COLUMNS: Final = tuple(
    dict.fromkeys(
        (
            *EVIDENCE_COLUMNS, *KINDS, "price_state", "price_tier", "retry_of", "attempt",
            "request_origin", "fallback_from",
        )
    )
)  # fmt: skip
"""All of an entry that billing looks at, beside its cost, its saved cost and who it is of."""


class Priced(NamedTuple):
    """What a card is looked up by."""

    provider: str
    model: str
    tier: str | None
    region: str | None


def facts_of(row: Mapping[str, Any], cost: int | None, saved: int | None) -> Facts:
    """Return the facts of an entry.

    Args:
        row: from :func:`tollbook.ledger.rebuild.rows_of`, with :data:`FACT_COLUMNS`.
        cost: its cost in pico.
        saved: what an answer from the response cache would have cost.
    """
    is_cached = row["price_state"] == PriceState.CACHED
    return Facts(
        status=row["status"],
        cost=cost,
        kinds=_unsent(row) if is_cached else kinds_of(row),
        saved=saved,
        is_cached=is_cached,
        is_retry=row["retry_of"] is not None or (row["attempt"] or 1) > 1,
        is_system=row["request_origin"] == "system",
        is_part=bool(row["part"]),
    )


def _unsent(row: Mapping[str, Any]) -> Kinds | None:
    """Return what a cached answer had used when it was made, measured from the evidence."""
    try:
        measured = measure(call_of(row))
    except ValueError:
        return None
    part = row["part"] or 0
    if not part:
        return measured.kinds
    if part > len(measured.further):
        return None
    return measured.further[part - 1].kinds._replace(requests=0)


def priced_as(row: Mapping[str, Any], *, is_requested: bool) -> Iterator[Priced]:
    """Yield what to look a card up by, the best first.

    Args:
        row: as for :func:`facts_of`.
        is_requested: the model asked for, not the one that answered. What an attempt stands in
            for is asked of the provider that it stands in for; a part of a call that another
            model made was not asked for, and is priced as that model.
    """
    actual = row["model_actual"] or row["model_requested"]
    is_other_part = row["part"] and row["model_actual"] != row["call_model"]
    if not is_requested or is_other_part:
        if actual:
            yield Priced(row["provider"], actual, row["price_tier"], row["region"])
        return
    wanted = row["model_requested"]
    provider, _, model = (row["fallback_from"] or "").partition("/")
    if provider:
        # Where it would have been served is not known.
        for one in (wanted, model):
            if one:
                yield Priced(provider, one, row["price_tier"], None)
    if wanted:
        yield Priced(row["provider"], wanted, row["price_tier"], row["region"])
