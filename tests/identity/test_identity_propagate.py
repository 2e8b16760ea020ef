"""What leaves for the provider, and the trace of a call."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.identity import claims_from_headers, reaches_provider, trace_context

TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"b7ad6b7169203331"


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"content-type",
        b"openai-organization",
        b"anthropic-version",
        b"anthropic-beta",
        b"x-stainless-retry-count",
        b"idempotency-key",
        b"cf-ray",
        b"user-agent",
    ],
)
def test_what_the_provider_needs_reaches_it(name: bytes) -> None:
    assert reaches_provider(name)


@pytest.mark.parametrize(
    "name",
    [
        b"baggage",
        b"traceparent",
        b"tracestate",
        b"x-tollbook-tenant",
        b"x-portkey-api-key",
        b"helicone-auth",
        b"x-litellm-tags",
    ],
)
def test_identity_does_not(name: bytes) -> None:
    assert not reaches_provider(name)


_prefixes = st.sampled_from(
    [b"x-tollbook-", b"x-portkey-", b"helicone-", b"x-litellm-", b"baggage", b"x-", b"metadata"]
)
_names = st.tuples(_prefixes, st.from_regex(rb"[a-z-]{0,20}", fullmatch=True)).map(b"".join)


@settings(deadline=None)
@given(_names, st.sampled_from([b"tenant.id=leak", b'{"tenant":"leak"}', b"tenant:leak"]))
def test_no_header_that_names_an_owner_reaches_the_provider(name: bytes, value: bytes) -> None:
    if any(claims.fields or claims.tags for claims in claims_from_headers([(name, value)])):
        assert not reaches_provider(name)


def test_a_trace_parent_is_read() -> None:
    header = (b"traceparent", b"00-" + TRACE + b"-" + PARENT + b"-01")
    assert trace_context([header]) == (TRACE.decode(), PARENT.decode())


def test_a_later_version_may_have_more() -> None:
    header = (b"traceparent", b"01-" + TRACE + b"-" + PARENT + b"-01-more")
    assert trace_context([header]) == (TRACE.decode(), PARENT.decode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00-" + TRACE + b"-" + PARENT,
        b"00-" + TRACE.upper() + b"-" + PARENT + b"-01",
        b"00-" + b"0" * 32 + b"-" + PARENT + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"ff-" + TRACE + b"-" + PARENT + b"-01",
        b"00-" + TRACE + b"-" + PARENT + b"-01-more",
        b"01-" + TRACE + b"-" + PARENT + b"-01more",
    ],
)
def test_a_wrong_trace_parent_is_none(value: bytes) -> None:
    assert trace_context([(b"traceparent", value)]) == (None, None)


def test_two_trace_parents_are_none() -> None:
    header = (b"traceparent", b"00-" + TRACE + b"-" + PARENT + b"-01")
    assert trace_context([header, header]) == (None, None)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_no_trace_parent_raises(value: bytes) -> None:
    trace, parent = trace_context([(b"traceparent", value)])
    assert (trace is None) == (parent is None)
