from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollbook.spool.backlog import Backlog


def notice(frames: int, first_lost_at_ns: int) -> bytes:
    return b"<%d lost>" % frames


STEP = st.tuples(
    st.lists(st.integers(1, 40), max_size=6),  # frames that come
    st.integers(1, 120),  # room in the segment
    st.integers(0, 120),  # what the disk takes
)


@given(steps=st.lists(STEP, max_size=30), limit=st.integers(20, 200))
def test_what_is_taken_is_whole_frames_in_order_and_told_losses(
    steps: list[tuple[list[int], int, int]], limit: int
) -> None:
    backlog = Backlog(limit, notice)
    number, taken, dropped = 0, b"", 0
    sizes = {}
    for frames, room, written in [*steps, ([], 10**6, 10**6)]:
        new = []
        for size in frames:
            new.append(b"<%d%s>" % (number, b"." * size))
            sizes[number] = size
            number += 1
        backlog.add(new)
        dropped += backlog.trim(1)
        assert backlog.size_bytes <= limit
        while True:
            data = backlog.peek(room)
            part = data[:written]
            backlog.wrote(len(part))
            taken += part
            if len(part) < len(data) or not data:
                break
    assert backlog.is_empty
    assert (backlog.size_bytes, len(backlog), backlog.lost) == (0, 0, 0)
    parts = [part.rstrip(b">") for part in taken.split(b"<")[1:]]
    assert b"".join(b"<" + part + b">" for part in parts) == taken
    told, at = 0, 0
    for part in parts:
        if part.endswith(b" lost"):
            told += int(part[:-5])
            at += int(part[:-5])
        else:
            digits = part.rstrip(b".")
            assert int(digits) == at  # a loss notice stands where the lost frames would
            assert len(part) - len(digits) == sizes[at]
            at += 1
    assert told == dropped
    assert at == number
