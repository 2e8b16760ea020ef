from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.reports import dimensions, measures, params
from tollbook.reports.errors import QueryError
from tollbook.reports.query import ROWS_MAX, Filter, SpendQuery
from tollbook.reports.zone import zone_of

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2000, 2100))
MOMENTS = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
TAGS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
TAG_DIMENSIONS = TAGS.map(lambda name: f"tag:{name}").filter(dimensions.is_tag)
FILTERABLE = st.one_of(
    st.sampled_from([*dimensions.COLUMNS, "model"]),
    TAG_DIMENSIONS.filter(lambda name: "=" not in name and not name.endswith("!")),
)
VALUES = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
)
FILTERS = st.builds(
    Filter, FILTERABLE, st.lists(VALUES, min_size=1, max_size=4).map(tuple), st.booleans()
)


@st.composite
def queries(draw: st.DrawFn) -> SpendQuery:
    since = draw(MOMENTS)
    names = st.one_of(st.sampled_from([*dimensions.COLUMNS, *dimensions.TIMES]), TAG_DIMENSIONS)
    by = draw(st.lists(names, max_size=4, unique=True))
    shown = draw(st.lists(st.sampled_from(measures.NAMES), min_size=1, max_size=6, unique=True))
    order = draw(st.lists(st.sampled_from([*by, *shown]), max_size=3, unique=True))
    return SpendQuery(
        since=since,
        until=since + draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=900))),
        tz=draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"])),
        by=tuple(by),
        where=tuple(draw(st.lists(FILTERS, max_size=4))),
        measures=tuple(shown),
        order=tuple(f"-{name}" if draw(st.booleans()) else name for name in order),
        limit=draw(st.integers(1, ROWS_MAX)),
        booked_before=draw(st.none() | MOMENTS),
        billing_period=draw(st.none() | st.sampled_from(["2026-10", "1999-12"])),
    )


@given(queries())
def test_a_query_survives_json_url_and_options(query: SpendQuery) -> None:
    assert msgspec.json.decode(msgspec.json.encode(query), type=SpendQuery) == query
    assert params.from_pairs(params.to_pairs(query), NOW) == query
    url = parse_qsl(params.to_url(query), keep_blank_values=True, strict_parsing=True)
    assert params.from_pairs(url, NOW) == query
    options = params.to_options(query)
    pairs = [
        (name.removeprefix("--").replace("-", "_"), text)
        for name, text in zip(options[::2], options[1::2], strict=True)
    ]
    assert params.from_pairs(pairs, NOW) == query


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_query_error(text: str) -> None:
    try:
        item = params.parse_filter(text)
    except QueryError:
        return
    assert params.parse_filter(params.format_filter(item)) == item


def test_equal_questions_are_equal() -> None:
    until = NOW + timedelta(days=1)
    one = SpendQuery(
        since=NOW, until=until,
        where=(Filter("tenant", ("b",)), Filter("feature", ("x",)), Filter("tenant", ("a",))),
    )  # fmt: skip
    other = SpendQuery(
        since=NOW.astimezone(zone_of("Asia/Tokyo")), until=until,
        where=(Filter("feature", ("x",)), Filter("tenant", ("a", "b", "a"))),
    )  # fmt: skip
    assert one == other


def test_unknown_tenant_and_empty_value_mean_not_set() -> None:
    query = SpendQuery(
        since=NOW, until=NOW + timedelta(days=1),
        where=(Filter("tenant", ("unknown",)), Filter("feature", ("",))),
    )  # fmt: skip
    assert [item.values for item in query.where] == [(None,), (None,)]


@pytest.mark.parametrize(
    ("given_pairs", "problem"),
    [
        ([("by", "tennant")], "--by: there is no 'tennant'; did you mean tenant?"),
        ([("by", "tenant,tenant")], "--by: expected at most 24 names, each once"),
        ([("measures", "costs")], "--measures: there is no 'costs'; did you mean cost_usd?"),
        ([("order", "user")], "--order: there is no 'user'"),
        ([("tz", "Mars/Olympus")], "--tz: 'Mars/Olympus' is not an IANA time zone"),
        ([("tz", "../../etc/passwd")], "--tz: '../../etc/passwd' is not an IANA time zone"),
        ([("since", "soon")], "--since: 'soon' is not a time; expected a date"),
        ([("since", "2026-13-01")], "--since: '2026-13-01' is not a time"),
        ([("since", "1969-01-01")], "--since: '1969-01-01' is not a time"),
        ([("until", "2020-01-01")], "--until: 2020-01-01T00:00:00+00:00 is not after"),
        ([("period", "now")], "--period: 'now' is a moment"),
        ([("period", "month"), ("since", "7d")], "--period: give either a period or"),
        ([("limit", "0")], "--limit: 0 is not between 1 and 10000"),
        ([("limit", "many")], "--limit: 'many' is not a whole number"),
        ([("where", "tenant")], "--where: 'tenant' is not a filter"),
        ([("where", "month=2026-11")], "--where: there is no 'month'"),
        ([("where", "tenant=a\\")], "--where: 'tenant=a\\\\' ends in a single backslash"),
        ([("tz", "UTC"), ("tz", "UTC")], "--tz: is given twice"),
        ([("group", "tenant")], "query: there is no 'group'"),
        ([("by", 'tag:a"b')], "--by: there is no 'tag:a\"b'"),
    ],
)
def test_a_wrong_query_says_which_option_and_what_is_expected(
    given_pairs: list[tuple[str, str]], problem: str
) -> None:
    with pytest.raises(QueryError) as caught:
        params.from_pairs(given_pairs, NOW)
    assert problem in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "field", [{"since": "2026-11-01T00:00:00"}, {"by": "tenant"}, {"color": "red"}]
)
def test_json_is_validated(field: dict[str, Any]) -> None:
    body = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"} | field
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, SpendQuery)
