"""AWS event streams: whole, cut anywhere, damaged; the same messages as AWS's own reader finds."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.aws_kit import event, exception, message, text_header

from tollbook.dialects.aws_event_stream import AwsEvent, EventStreamReader, read_headers

if TYPE_CHECKING:
    from collections.abc import Iterable


STREAM = (
    event("messageStart", b'{"role":"assistant"}')
    + event("contentBlockDelta", '{"delta":{"text":"Grüße"}}'.encode())
    + event("metadata", b"")
    + exception("throttlingException")
)
EVENTS = [
    AwsEvent("event", "messageStart", b'{"role":"assistant"}'),
    AwsEvent("event", "contentBlockDelta", '{"delta":{"text":"Grüße"}}'.encode()),
    AwsEvent("event", "metadata", b""),
    AwsEvent("exception", "throttlingException", b'{"message":"m"}'),
]


def read(data: bytes, cuts: Iterable[int] = ()) -> tuple[list[AwsEvent], EventStreamReader]:
    reader = EventStreamReader()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = [each for start, end in pairwise(edges) for each in reader.push(data[start:end])]
    return found, reader


def test_messages_of_a_whole_stream() -> None:
    found, reader = read(STREAM)
    assert found == EVENTS
    assert (reader.damaged, reader.is_lost) == (0, False)


def test_a_stream_cut_at_every_byte_and_fed_byte_by_byte() -> None:
    assert read(STREAM, range(len(STREAM)))[0] == EVENTS
    for cut in range(len(STREAM)):
        assert read(STREAM, [cut])[0] == EVENTS
        begun, reader = read(STREAM[:cut])
        assert begun == EVENTS[: len(begun)]
        assert not reader.is_lost


def test_a_message_with_a_wrong_checksum_is_skipped() -> None:
    first = bytearray(event("chunk", b'{"bytes":"AAAA"}'))
    first[-6] ^= 1
    found, reader = read(bytes(first) + event("chunk", b"{}"), [3, 40])
    assert found == [AwsEvent("event", "chunk", b"{}")]
    assert (reader.damaged, reader.is_lost) == (1, False)


@pytest.mark.parametrize("at", range(12))
def test_a_wrong_prelude_ends_the_reading(at: int) -> None:
    data = bytearray(STREAM)
    start = len(event("messageStart", b'{"role":"assistant"}'))
    data[start + at] ^= 0xFF
    found, reader = read(bytes(data), [start + 5])
    assert found == EVENTS[:1]
    assert reader.is_lost
    assert reader.push(STREAM) == []


def test_lengths_that_contradict_each_other() -> None:
    for total, headers in ((15, 0), (16, 1), (0, 0), (2**32 - 1, 2**32 - 1)):
        prelude = struct.pack(">II", total, headers)
        found, reader = read(prelude + struct.pack(">I", crc32(prelude)) + bytes(30))
        assert found == []
        assert reader.is_lost


def test_a_message_that_is_too_long_passes_unread() -> None:
    long = event("chunk", b"x" * 500)
    for size in (1, 7, 100, 10_000):
        reader = EventStreamReader(max_message_bytes=300)
        data = event("a", b"1") + long + event("b", b"2")
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        found = [each.name for part in parts for each in reader.push(part)]
        assert found == ["a", "b"]
        assert reader.damaged == 1


def test_headers_of_every_type() -> None:
    def header(name: str, kind: int, value: bytes) -> bytes:
        return bytes([len(name)]) + name.encode() + bytes([kind]) + value

    raw = b"".join(
        (
            header("yes", 0, b""), header("no", 1, b""), header("byte", 2, b"\x01"),
            header("short", 3, b"\x00\x01"), header("int", 4, bytes(4)),
            header("long", 5, bytes(8)), header("bytes", 6, b"\x00\x02ab"),
            header("time", 8, bytes(8)), header("uuid", 9, bytes(16)),
            text_header(":event-type", "chunk"),
        )
    )  # fmt: skip
    assert read_headers(raw) == {":event-type": "chunk"}
    assert read_headers(text_header("a", "b") + header("odd", 77, b"")) == {"a": "b"}


_name = st.text(alphabet="abc:-", min_size=1, max_size=12)
_message = st.builds(
    lambda headers, payload: message(
        b"".join(text_header(name, value) for name, value in headers.items()), payload
    ),
    st.dictionaries(_name, st.text(max_size=12), max_size=4),
    st.binary(max_size=60),
)


@settings(deadline=None)
@given(st.lists(_message, max_size=6), st.lists(st.integers(0, 1000), max_size=12))
def test_the_same_messages_as_aws_reads(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(messages)
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    expected = [each.payload for each in theirs]
    found, reader = read(data, cuts)
    assert [each.payload for each in found] == expected
    assert not reader.is_lost


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_no_bytes_raise(data: bytes, cuts: list[int]) -> None:
    found, reader = read(data, cuts)
    assert found == []
    read_headers(data)
    assert reader.push(b"") == []


@settings(deadline=None)
@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255), st.lists(st.integers(0, 999)))
def test_a_flipped_byte_makes_no_other_message(at: int, flip: int, cuts: list[int]) -> None:
    data = bytearray(STREAM)
    data[at] ^= flip
    found, _ = read(bytes(data), cuts)
    assert all(each in EVENTS for each in found)
    assert len(found) < len(EVENTS)
