from __future__ import annotations

import subprocess
import sys
import uuid
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook import clock, ids

NS_MAX = 2**48 * 10**6 - 1  # 48 bits of milliseconds


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=NS_MAX))
def test_layout_is_that_of_rfc_9562_version_7(unix_ns: int) -> None:
    made = ids.new_id(unix_ns)
    parsed = uuid.UUID(bytes=made)
    assert len(made) == 16
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert int.from_bytes(made[:6], "big") == unix_ns // 1_000_000


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=NS_MAX // 10**6), min_size=2, unique=True))
def test_bytes_sort_as_time_does(milliseconds: list[int]) -> None:
    made = [ids.new_id(at * 10**6) for at in sorted(milliseconds)]
    assert made == sorted(made)


def test_the_present_is_the_default() -> None:
    before = clock.unix_ns() // 10**6
    made = int.from_bytes(ids.new_id()[:6], "big")
    assert before <= made <= clock.unix_ns() // 10**6


def test_ids_of_one_millisecond_are_unique_across_pool_refills() -> None:
    made = {ids.new_id(0) for _ in range(20_000)}
    assert len(made) == 20_000


def test_every_random_bit_is_used() -> None:
    seen_ones, seen_zeros = 0, 0
    for _ in range(2000):
        value = int.from_bytes(ids.new_id(0), "big")
        seen_ones |= value
        seen_zeros |= ~value
    random_bits = (0xFFF << 64) | 0x3FFFFFFFFFFFFFFF
    assert seen_ones & random_bits == random_bits
    assert seen_zeros & random_bits == random_bits


FORK = """
import os, sys
from tollbook import ids
ids.new_id(0)  # the pool is filled before the fork
read_end, write_end = os.pipe()
if os.fork() == 0:
    os.write(write_end, b"".join(ids.new_id(0) for _ in range(100)))
    os._exit(0)
os.wait()
sys.stdout.buffer.write(os.read(read_end, 1600) + b"".join(ids.new_id(0) for _ in range(100)))
"""


def test_a_forked_process_does_not_repeat_its_parent() -> None:
    # In a process of its own: the test runner has threads, which a fork must not have.
    data = subprocess.run([sys.executable, "-c", FORK], check=True, capture_output=True).stdout
    assert len(data) == 200 * 16
    assert len({data[at : at + 16] for at in range(0, len(data), 16)}) == 200


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=16))
def test_text_and_back_is_the_same_id(raw: bytes) -> None:
    assert ids.from_text(ids.to_text(raw)) == raw
    assert len(ids.to_text(raw)) == 36


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        ids.from_text("call-7")


def test_a_run_of_ids_is_ordered_by_millisecond() -> None:
    made = [ids.new_id() for _ in range(1000)]
    assert all(a[:6] <= b[:6] for a, b in pairwise(made))


@pytest.mark.parametrize("unix_ns", [0, 999_999, 1_000_000])
def test_time_is_cut_to_whole_milliseconds(unix_ns: int) -> None:
    assert int.from_bytes(ids.new_id(unix_ns)[:6], "big") == unix_ns // 1_000_000
