"""The range before a page's, and the steps of its charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.console.pages.range import GRAINS, auto_grain, bucket_changes, buckets, shifted
from tollbook.reports.params import parse_range
from tollbook.reports.times import Period

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def _at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_before_a_month_that_runs_is_as_much_of_the_month_before() -> None:
    month = Period(_at("2026-11-01"), _at("2026-12-01"))
    before = shifted(month, _NOW, ZoneInfo("UTC"))
    assert before == Period(_at("2026-10-01"), _at("2026-10-21T12:00"))


def test_before_a_whole_month_is_the_whole_month_before() -> None:
    zone = "Europe/Berlin"
    month = Period(_at("2026-10-01", zone), _at("2026-11-01", zone))
    before = shifted(month, _NOW, ZoneInfo(zone))
    assert before == Period(_at("2026-09-01", zone), _at("2026-10-01", zone))


def test_before_march_is_no_more_than_february() -> None:
    month = Period(_at("2026-03-01"), _at("2026-04-01"))
    now = _at("2026-03-31T12:00")
    assert shifted(month, now, ZoneInfo("UTC")) == Period(_at("2026-02-01"), _at("2026-03-01"))


def test_midnight_stays_midnight_over_a_change_of_the_clock() -> None:
    zone = "Europe/Berlin"
    week = Period(_at("2026-10-24", zone), _at("2026-10-31", zone))
    before = shifted(week, _NOW, ZoneInfo(zone))
    assert before == Period(_at("2026-10-17", zone), _at("2026-10-24", zone))


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- the zone is given beside
    st.integers(1, 400 * 24),
    st.sampled_from(_ZONES),
)
def test_the_range_before_ends_where_the_range_begins(
    start: datetime, hours: int, zone: str
) -> None:
    period = Period(start, start + timedelta(hours=hours))
    before = shifted(period, _NOW, ZoneInfo(zone))
    assert before.end <= period.start
    assert before.start < before.end


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- as above
    st.integers(1, 30 * 24),
    st.sampled_from(_ZONES),
    st.sampled_from(GRAINS),
)
def test_every_moment_of_a_range_is_in_one_of_its_steps(
    start: datetime, hours: int, zone: str, grain: str
) -> None:
    period = Period(start, start + timedelta(hours=hours))
    names = buckets(period, grain, zone)  # type: ignore[arg-type]  # one of them
    assert len(names) == len(set(names))
    assert names == sorted(names) or grain == "hour"
    if grain != "hour":
        local = [
            moment.astimezone(ZoneInfo(zone)).date()
            for moment in (period.start, period.end - timedelta(microseconds=1))
        ]
        first, last = local
        if grain == "week":
            first, last = (day - timedelta(days=day.weekday()) for day in local)
        size = 7 if grain == "month" else 10
        assert names[0] == first.isoformat()[:size]
        assert names[-1] == last.isoformat()[:size]


@pytest.mark.parametrize(
    ("grain", "name", "zone"),
    [
        ("day", "2026-10-25", "Europe/Berlin"),
        ("month", "2026-10", "Europe/Berlin"),
        ("week", "2026-10-19", "UTC"),
        ("hour", "2026-10-25T02:00+01:00", "Europe/Berlin"),
    ],
)
def test_a_step_is_a_range_of_its_own(grain: str, name: str, zone: str) -> None:
    changes = {
        key: value for key, value in bucket_changes(grain, name).items() if value is not None
    }
    period = parse_range(changes | {"tz": zone}, _NOW)
    assert buckets(period, grain, zone) == [name]  # type: ignore[arg-type]  # one of them


def test_steps_grow_with_the_range() -> None:
    assert [auto_grain(days) for days in (1, 7, 90, 365, 2000)] == [
        "hour", "day", "day", "week", "month",
    ]  # fmt: skip
