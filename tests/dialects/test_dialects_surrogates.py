"""Half pairs are mended for reading only, and nothing else is touched."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.registry import dialect_named
from tollbook.dialects.surrogates import without_lone_surrogates

HALVES = st.text(
    st.one_of(
        st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), st.sampled_from('\\"ud8😀')
    )
)


@given(HALVES)
def test_a_strict_reader_reads_what_was_mended_as_a_lenient_one_does(text: str) -> None:
    raw = json.dumps({"a": text, "b": 1}).encode()
    mended = without_lone_surrogates(raw)
    whole = json.loads(raw)["a"]
    if mended is None:
        assert msgspec.json.decode(raw) == {"a": whole, "b": 1}
        return
    assert len(mended) == len(raw)
    expected = "".join("\ufffd" if 0xD800 <= ord(char) <= 0xDFFF else char for char in whole)
    assert msgspec.json.decode(mended) == {"a": expected, "b": 1}


@pytest.mark.parametrize("raw", [b'{"a":"\\\\ud83d"}', b'{"a":"\\ud83d\\ude00"}', b'{"a":"x"}'])
def test_text_that_only_looks_like_it_is_left_alone(raw: bytes) -> None:
    assert without_lone_surrogates(raw) is None


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_request_with_half_a_pair_is_read_and_forwarded_as_it_came(name: str) -> None:
    dialect = dialect_named(name)
    body = (
        b'{"model":"m","stream":true,"metadata":{"tenant_id":"acme"},'
        b'"messages":[{"role":"user","content":"cut \\ud83d"}]}'
    )
    route = dialect.route("POST", "/v1/messages" if name == "anthropic" else "/v1/chat/completions")
    facts = dialect.read_request(route, body, inject_stream_usage=True, user_is="user")
    assert (facts.model, facts.is_stream) == ("m", True)
    assert facts.claims[0].fields == {"tenant_id": "acme"}
    assert b'"cut \\ud83d"' in facts.body
