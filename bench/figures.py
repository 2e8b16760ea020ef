"""One measured figure, the aim it is held against, and the file it is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Aim(Struct, frozen=True):
    """What was promised of a figure, or of its ratio to the baseline."""

    of: Literal["value", "ratio"]
    bound: Literal["at least", "at most"]
    limit: float

    def is_met(self, value: float | None, ratio: float | None) -> bool | None:
        """Return whether the aim is met; None when it could not be measured."""
        measured = value if self.of == "value" else ratio
        if measured is None:
            return None
        return measured >= self.limit if self.bound == "at least" else measured <= self.limit


class Figure(Struct, frozen=True, kw_only=True):
    """One line of a result file.

    ``baseline`` is what the peer measured in the same unit and the same run (nginx, hand-written
    SQL ...) and ``ratio`` is ours to the baseline, by neighbouring runs; None where there is no
    peer. ``value`` is text for facts of the machine only, and None when it could not be measured,
    which ``note`` then explains.
    """

    name: str
    value: float | int | str | None
    unit: str
    baseline: float | int | None = None
    ratio: float | None = None
    baseline_is: str | None = None
    aim: str | None = None
    is_met: bool | None = None
    samples: tuple[float, ...] = ()
    note: str | None = None


def figure(
    name: str,
    value: float | None,
    unit: str,
    *,
    baseline: float | None = None,
    ratio: float | None = None,
    baseline_is: str | None = None,
    aim: Aim | None = None,
    samples: Sequence[float] = (),
    note: str | None = None,
) -> Figure:
    """Return a figure rounded to what was measured; the ratio defaults to value / baseline."""
    if ratio is None and value is not None and baseline:
        ratio = value / baseline
    text = None
    if aim is not None:
        text = f"{aim.bound} {_short(aim.limit)} {'x baseline' if aim.of == 'ratio' else unit}"
    return Figure(
        name=name,
        value=None if value is None else _short(value),
        unit=unit,
        baseline=None if baseline is None else _short(baseline),
        ratio=None if ratio is None else _short(ratio),
        baseline_is=baseline_is,
        aim=text,
        is_met=None if aim is None else aim.is_met(value, ratio),
        samples=tuple(_short(sample) for sample in samples),
        note=note,
    )


def write_results(path: Path, figures: Sequence[Figure]) -> None:
    """Write a part's figures as a JSON list of objects, replacing the last run's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n ".join(msgspec.json.encode(_plain(each)).decode() for each in figures)
    path.write_text(f"[{lines}]\n", encoding="utf-8")


def table_line(each: Figure) -> str:
    """Return a figure as one line for the terminal."""
    line = f"{each.name:<58} {each.value!s:>14} {each.unit:<16}"
    if each.baseline is not None:
        ratio = "" if each.ratio is None else f", ratio {each.ratio}"
        line += f" {each.baseline_is or 'baseline'} {each.baseline}{ratio}"
    if each.aim is not None:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[each.is_met]
        line += f" (aim: {each.aim}: {verdict})"
    return line.rstrip()


def _plain(each: Figure) -> dict[str, object]:
    """Keep the five promised keys always, the others where they say something."""
    promised = {"name", "value", "unit", "baseline", "ratio"}
    fields: dict[str, object] = msgspec.to_builtins(each)
    return {
        key: value
        for key, value in fields.items()
        if key in promised or (value is not None and value not in ([], ()))
    }


def _short(value: float) -> float | int:
    """Round to four significant digits: more would pretend to a precision no run has."""
    if isinstance(value, int) or value == 0:
        return value
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) >= 10 else rounded
