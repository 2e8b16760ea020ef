"""Where rules get their sums: the one query object, asked once for all rules that need the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from tollbook.alerts.baseline import hour_of, moment_of
from tollbook.alerts.sums import MEASURES, Sums, sums_of_row
from tollbook.errors import TollbookError
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from tollbook.alerts.signal import Entity
    from tollbook.reports.reader import Reader

By = tuple[str, ...]
Where = tuple[Filter, ...]
Groups = dict["Entity", Sums]
Series = dict["Entity", dict[int, Sums]]
NAMED_MAX: Final = 500
"""So many series are asked for by name; of more, all are read."""
CELLS_MAX: Final = 3_000_000
"""Hours of series that a back-test holds in memory."""


class TooMuchError(TollbookError):
    """A back-test over more than memory is for."""

    def __init__(self, cells: int) -> None:
        super().__init__(
            f"back-test: {cells:,} hours of series are too many to hold; choose a shorter time or "
            "fewer rules with --rule"
        )


class Source(Protocol):
    """Sums of a ledger."""

    memo: dict[Any, Any]
    """What rules make of a time that is over, so that it is made once."""

    def window(self, by: By, where: Where, since: datetime, until: datetime) -> Groups:
        """Return sums by group over ``[since, until)``."""

    def hours(
        self, by: By, where: Where, first: int, last: int, only: AbstractSet[Entity] | None = None
    ) -> Series:
        """Return sums by group and clock hour, from ``first`` to before ``last``."""


class LedgerSource:
    """Asks the ledger, and remembers: windows until :meth:`forget`, hours while they are asked for.

    Args:
        reader: of the ledger.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.queries = 0
        self._windows: dict[SpendQuery, Groups] = {}
        self._hours: dict[tuple[By, Where, int, int], tuple[set[Entity], Series]] = {}
        self.memo: dict[Any, Any] = {}

    def forget(self, now: datetime) -> None:
        """Begin a new evaluation: what is over and complete stays, the rest is asked again."""
        self._windows.clear()
        oldest = hour_of(now) - 2
        self._hours = {key: one for key, one in self._hours.items() if key[3] >= oldest}
        if len(self.memo) > _MEMO_MAX:
            self.memo.clear()

    def window(self, by: By, where: Where, since: datetime, until: datetime) -> Groups:
        """Return sums by group; see :class:`Source`."""
        query = SpendQuery(since=since, until=until, by=by, where=where, measures=MEASURES)
        found = self._windows.get(query)
        if found is None:
            found = self._windows[query] = {
                tuple(row[name] for name in by): sums_of_row(row) for row in self._rows(query)
            }
        return found

    def hours(
        self, by: By, where: Where, first: int, last: int, only: AbstractSet[Entity] | None = None
    ) -> Series:
        """Return sums by group and hour; see :class:`Source`."""
        known, series = self._hours.setdefault((by, where, first, last), (set(), {}))
        wanted = None if only is None or len(only) > NAMED_MAX or not by else set(only)
        if wanted is not None:
            wanted -= known
            if not wanted:
                return series
        elif _ALL in known:
            return series
        filters = where
        if wanted is not None:
            taken = {item.dimension for item in where if not item.negate}
            filters += tuple(
                Filter(name, tuple({one[at] for one in wanted}))
                for at, name in enumerate(by)
                if name not in taken
            )
        query = SpendQuery(
            since=moment_of(first), until=moment_of(last), by=("hour", *by), where=filters,
            measures=MEASURES,
        )  # fmt: skip
        for row in self._rows(query):
            entity = tuple(row[name] for name in by)
            series.setdefault(entity, {})[_hour(row["hour"])] = sums_of_row(row)
        known |= {_ALL} if wanted is None else wanted
        return series

    def _rows(self, query: SpendQuery) -> Iterator[dict[str, Any]]:
        self.queries += 1
        return wide_rows(self.reader, query)


_ALL: Final[Entity] = ("\0all",)
_MEMO_MAX: Final = 2_000
_SUMS_MAX: Final = 400


class GridSource:
    """Reads the hours of a series once for a whole back-test, and answers from memory.

    Windows are of whole hours. What is by request is asked of the ledger, day by day.

    Args:
        ledger: where hours are read from.
        first: first hour.
        last: first hour that is not read.
    """

    def __init__(self, ledger: LedgerSource, first: int, last: int) -> None:
        self._ledger = ledger
        self._first, self._last = first, last
        self._grids: dict[tuple[By, Where], dict[int, Groups]] = {}
        self._series: dict[tuple[By, Where], Series] = {}
        self._sums: dict[tuple[By, Where, int, int], Groups] = {}
        self._slides: dict[tuple[By, Where, int], tuple[int, Groups]] = {}
        self._cells = 0
        self.memo: dict[Any, Any] = {}

    def window(self, by: By, where: Where, since: datetime, until: datetime) -> Groups:
        """Return sums by group; see :class:`Source`."""
        if "request" in by or "operation_id" in by or since.minute or until.minute:
            return self._ledger.window(by, where, since, until)
        key = (by, where, hour_of(since), hour_of(until))
        found = self._sums.get(key)
        if found is None:
            if len(self._sums) > _SUMS_MAX:
                self._sums.clear()
            found = self._sums[key] = self._slid(by, where, key[2], key[3])
        return found

    def _slid(self, by: By, where: Where, first: int, last: int) -> Groups:
        """Return the sums of a window; from those of one a little earlier, if there is one."""
        key = (by, where, last - first)
        before = self._slides.get(key)
        if before is None or not before[0] <= first <= before[0] + (last - first) // 2:
            found = self._added(by, where, first, last)
        else:
            start, groups = before
            found = dict(groups)
            grid = self._grid(by, where)
            for hour in range(start, first):
                for entity, one in grid.get(hour, {}).items():
                    rest = found[entity].minus(one)
                    if any(rest):
                        found[entity] = rest
                    else:
                        del found[entity]
            for hour in range(start + last - first, last):
                for entity, one in grid.get(hour, {}).items():
                    known = found.get(entity)
                    found[entity] = one if known is None else known.plus(one)
        self._slides[key] = (first, found)
        return found

    def _added(self, by: By, where: Where, first: int, last: int) -> Groups:
        grid = self._grid(by, where)
        found: Groups = {}
        for hour in range(first, last):
            for entity, one in grid.get(hour, {}).items():
                known = found.get(entity)
                found[entity] = one if known is None else known.plus(one)
        return found

    def hours(
        self, by: By, where: Where, first: int, last: int, only: AbstractSet[Entity] | None = None
    ) -> Series:
        """Return sums by group and hour, later hours among them; see :class:`Source`."""
        self._grid(by, where)
        series = self._series[by, where]
        chosen = series if only is None else {key: series[key] for key in only if key in series}
        return {
            entity: {hour: one for hour, one in own.items() if first <= hour < last}
            for entity, own in chosen.items()
        }

    def _grid(self, by: By, where: Where) -> dict[int, Groups]:
        grid = self._grids.get((by, where))
        if grid is None:
            series = self._ledger.hours(by, where, self._first, self._last)
            self._cells += sum(len(own) for own in series.values())
            if self._cells > CELLS_MAX:
                raise TooMuchError(self._cells)
            grid = {}
            for entity, own in series.items():
                for hour, one in own.items():
                    grid.setdefault(hour, {})[entity] = one
            self._grids[by, where], self._series[by, where] = grid, series
        return grid


def _hour(naive: datetime) -> int:
    return int((naive - _EPOCH) / timedelta(hours=1))


_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 -- as the ledger's hours are: UTC
