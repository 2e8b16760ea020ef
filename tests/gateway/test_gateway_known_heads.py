"""A head that is known is taken off whole requests, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Identity
from tollbook.capture.gateway.admission import Admitted, Owner
from tollbook.capture.gateway.known_heads import KnownHead, KnownHeads

if TYPE_CHECKING:
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.dialects.base import Route

HEAD = b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: y\r\n\r\n"
OWNER = Owner((), Identity(), None, None, 1)
ADMITTED = Admitted(
    cast("Upstream", None), cast("Route", None), b"", b"", None, [], [], None, None, OWNER
)
KNOWN = KnownHead("POST", [(b"host", b"a")], None, ADMITTED)


def taught(head: bytes = HEAD % 2) -> KnownHeads:
    known = KnownHeads(1000)
    assert known.take(head + b"{}") is None
    known.remember(KNOWN)
    return known


@given(body=st.binary(max_size=1000), rest=st.binary(max_size=50))
def test_a_known_head_is_taken_with_any_body(body: bytes, rest: bytes) -> None:
    taken = taught().take(HEAD % len(body) + body + rest)

    assert taken is not None
    assert (taken.head, taken.body, taken.rest) == (KNOWN, body, rest)
    assert taken.framing.content_length == len(body)
    assert not taken.framing.is_chunked


@given(at=st.integers(0, len(HEAD % 2) - 1), byte=st.integers(0, 255))
def test_any_other_byte_takes_the_long_way(at: int, byte: int) -> None:
    changed = bytearray(HEAD % 2 + b"{}")
    was, changed[at] = changed[at], byte
    taken = taught().take(bytes(changed))

    if was == byte:
        assert taken is not None
    elif taken is not None:
        # Only another length of a body that is there leaves the head what it was.
        assert bytes([was, byte]).isdigit()
        assert taken.framing.content_length == byte - ord("0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        HEAD % 2 + b"{",  # not whole
        HEAD % 1001 + b"x" * 1001,  # over the limit
        (HEAD % 2).replace(b"2", b"+2") + b"{}",
        (HEAD % 2).replace(b"2", b"0x2") + b"{}",
        (HEAD % 2).replace(b"2", b"2 ") + b"{}",
        (HEAD % 2).replace(b"2", b"") + b"{}",
        (HEAD % 2).replace(b"2", b"1" * 16) + b"{}",
        (HEAD % 2).replace(b"2", "²".encode()) + b"{}",
        (HEAD % 2).replace(b"X: y", b"Content-Length: 2") + b"{}",
        (HEAD % 2).replace(b"X: y", b"Transfer-Encoding: chunked") + b"{}",
        (HEAD % 2).replace(b"X: y", b"X: y\r\n z") + b"{}",
        (HEAD % 2).replace(b"\r\n", b"\n") + b"{}",
        b" " + HEAD % 2 + b"{}",
    ],
)
def test_what_differs_or_is_not_whole_goes_to_the_parser(data: bytes) -> None:
    assert taught().take(data) is None


def test_a_length_in_another_header_is_not_the_length() -> None:
    sly = b"POST /a HTTP/1.1\r\nX: \tContent-Length: 5\r\nContent-Length: %d\r\n\r\n"
    known = taught(sly % 2)

    taken = known.take(sly % 3 + b"abc" + b"GET /smuggled HTTP/1.1\r\n\r\n")

    assert taken is not None
    assert (taken.body, taken.rest) == (b"abc", b"GET /smuggled HTTP/1.1\r\n\r\n")


def test_only_what_was_missed_last_is_remembered() -> None:
    known = KnownHeads(1000)
    known.remember(KNOWN)
    assert known.take(HEAD % 2 + b"{}") is None
    known.forget_missed()
    known.remember(KNOWN)

    assert known.take(HEAD % 2 + b"{}") is None


def test_all_is_forgotten_when_keys_may_have_changed() -> None:
    known: Any = taught()
    known.forget()

    assert known.take(HEAD % 2 + b"{}") is None


TRACED = b"POST /a HTTP/1.1\r\n%b\r\nHost: a\r\n%b\r\n\r\n"
TRACE = b"traceparent: 00-%032x-%016x-01"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_trace_is_each_request_s_own(*, is_first: bool) -> None:
    def head(length: int, trace: bytes) -> bytes:
        lines = (b"Content-Length: %d" % length, trace)
        return TRACED % (lines if is_first else lines[::-1])

    known = taught(head(2, TRACE % (1, 2)))
    taken = known.take(head(3, TRACE % (0xABC, 0xD)) + b"abc")

    assert taken is not None
    assert taken.body == b"abc"
    owner = taken.admitted.owner
    assert owner is not None
    assert (owner.trace_id, owner.parent_span_id) == (f"{0xABC:032x}", f"{0xD:016x}")
    assert ADMITTED.owner == OWNER, "what is remembered is not changed"


@pytest.mark.parametrize(
    "trace",
    [
        b"traceparent: ",
        b"traceparent: 00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01",
        TRACE % (1, 2) + b"-more",
        (TRACE % (1, 2)).upper(),
        b"traceparent: " + b"x" * 55,
    ],
)
def test_a_trace_that_is_none_takes_the_long_way(trace: bytes) -> None:
    known = taught(TRACED % (b"Content-Length: 2", TRACE % (1, 2)))

    assert known.take(TRACED % (b"Content-Length: 2", trace) + b"{}") is None
