"""What servers send that no documentation has, and what becomes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.anthropic_plain import service_tier_of
from tollbook.dialects.registry import dialect_named
from tollbook.spool.frame import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 50, "completion_tokens": 100, "total_tokens": 150}
ANSWER = {"id": "c", "model": "m", "choices": [{"message": {"content": "y" * 40}}], "usage": USAGE}
STREAM = b"".join(
    b"data: " + json.dumps(one).encode() + b"\n\n"
    for one in (
        {"id": "c", "model": "m", "choices": [{"delta": {"content": "a"}}]},
        {"id": "c", "model": "m", "choices": [], "usage": USAGE},
    )
)


def metered(
    body: bytes, *, mime: bytes = b"application/json", stream: bool = False, size: int = 7
) -> tuple[Metered, bytes]:
    """Return what a meter saw of an answer, and what the client got."""
    dialect = dialect_named("openai")
    route = dialect.route("POST", CHAT)
    asked = json.dumps({"model": "m", "stream": stream, "messages": []}).encode()
    facts = dialect.read_request(route, asked, inject_stream_usage=True, user_is="user")
    meter = dialect.meter(route, facts, 200, {b"content-type": mime})
    shown = b"".join(meter.feed(body[at : at + size]) for at in range(0, len(body), size))
    shown += meter.flush()
    return meter.result(), shown


def measured(usage: Any, *, chars: int = 40, operation: str = "chat") -> Any:
    """Return what the ledger makes of a usage object."""
    opened = CallOpened(
        bytes(16), 0, Identity(), "p", "openai", operation, Metering.METERED, "POST", CHAT,
        input_chars=80,
    )  # fmt: skip
    closed = CallClosed(
        bytes(16), 0, Status.OK, usage=(json.dumps(usage).encode(),), usage_complete=True,
        output_chars=chars,
    )  # fmt: skip
    return dialect_named("openai").measure(Call(opened, closed, Evidence("w", 1, 0, "v")))


@pytest.mark.parametrize("mime", [b"application/json", b"", b"text/plain", b"text/event-stream"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_known_by_its_first_byte_and_hides_usage_all_the_same(
    mime: bytes, size: int
) -> None:
    seen, shown = metered(STREAM, mime=mime, stream=True, size=size)
    assert json.loads(seen.usage[0]) == USAGE
    assert seen.usage_complete
    assert shown == STREAM.partition(b"\n\n")[0] + b"\n\n"


@pytest.mark.parametrize("mime", [b"application/json", b"text/event-stream"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_a_document_is_known_too(mime: bytes, indent: int | None, mark: bytes) -> None:
    body = mark + json.dumps(ANSWER, indent=indent).encode()
    seen, shown = metered(body, mime=mime, stream=True)
    assert json.loads(seen.usage[0]) == USAGE
    assert (seen.model_actual, seen.usage_complete) == ("m", True)
    assert shown == body


@given(st.lists(st.dictionaries(st.sampled_from(["id", "model", "pad"]), st.text(), max_size=3)))
def test_whatever_names_a_stream_bears_they_stay_short_and_printable(chunks: list[Any]) -> None:
    long = [{"id": "i" * 9999, "model": "m" * 9999, "usage": {"pad": "p" * 40_000}}] * 40
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in [*chunks, *long])
    seen, _ = metered(body, mime=b"text/event-stream", size=65_536)
    for text in (seen.model_actual, seen.provider_response_id):
        assert text is None or (len(text) <= 256 and text.isprintable())
    assert sum(map(len, seen.usage)) < MAX_FRAME_BYTES - 65_536


@pytest.mark.parametrize(
    ("usage", "given", "output", "source"),
    [
        ({"prompt_tokens": 50, "total_tokens": 150}, 50, 100, "reported"),
        ({"completion_tokens": 100, "total_tokens": 150}, 50, 100, "reported"),
        ({"prompt_tokens": 50}, 50, 10, "estimated"),
        ({"completion_tokens": 100}, 20, 100, "estimated"),
        ({"prompt_tokens": -1, "completion_tokens": 100}, 20, 100, "estimated"),
        ({"prompt_tokens": 50, "completion_tokens": 2**63}, 50, 10, "estimated"),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 0, 0, "reported"),
        ({"prompt_tokens": 0, "input_tokens": 50, "output_tokens": 100}, 50, 100, "reported"),
    ],
)
def test_a_count_that_is_missing_is_estimated_and_one_that_is_there_is_kept(
    usage: Any, given: int, output: int, source: str
) -> None:
    seen = measured(usage)
    assert (seen.kinds.input_tokens, seen.kinds.output_tokens) == (given, output)
    assert seen.source == source
    assert source == "reported" or "has no count of the" in seen.problems[-1]


def test_embeddings_have_no_output_to_miss() -> None:
    seen = measured({"prompt_tokens": 8}, chars=0, operation="embeddings")
    assert (seen.source, seen.kinds.input_tokens, seen.kinds.output_tokens) == ("reported", 8, 0)


@pytest.mark.parametrize("given", [50, 2000])
def test_a_cache_that_the_total_counts_beside_the_input_is_no_output(given: int) -> None:
    seen = measured({
        "prompt_tokens": given, "completion_tokens": 100, "total_tokens": given + 1300,
        "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200,
    })  # fmt: skip
    assert seen.kinds[:4] == (given, 1000, 200, 0)
    assert seen.kinds.output_tokens == 100


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        (b'{"service_tier":"standard","speed":"fast"}', "fast"),
        (b'{"service_tier":"priority","speed":"standard"}', "priority"),
        (b'{"service_tier":"standard","speed":null}', "standard"),
        (b'{"service_tier":7}', None),
    ],
)
def test_fast_mode_is_a_tier_of_its_own(usage: bytes, tier: str | None) -> None:
    assert service_tier_of(usage) == tier


@pytest.mark.parametrize("path", ["/v1/chat/completion%73", "/v1/%63hat/completions/", CHAT])
def test_no_spelling_of_a_path_goes_unmetered(path: str) -> None:
    assert dialect_named("openai").route("POST", path).metering is Metering.METERED


def test_the_last_response_of_a_responses_stream_may_hold_anything() -> None:
    dialect = dialect_named("openai")
    route = dialect.route("POST", "/v1/responses")
    facts = dialect.read_request(
        route, b'{"stream":true}', inject_stream_usage=True, user_is="user"
    )
    for kind in ("completed", "incomplete", "failed", "cancelled", "done"):
        meter = dialect.meter(route, facts, 200, {b"content-type": b"text/event-stream"})
        event = {"type": f"response.{kind}", "code": 7, "response": {"id": "r", "usage": USAGE}}
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        assert meter.result().usage_complete, kind
        assert meter.result().stream_ended, kind
