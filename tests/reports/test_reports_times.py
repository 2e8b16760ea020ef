from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.reports.errors import QueryError
from tollbook.reports.times import parse_period, start_of_day
from tollbook.reports.zone import hour_label, offset_s, pieces, zone_of

BERLIN = zone_of("Europe/Berlin")
ODD_ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns",
    "Africa/Casablanca", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Asia/Kathmandu",
    "America/Havana", "Africa/Monrovia",
]  # fmt: skip
NOW = datetime(2026, 11, 4, 9, 30, 15, tzinfo=UTC)  # a Wednesday, 10:30 in Berlin


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-01", "2026-10-31T23:00Z", "2026-11-01T23:00Z"),
        ("2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # 25 hours
        ("2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # 23 hours
        ("2026-10", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
        ("2026-12", "2026-11-30T23:00Z", "2026-12-31T23:00Z"),
        ("today", "2026-11-03T23:00Z", "2026-11-04T23:00Z"),
        ("yesterday", "2026-11-02T23:00Z", "2026-11-03T23:00Z"),
        ("week", "2026-11-01T23:00Z", "2026-11-08T23:00Z"),
        ("last-week", "2026-10-25T23:00Z", "2026-11-01T23:00Z"),
        ("month", "2026-10-31T23:00Z", "2026-11-30T23:00Z"),
        ("last-month", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
        ("now", "2026-11-04T09:30:15Z", "2026-11-04T09:30:15Z"),
        ("24h", "2026-11-03T09:30:15Z", "2026-11-04T09:30:15Z"),
        ("30m", "2026-11-04T09:00:15Z", "2026-11-04T09:30:15Z"),
        ("7d", "2026-10-28T09:30:15Z", "2026-11-04T09:30:15Z"),
        ("2w", "2026-10-21T08:30:15Z", "2026-11-04T09:30:15Z"),  # the same local time of day
        ("all", "1970-01-01T00:00Z", "2026-11-04T09:30:15Z"),
        ("999999d", "1970-01-01T00:00Z", "2026-11-04T09:30:15Z"),
        ("2026-11-01T08:00", "2026-11-01T07:00Z", "2026-11-01T07:00Z"),
        ("2026-11-01T08:00-05:00", "2026-11-01T13:00Z", "2026-11-01T13:00Z"),
        ("2026-11-01T08:00:00.5Z", "2026-11-01T08:00:00.500Z", "2026-11-01T08:00:00.500Z"),
    ],
)
def test_time_expressions_in_berlin(text: str, start: str, end: str) -> None:
    period = parse_period(text, BERLIN, NOW)
    assert period == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@given(st.text(max_size=40))
def test_any_text_is_a_period_or_a_query_error(text: str) -> None:
    try:
        period = parse_period(text, BERLIN, NOW)
    except QueryError:
        return
    assert period.start <= period.end


@given(st.sampled_from(ODD_ZONES), st.dates(date(1971, 1, 1), date(2090, 1, 1)))
def test_days_meet_without_gap_or_overlap(name: str, day: date) -> None:
    zone = zone_of(name)
    start, end = start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)
    if (name, day) == ("Pacific/Apia", date(2011, 12, 30)):  # the day that was skipped
        assert start == end
        return
    assert timedelta(hours=22) < end - start < timedelta(hours=26)
    assert start.astimezone(zone).date() == day
    assert (start - timedelta(microseconds=1)).astimezone(zone).date() < day


@given(
    st.sampled_from(ODD_ZONES),
    st.datetimes(datetime(1971, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(hours=1), timedelta(days=800)),
    st.data(),
)
def test_pieces_have_the_zones_offset_everywhere(
    name: str, since: datetime, length: timedelta, data: st.DataObject
) -> None:
    zone, until = zone_of(name), since + length
    cut = pieces(zone, since, until)
    assert cut[0].start == since
    assert all(one.start < other.start < until for one, other in pairwise(cut))
    for one, other in pairwise(cut):
        assert offset_s(zone, other.start - timedelta(seconds=1)) == one.offset_s
        assert offset_s(zone, other.start) == other.offset_s
    moment = data.draw(st.datetimes(
        since.replace(tzinfo=None), until.replace(tzinfo=None), timezones=st.just(UTC)
    ))  # fmt: skip
    there = [piece.offset_s for piece in cut if piece.start <= moment]
    if moment < until:
        assert there[-1] == offset_s(zone, moment)


def test_the_repeated_hour_has_two_names() -> None:
    zone = zone_of("America/New_York")
    labels = [hour_label(zone, datetime(2026, 11, 1, hour, tzinfo=UTC)) for hour in (4, 5, 6, 7)]
    assert labels == [
        "2026-11-01T00:00-04:00", "2026-11-01T01:00-04:00",
        "2026-11-01T01:00-05:00", "2026-11-01T02:00-05:00",
    ]  # fmt: skip


def test_an_hour_cut_by_half_an_hour_of_change_is_named_by_the_change() -> None:
    zone = zone_of("Australia/Lord_Howe")  # 2026-04-05 02:00+11:00 becomes 01:30+10:30
    label = hour_label(zone, datetime(2026, 4, 4, 14, 30, tzinfo=UTC))
    assert label == "2026-04-05T01:30+10:30"
