"""What was used and charged in a term's scope, by owner: the ledger's calls, as known now."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.terms.reading import filters_of
from tollbook.chargeback.terms.spans import moment_of
from tollbook.ledger.schema import PriceState
from tollbook.reports import measures
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tollbook.chargeback.terms.model import Term
    from tollbook.chargeback.terms.spans import Window
    from tollbook.desk import Desk
    from tollbook.reports.reader import Reader

_BILLED: Final = (PriceState.PRICED.value, PriceState.FREE.value, PriceState.UNPRICED.value)
"""What the provider counts; answers from a cache of ours, and errors before output, are none."""
_STANDARD: Final = "standard"
KEY_FIELDS: Final = (
    "tenant", "team", "cost_center", "feature", "model", "price_tier", "region",
)  # fmt: skip
COSTS: Final = tuple(f"{kind}_cost_usd" for kind in KINDS)
_CALLS_ONLY: Final = Filter("adjustment", (None,))


class Key(NamedTuple):
    """Whose it is, and what of: as fine as an adjustment tells, and no finer.

    User, workflow and run are left out: a rate of a month is earned by no single request.
    """

    tenant: str | None = None
    team: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    model: str | None = None
    price_tier: str | None = None
    region: str | None = None


class Cell(NamedTuple):
    """What one owner used and was charged; cost in pico by kind, under None what is of none."""

    key: Key
    units: Mapping[str, int]
    cost: Mapping[str | None, int]
    is_priced: bool = True
    """False: units count towards volume, and their cost is not known."""
    at: Any = None
    """The start of the hour or day, where it was asked for (datetime without a zone)."""

    @property
    def total(self) -> int:
        """The cost of all kinds."""
        return sum(self.cost.values())


def fits(term: Term, key: Key) -> bool:
    """Whether model, price tier and region match the patterns of a term."""
    return (
        fnmatchcase(key.model or "", term.model)
        and (term.price_tier is None or fnmatchcase(key.price_tier or _STANDARD, term.price_tier))
        and (term.region is None or fnmatchcase((key.region or "").lower(), term.region.lower()))
    )


def read_cells(
    desk: Desk, name: str, term: Term, window: Window, *, step: str | None = None
) -> list[Cell]:
    """Return the cells of a scope in a time, in one order whatever the engine does.

    Args:
        desk: what is open.
        name: of the term, for errors.
        term: whose scope.
        window: the calls of which time.
        step: ``hour`` (of UTC) or ``day`` (in the term's zone), to have them by time too.

    Raises:
        QueryTimeoutError: it took too long.
    """
    if window.is_empty:
        return []
    whole = SpendQuery(
        since=moment_of(window.start_ns), until=moment_of(window.end_ns),
        tz="UTC" if step == "hour" else term.timezone,
        where=(
            Filter("provider", (term.provider,)), Filter("price_state", _BILLED), _CALLS_ONLY,
            *filters_of(name, term),
        ),
        measures=(*KINDS, *COSTS, measures.COST),
    )  # fmt: skip
    # Most traffic has few of the kinds, and a month of hours has many rows.
    kinds = _kinds_used(desk.reader, whole)
    query = replace(
        whole, by=(*KEY_FIELDS, "price_state", *([step] if step else [])),
        measures=(*kinds, *(f"{kind}_cost_usd" for kind in kinds), measures.COST),
    )  # fmt: skip
    cells = [cell for cell in _cells(desk.reader, query, step) if fits(term, cell.key)]
    cells.sort(key=_in_order)
    return cells


def _kinds_used(reader: Reader, whole: SpendQuery) -> tuple[str, ...]:
    (row,) = wide_rows(reader, whole)
    return tuple(
        kind for kind, column in zip(KINDS, COSTS, strict=True) if row[kind] or row[column]
    )


def _cells(reader: Reader, query: SpendQuery, step: str | None) -> Iterator[Cell]:
    for row in wide_rows(reader, query):
        yield Cell(
            Key(*(row[name] for name in KEY_FIELDS)),
            {kind: row[kind] for kind in KINDS if row.get(kind)},
            costs_by_kind(row),
            row["price_state"] != PriceState.UNPRICED.value,
            row[step] if step else None,
        )


def costs_by_kind(row: Mapping[str, Any]) -> dict[str | None, int]:
    """Return the cost of a row by kind, under None what is of none; zeros left out."""
    found: dict[str | None, int] = {}
    rest = row[measures.COST] or 0
    for kind, column in zip(KINDS, COSTS, strict=True):
        if row.get(column):
            found[kind] = row[column]
            rest -= row[column]
    if rest:
        found[None] = rest
    return found


def _in_order(cell: Cell) -> tuple[Any, ...]:
    texts = tuple((value is not None, value or "") for value in cell.key)
    return (str(cell.at or ""), texts, cell.is_priced)


def volume_of(cells: Iterable[Cell], kinds: Iterable[str]) -> int:
    """Return how many units of kinds there are, those of unknown cost included."""
    wanted = tuple(kinds)
    return sum(cell.units.get(kind, 0) for cell in cells for kind in wanted)
