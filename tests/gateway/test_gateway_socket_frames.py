"""Frames of a WebSocket, read while they pass: never raises, never loses a message it can read."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.socket_kit import down, frame

from tollbook.capture.gateway.socket_frames import FrameReader, close_frame, unmasked

MAX = 1000
payloads = st.one_of(st.binary(max_size=60), st.sampled_from([b"x" * 125, b"y" * 126, b"z" * 900]))


def fed(reader: FrameReader, data: bytes, cuts: list[int]) -> list[bytes]:
    found: list[bytes] = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        found += reader.feed(data[start:end])
    return found


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[bytes], bool]:
    """Whole messages in any number of fragments with control frames anywhere between."""
    is_masked = draw(st.booleans())
    wire, texts = b"", []
    for text in draw(st.lists(payloads, max_size=5)):
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        for at, part in enumerate(parts):
            if draw(st.booleans()):
                control = draw(st.sampled_from([0x9, 0xA]))
                wire += frame(b"ping", control, is_masked=is_masked)
            opcode = 0 if at else draw(st.sampled_from([1, 2]))
            is_last = at == len(parts) - 1
            wire += frame(part, opcode, is_final=is_last, is_masked=is_masked)
        texts.append(text)
    return wire, texts, is_masked


@given(messages(), st.lists(st.integers(0, 10_000), max_size=8))
def test_messages_come_whole_however_they_are_cut(
    sent: tuple[bytes, list[bytes], bool], cuts: list[int]
) -> None:
    wire, texts, is_masked = sent
    reader = FrameReader(is_masked=is_masked, max_message_bytes=MAX)
    assert fed(reader, wire, cuts) == texts
    assert reader.is_readable
    assert reader.is_between_frames
    assert reader.too_large == 0


@given(is_masked=st.booleans(), reads=st.lists(st.binary(max_size=40), max_size=12))
def test_no_bytes_raise_or_are_kept_beyond_the_bound(
    *, is_masked: bool, reads: list[bytes]
) -> None:
    reader = FrameReader(is_masked=is_masked, max_message_bytes=16)
    for data in reads:
        for message in reader.feed(data):
            assert len(message) <= 16


def test_a_message_over_the_bound_is_left_out_and_counted() -> None:
    reader = FrameReader(is_masked=False, max_message_bytes=10)
    wire = (
        down(b"12345678", is_final=False) + down(b"123", opcode=0)  # too large in its second frame
        + down(b"after") + down(b"x" * 11) + down(b"last")
    )  # fmt: skip
    assert reader.feed(wire) == [b"after", b"last"]
    assert reader.too_large == 2


def test_what_is_no_plain_websocket_ends_the_reading() -> None:
    for wire in (
        down(b"x", rsv=0x40),  # compressed: an extension that was never offered
        down(b"x", opcode=0x3),
        down(b"x", opcode=0),  # continues nothing
        down(b"x", is_final=False) + down(b"y"),  # begins before the end
        down(b"x", opcode=0x9, is_final=False),  # a control frame in parts
        down(b"x" * 126, opcode=0x9),
        frame(b"x"),  # a provider that masks
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ):
        reader = FrameReader(is_masked=False, max_message_bytes=MAX)
        assert reader.feed(b"" + wire) == []
        assert not reader.is_readable
        assert not reader.is_between_frames
        assert reader.feed(down(b"later")) == []


def test_a_close_frame_is_noticed_in_the_middle_of_a_message() -> None:
    reader = FrameReader(is_masked=True, max_message_bytes=MAX)
    reader.feed(frame(b"half", is_final=False) + close_frame(1001, "bye", is_masked=True))
    assert reader.has_closed
    assert not reader.is_between_frames


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_unmasking_is_its_own_inverse(data: bytes, mask: bytes) -> None:
    assert unmasked(unmasked(data, mask), mask) == data
    assert unmasked(data, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
