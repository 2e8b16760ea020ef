"""Splitting a stream into events gives the same events and bytes at any chunking."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.dialects.sse import EventSplitter, Fragment, comment_lines, event_data

if TYPE_CHECKING:
    from collections.abc import Iterable


def split(data: bytes, cuts: Iterable[int] = (), limit: int = 1 << 20) -> list[bytes]:
    splitter = EventSplitter(limit)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    events: list[bytes] = []
    for start, end in pairwise(edges):
        events += splitter.push(data[start:end])
    return [*events, splitter.rest()]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    data = b"event: a" + end + b"data: 1" + end + end + b"data: 2" + end + end + b"data: 3"
    first, second, rest = split(data)
    assert first + second + rest == data
    assert [event_data(event) for event in (first, second, rest)] == [b"1", b"2", b"3"]


def test_mixed_line_ends() -> None:
    assert (
        split(b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r")
        == [
            b"data: 1\r\n\n",
            b"data: 2\n\r\n",
            b"data: 3\r\r",
        ]
        or split(b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\rx")[2] == b"data: 3\r\r"
    )


def test_several_data_lines_are_joined_and_comments_left_out() -> None:
    event = b": hello\nid: 4\ndata: a\ndata:b\ndata\n\n"
    assert event_data(event) == b"a\nb\n"
    assert comment_lines(event) == b": hello\n"


_stream = st.lists(
    st.sampled_from(
        [b"data: ", b"x", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b":", b"event: e"]
    )
).map(b"".join)
_cuts = st.lists(st.integers(min_value=0, max_value=200), max_size=20)


@settings(deadline=None)
@given(_stream, _cuts)
def test_any_chunking_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    events = split(data, cuts)
    assert b"".join(events) == data
    assert events == split(data)
    assert events == split(data, range(len(data)))


@settings(deadline=None)
@given(_stream, _cuts, st.integers(min_value=1, max_value=12))
def test_long_events_pass_in_pieces_and_no_byte_is_lost(
    data: bytes, cuts: list[int], limit: int
) -> None:
    assert b"".join(split(data, cuts, limit)) == data


def test_memory_is_bounded_and_reading_goes_on_after_a_long_event() -> None:
    splitter = EventSplitter(1000)
    out = splitter.push(b"data: ")
    for _ in range(100):
        out += splitter.push(b"y" * 99)
        assert len(splitter._tail) <= 1000
    out += splitter.push(b"\n\ndata: next\n\n")
    assert all(type(event) is Fragment for event in out[:-1])
    assert out[-1] == b"data: next\n\n"
    assert type(out[-1]) is bytes
