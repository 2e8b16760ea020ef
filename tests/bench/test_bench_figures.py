from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bench.figures import Aim, Figure, figure, table_line, write_results
from bench.stats import paired_ratio, percentile, spread_percent

if TYPE_CHECKING:
    from pathlib import Path


def test_result_file_is_a_list_with_the_promised_keys(tmp_path: Path) -> None:
    file = tmp_path / "results" / "part.json"
    aim = Aim("ratio", "at least", 0.5)
    write_results(
        file,
        [
            Figure(name="machine.cpu", value="a processor", unit=""),
            figure("requests", 20_123.4, "requests/s", baseline=40_000.0, aim=aim, samples=[1.0]),
            figure("absent", None, "requests/s", aim=aim, note="wrk is not installed"),
        ],
    )
    rows = json.loads(file.read_text())
    assert [row["name"] for row in rows] == ["machine.cpu", "requests", "absent"]
    assert all({"name", "value", "unit", "baseline", "ratio"} <= row.keys() for row in rows)
    assert rows[1]["value"] == 20120
    assert rows[1]["ratio"] == 0.5031
    assert rows[1]["is_met"] is True
    assert rows[1]["aim"] == "at least 0.5 x baseline"
    assert rows[2]["value"] is None
    assert "is_met" not in rows[2]
    assert "samples" not in rows[2]


def test_the_last_run_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "part.json"
    write_results(file, [figure("one", 1, "s"), figure("two", 2, "s")])
    write_results(file, [figure("three", 3, "s")])
    assert [row["name"] for row in json.loads(file.read_text())] == ["three"]


@pytest.mark.parametrize(
    ("aim", "value", "ratio", "met"),
    [
        (Aim("value", "at most", 0.5), 0.5, None, True),
        (Aim("value", "at most", 0.5), 0.6, None, False),
        (Aim("value", "at least", 50_000), 50_000, 0.1, True),
        (Aim("ratio", "at least", 0.5), 1e9, 0.49, False),
        (Aim("ratio", "at least", 0.5), 1e9, None, None),
    ],
)
def test_an_aim_is_met_missed_or_not_measured(
    aim: Aim, value: float, ratio: float | None, *, met: bool | None
) -> None:
    assert aim.is_met(value, ratio) is met


def test_the_printed_line_says_what_was_missed() -> None:
    line = table_line(figure("rollup", 0.75, "s", baseline=0.25, aim=Aim("value", "at most", 0.5)))
    assert "ratio 3.0" in line
    assert "aim: at most 0.5 s: MISSED" in line


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    assert percentile(values, 50) == 50.0
    assert percentile(values, 99) == 99.0
    assert percentile(values, 100) == 100.0
    assert percentile([7.0], 0) == 7.0
    with pytest.raises(ValueError, match="needs values"):
        percentile([], 50)


def test_ratio_is_taken_from_neighbouring_runs() -> None:
    # The machine slowed down to a third midway; the ratio did not change.
    assert paired_ratio([30.0, 10.0, 30.0], [60.0, 20.0, 60.0]) == 0.5
    assert spread_percent([30.0, 10.0, 20.0]) == 100.0
    with pytest.raises(ValueError, match="pairs"):
        paired_ratio([1.0], [])
