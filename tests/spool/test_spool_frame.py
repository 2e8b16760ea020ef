from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import encode_frame
from tollbook.spool import frame as framing
from tollbook.spool.frame import SegmentHeader, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.call import CallClosed, Frame
    from tollbook.spool import Framed

SEED = framing.seed_of("w1")
HEADER = SegmentHeader("w1", 3, "gw-eu-1", "0.1.0", 1_800_000_000_000_000_000)


def sealed(frame: Frame) -> bytes:
    return framing.seal(encode_frame(frame), SEED)


def decoded(data: bytes, start: int = 0) -> tuple[list[Framed], framing.Decoded]:
    out: list[Framed] = []
    return out, framing.decode_frames(data, 7, 100, SEED, out, start=start)


def test_a_frame_is_length_checksum_payload(frame: Callable[..., CallClosed]) -> None:
    payload = encode_frame(frame(1))
    expected = len(payload).to_bytes(4, "little")
    expected += zlib.crc32(payload, zlib.crc32(b"w1")).to_bytes(4, "little")
    assert framing.seal(payload, SEED) == expected + payload


def test_frames_come_back_with_segment_and_offset(frame: Callable[..., CallClosed]) -> None:
    first, second = sealed(frame(1)), sealed(frame(2, 300))
    out, end = decoded(b"\xff" * 5 + first + second, start=5)
    assert out == [(frame(1), 7, 105), (frame(2, 300), 7, 105 + len(first))]
    assert end == (5 + len(first) + len(second), None, framing.PREFIX_BYTES)


def test_every_cut_is_incomplete_at_the_last_frame(frame: Callable[..., CallClosed]) -> None:
    first, second = sealed(frame(1)), sealed(frame(2))
    for cut in range(1, len(second)):
        out, end = decoded((first + second)[: len(first) + cut])
        assert [number.closed_at_ns for number, _, _ in out] == [1]  # type: ignore[union-attr]
        assert (end.end, end.stop) == (len(first), Stop.INCOMPLETE)
        assert end.needed_bytes in {framing.PREFIX_BYTES, len(second)}


def test_zeros_are_no_frames() -> None:
    out, end = decoded(bytes(64))
    assert not out
    assert end.stop is Stop.BAD_LENGTH
    assert framing.find_frame(bytes(64), SEED) is None


def test_a_frame_of_another_writer_is_refused(frame: Callable[..., CallClosed]) -> None:
    foreign = framing.seal(encode_frame(frame(1)), framing.seed_of("w2"))
    assert decoded(foreign)[1].stop is Stop.BAD_CHECKSUM
    assert framing.find_frame(foreign, SEED) is None


def test_a_frame_of_a_later_version_is_told_from_damage() -> None:
    unknown = framing.seal(msgspec.msgpack.encode([99, "what comes later"]), SEED)
    assert decoded(unknown)[1].stop is Stop.UNKNOWN


@given(junk=st.binary(max_size=80), number=st.integers(0, 1000), rest=st.binary(max_size=20))
def test_the_first_whole_frame_is_found_after_any_junk(
    frame: Callable[..., CallClosed], junk: bytes, number: int, rest: bytes
) -> None:
    data = junk + sealed(frame(number)) + rest
    assert framing.find_frame(data, SEED) == len(junk)


def test_every_kind_of_frame_is_found() -> None:
    from tollbook.call import CallOpened, FramesLost, Identity, Metering  # noqa: PLC0415 -- here only

    opened = CallOpened(
        bytes(16), 1, Identity(), "openai", "openai", "chat", Metering.METERED, "POST", "/v1"
    )
    for each in (opened, FramesLost(1, 2, 3)):
        assert framing.find_frame(b"junk" + sealed(each), SEED) == 4


def test_header_round_trip_leaves_the_rest_alone() -> None:
    data = framing.encode_header(HEADER)
    assert framing.decode_header(data + b"frames", "w1", 3) == (HEADER, len(data))


def test_every_cut_of_a_header_is_incomplete() -> None:
    data = framing.encode_header(HEADER)
    for cut in range(len(data)):
        assert framing.decode_header(data[:cut], "w1", 3) is Stop.INCOMPLETE


def test_every_flipped_bit_of_a_header_is_noticed() -> None:
    data = framing.encode_header(HEADER)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found = framing.decode_header(bytes(flipped), "w1", 3)
        assert isinstance(found, str) or found is Stop.INCOMPLETE


def test_a_header_in_the_wrong_place_is_refused() -> None:
    data = framing.encode_header(HEADER)
    assert "renamed" in str(framing.decode_header(data, "w1", 4))
    assert "another writer" in str(framing.decode_header(data, "w2", 3))


def test_a_header_of_a_later_version_says_so() -> None:
    data = framing.MAGIC + framing.seal(msgspec.msgpack.encode({"new": 1}), SEED)
    assert "upgrade" in str(framing.decode_header(data, "w1", 3))


@pytest.mark.parametrize("size", [10, 5000])
def test_random_bytes_are_never_a_frame(size: int) -> None:
    for _ in range(20):
        data = os.urandom(size)
        assert not decoded(data)[0]
        assert framing.find_frame(data, SEED) is None
