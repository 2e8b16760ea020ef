"""Forecast of daily amounts: weekday-aware level and trend, robust, held against its own past.

All numbers in here are estimates on copies of exact amounts, so floating point is right for them.

- The shape of a week: each day against the mean of the seven days around it, the median of the last
  eight weeks for each weekday (a ratio-to-moving-average seasonal index).
- The level: the median of the last fourteen days without that shape.
- The trend: the Theil-Sen slope (the median of the slopes between all pairs of days) of the last 28
  days without that shape, damped by 0.96 a day (Gardner and McKenzie, 1985), so that a month of
  growth is not taken for a law.

These two (with the trend and without), and the median of the last three weeks for each weekday, are
tried on the history itself, from many days as if what followed were not known
(rolling origin), and the one that was the nearest is used. The interval comes from the same trial:
the 10th and 90th percentile of actual to forecast, so it holds what it claims on this history or
its measured coverage says otherwise. A method that was mostly too low or too high is corrected by
the median of these ratios, by a quarter at most; the errors told are those without correction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

DAYS_MIN: Final = 28
"""Complete days without which nothing is forecast: half to learn from, half to be tried on."""
TRAIN_MIN: Final = 14
LEVEL_NAME: Final = "weekday level"
TREND_NAME: Final = "weekday level and damped trend"
MEDIAN_NAME: Final = "same weekday, median of three weeks"
NAIVE_NAME: Final = "same weekday last week"
"""Only to compare with: one wild day would come again."""
LOW: Final = 10
HIGH: Final = 90
"""Percentiles of the interval: four of five days should lie within."""
_WEEK: Final = 7
_LEVEL_DAYS: Final = 14
_MEDIAN_WEEKS: Final = 3
_TREND_DAYS: Final = 28
_SHAPE_WEEKS: Final = 8
_SHAPE_DAYS_MIN: Final = 21
_DAMPING: Final = 0.96
_FACTOR_MAX: Final = 1.25
ORIGINS: Final = 48
_ORIGINS_MIN: Final = 6
_PAIRS: Final = np.triu_indices(_TREND_DAYS, 1)


class Band(NamedTuple):
    """What is expected, and between which amounts it should lie; pico."""

    low: int
    expected: int
    high: int


class Backtest(Struct, frozen=True, kw_only=True):
    """How near the method was on the history; percent with one digit."""

    method: str
    origins: int
    """Days from which the rest of the history was forecast."""
    days: int
    """Days that were forecast, from all origins together."""
    error_percent: float
    """Sum of the absolute errors in the sum of the actual amounts (WAPE)."""
    mape_percent: float | None
    """Mean absolute percentage error of single days; days without spend are left out."""
    bias_percent: float
    """Positive: forecasts were too high."""
    naive_error_percent: float
    """The error of taking the same weekday of the week before."""
    coverage_percent: float | None
    """Days of the later half of the trial within the interval that the earlier half gives."""
    tested_days_ahead: int
    """How far ahead the trial reaches; beyond it the interval is that of the last tested day."""


class Forecast(NamedTuple):
    """Bands for days that follow the history, and how well the method did."""

    days: tuple[Band, ...]
    backtest: Backtest
    ratios: tuple[tuple[float, float], ...]
    """Low and high ratio of actual to forecast for the sum of the first 1, 2, ... days."""

    def sum_band(self, known: int, parts: Sequence[int]) -> Band:
        """Return the band of what is known and expected parts of days to come, added up."""
        ahead = sum(parts)
        if not parts:
            return Band(known, known, known)
        low, high = self.ratios[min(len(parts), len(self.ratios)) - 1]
        return Band(
            known + min(_whole(ahead * low), ahead), known + ahead,
            known + max(_whole(ahead * high), ahead),
        )  # fmt: skip


class TooShort(NamedTuple):
    """Why there is no forecast."""

    reason: str


def forecast(
    history: Sequence[int], first_weekday: int, horizon: int, origins: int = ORIGINS
) -> Forecast | TooShort:
    """Forecast the days after a history of complete days.

    Args:
        history: pico of consecutive days; the first should have spend.
        first_weekday: of the first day, Monday is 0.
        horizon: days to forecast, one or more.
        origins: earlier days to try the methods from, at most.
    """
    if len(history) < DAYS_MIN:
        days = "day" if len(history) == 1 else "days"
        return TooShort(
            f"{len(history)} complete {days} of history; a forecast that can be tried on its own "
            f"past needs {DAYS_MIN}"
        )
    values = np.array([float(amount) for amount in history])
    trial = _trial(values, first_weekday, horizon, origins)
    method = min(_CANDIDATES, key=lambda name: trial.errors[name])
    factor = trial.factor(method)
    ahead = _METHODS[method](values, first_weekday, horizon) * factor
    daily, summed = trial.intervals(method, factor)
    bands = []
    for at, expected in enumerate(ahead):
        low, high = daily[min(at // _WEEK, len(daily) - 1)]
        middle = _whole(expected)
        bands.append(
            Band(min(_whole(expected * low), middle), middle, max(_whole(expected * high), middle))
        )
    return Forecast(tuple(bands), trial.backtest(method), tuple(summed))


def _whole(amount: float) -> int:
    return round(float(amount))


def _shape(values: Values, first_weekday: int) -> Values:
    """Return the factor of each weekday, Monday first; ones where too little is known."""
    if len(values) < _SHAPE_DAYS_MIN:
        return np.ones(_WEEK)
    recent = values[-_SHAPE_WEEKS * _WEEK :]
    offset = first_weekday + len(values) - len(recent)
    around = np.convolve(recent, np.ones(_WEEK), "valid") / _WEEK
    middle = recent[_WEEK // 2 : len(recent) - _WEEK // 2]
    weekdays = (offset + _WEEK // 2 + np.arange(len(middle))) % _WEEK
    is_known = around > 0
    shape = np.ones(_WEEK)
    for weekday in range(_WEEK):
        found = (middle / np.where(is_known, around, 1))[is_known & (weekdays == weekday)]
        if len(found):
            shape[weekday] = np.median(found)
    mean = shape.mean()
    return shape / mean if mean > 0 else np.ones(_WEEK)


def _flat(values: Values, first_weekday: int, shape: Values) -> Values:
    """Return the last days without the shape of the week; a weekday that is always zero is left."""
    recent = values[-_TREND_DAYS:]
    weekdays = (first_weekday + len(values) - len(recent) + np.arange(len(recent))) % _WEEK
    factors = shape[weekdays]
    is_used = factors > 0
    flat: Values = (recent / np.where(is_used, factors, 1))[is_used]
    return flat


def _level(values: Values, first_weekday: int, horizon: int, *, damping: float = 0.0) -> Values:
    shape = _shape(values, first_weekday)
    flat = _flat(values, first_weekday, shape)
    recent = flat[-_LEVEL_DAYS:]
    level = float(np.median(recent)) if len(recent) else 0.0
    steps = np.zeros(horizon)
    if damping and len(flat) > _WEEK:
        one, two = _PAIRS if len(flat) == _TREND_DAYS else np.triu_indices(len(flat), 1)
        slope = float(np.median((flat[two] - flat[one]) / (two - one)))
        # The median of the last days stands for the middle of them.
        middle = (min(len(flat), _LEVEL_DAYS) - 1) / 2
        steps = slope * (middle + np.cumsum(damping ** np.arange(horizon)))
    weekdays = (first_weekday + len(values) + np.arange(horizon)) % _WEEK
    projected: Values = np.maximum(level + steps, 0.0) * shape[weekdays]
    return projected


def _trended(values: Values, first_weekday: int, horizon: int) -> Values:
    return _level(values, first_weekday, horizon, damping=_DAMPING)


def _naive(values: Values, first_weekday: int, horizon: int) -> Values:
    del first_weekday
    week = values[-_WEEK:]
    return np.resize(week, horizon)


def _median_week(values: Values, first_weekday: int, horizon: int) -> Values:
    del first_weekday
    weeks = min(len(values) // _WEEK, _MEDIAN_WEEKS)
    week = np.median(values[-weeks * _WEEK :].reshape(weeks, _WEEK), axis=0)
    return np.resize(week, horizon)


_METHODS: Final[dict[str, Callable[[Values, int, int], Values]]] = {
    LEVEL_NAME: _level, TREND_NAME: _trended, MEDIAN_NAME: _median_week, NAIVE_NAME: _naive,
}  # fmt: skip
_CANDIDATES: Final = (LEVEL_NAME, TREND_NAME, MEDIAN_NAME)
"""In the order of preference where two were equally near."""


class _Trial(NamedTuple):
    """What each method said from each origin, and what happened."""

    actual: list[Values]
    said: dict[str, list[Values]]
    errors: dict[str, float]

    def factor(self, method: str) -> float:
        """Return what a method's forecasts were to be multiplied by, in the middle of cases."""
        found = _ratios(
            np.array([one.sum() for one in self.actual]),
            np.array([one.sum() for one in self.said[method]]),
        )
        middle = float(np.median(found)) if len(found) else 1.0
        return min(max(middle, 1 / _FACTOR_MAX), _FACTOR_MAX)

    def intervals(
        self, method: str, factor: float
    ) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return low and high ratios by week ahead, and for sums of the first 1, 2, ... days."""
        said = [one * factor for one in self.said[method]]
        longest = max(map(len, self.actual))
        weeks: list[tuple[float, float]] = []
        for start in range(0, longest, _WEEK):
            found = _ratios(
                np.concatenate([one[start : start + _WEEK] for one in self.actual]),
                np.concatenate([one[start : start + _WEEK] for one in said]),
            )
            weeks.append(
                _percentiles(found) if len(found) >= _ORIGINS_MIN or not weeks else weeks[-1]
            )
        sums: list[tuple[float, float]] = []
        for days in range(1, longest + 1):
            pairs = [
                (one[:days].sum(), two[:days].sum())
                for one, two in zip(self.actual, said, strict=True)
                if len(one) >= days
            ]
            happened, expected = np.array(pairs).T
            found = _ratios(happened, expected)
            sums.append(_percentiles(found) if len(found) >= _ORIGINS_MIN or not sums else sums[-1])
        return weeks, sums

    def backtest(self, method: str) -> Backtest:
        """Return how near a method was."""
        actual, said = np.concatenate(self.actual), np.concatenate(self.said[method])
        total, is_some = actual.sum(), actual > 0
        return Backtest(
            method=method, origins=len(self.actual), days=len(actual),
            error_percent=_percent(self.errors[method]),
            mape_percent=(
                _percent(np.mean(np.abs(said - actual)[is_some] / actual[is_some]))
                if is_some.any() else None
            ),
            bias_percent=_percent((said.sum() - total) / total if total > 0 else 0.0),
            naive_error_percent=_percent(self.errors[NAIVE_NAME]),
            coverage_percent=self._coverage(method),
            tested_days_ahead=max(map(len, self.actual)),
        )  # fmt: skip

    def _coverage(self, method: str) -> float | None:
        half = len(self.actual) // 2
        said = self.said[method]
        ratios = _ratios(np.concatenate(self.actual[:half]), np.concatenate(said[:half]))
        actual, later = np.concatenate(self.actual[half:]), np.concatenate(said[half:])
        if len(ratios) < _ORIGINS_MIN or not len(actual):
            return None
        low, high = _percentiles(ratios)
        return _percent(float(np.mean((actual >= later * low) & (actual <= later * high))))


def _trial(values: Values, first_weekday: int, horizon: int, most: int) -> _Trial:
    origins = np.arange(TRAIN_MIN, len(values))
    if len(origins) > most:
        # Spread over the past, so that old and recent days are both forecast.
        places = np.linspace(0, len(origins) - 1, most).astype(int)
        origins = origins[places]
    actual = [values[at : at + horizon] for at in origins]
    said = {
        name: [
            method(values[:at], first_weekday, len(one))
            for at, one in zip(origins.tolist(), actual, strict=True)
        ]
        for name, method in _METHODS.items()
    }
    happened = np.concatenate(actual)
    total = happened.sum()
    errors = {
        name: float(np.abs(np.concatenate(one) - happened).sum() / total) if total > 0 else 0.0
        for name, one in said.items()
    }
    return _Trial(actual, said, errors)


def _ratios(actual: Values, said: Values) -> Values:
    is_used = said > 0
    found: Values = actual[is_used] / said[is_used]
    return found


def _percentiles(ratios: Values) -> tuple[float, float]:
    if not len(ratios):
        return 1.0, 1.0
    low, high = np.percentile(ratios, [LOW, HIGH])
    return max(float(low), 0.0), float(high)


def _percent(share: Any) -> float:
    return round(float(share) * 100, 1)
