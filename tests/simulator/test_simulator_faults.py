"""Each fault behaves at the socket as its name says, and is billed as providers bill."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.simulator.faults import FAULT_KINDS, Fault, draw_fault, parse_fault
from tollbook.simulator.lab import Lab, raw_request
from tollbook.simulator.params import BadParamsError
from tollbook.simulator.provider.answers import RefusedError, Shape
from tollbook.simulator.provider.anthropic_api import AnthropicApi
from tollbook.simulator.provider.api import Incoming
from tollbook.simulator.provider.openai_api import OpenAiApi
from tollbook.simulator.provider.sizing import PromptCache, Size, parse_size, quantities_of

if TYPE_CHECKING:
    from tollbook.simulator.truth import Ended

CHAT = "/openai/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"
RESPONSES = "/openai/v1/responses"
MODELS = {CHAT: "gpt-4o", MESSAGES: "claude-haiku-4-5", RESPONSES: "gpt-4o"}
STREAMS = [CHAT, MESSAGES, RESPONSES]


def _body(path: str, *, stream: bool) -> bytes:
    body: dict[str, Any] = {"model": MODELS[path], "stream": stream}
    if path == RESPONSES:
        body["input"] = "x"
    else:
        body["messages"] = [{"role": "user", "content": "x"}]
    if path == MESSAGES:
        body["max_tokens"] = 1000
    if path == CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def _send(
    lab: Lab, path: str, fault: str, *, stream: bool, size: str = "input=100;output=40"
) -> tuple[bytes, str, Ended]:
    request_id = lab.new_id()
    headers = lab.headers(request_id, size=size, fault=fault)
    data, end = lab.exchange(raw_request(path, _body(path, stream=stream), headers))
    ended = lab.truth(request_id).ended
    assert ended is not None
    return data, end, ended


def _payload(data: bytes) -> bytes:
    """Return the body, out of its chunks."""
    head, _, rest = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return rest
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            break
    return body


@pytest.mark.parametrize(
    ("fault", "openai_error", "anthropic_error"),
    [
        ("bad_request", openai.BadRequestError, anthropic.BadRequestError),
        ("unauthorized", openai.AuthenticationError, anthropic.AuthenticationError),
        ("not_found", openai.NotFoundError, anthropic.NotFoundError),
        ("rate_limit;retry_after_ms=1500", openai.RateLimitError, anthropic.RateLimitError),
        ("server_error", openai.InternalServerError, anthropic.InternalServerError),
        ("overloaded", openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_errors_are_the_ones_the_sdks_know(
    lab: Lab,
    openai_client: openai.OpenAI,
    anthropic_client: anthropic.Anthropic,
    user_message: list[Any],
    fault: str,
    openai_error: type[openai.APIStatusError],
    anthropic_error: type[anthropic.APIStatusError],
) -> None:
    ids = lab.new_id(), lab.new_id()
    with pytest.raises(openai_error) as from_openai:
        openai_client.chat.completions.create(
            model="gpt-4o", messages=user_message, extra_headers=lab.headers(ids[0], fault=fault)
        )
    with pytest.raises(anthropic_error) as from_anthropic:
        anthropic_client.messages.create(
            model="claude-haiku-4-5",
            max_tokens=9,
            messages=user_message,
            extra_headers=lab.headers(ids[1], fault=fault),
        )
    caught: list[Any] = [from_openai.value, from_anthropic.value]
    for request_id, error in zip(ids, caught, strict=True):
        ended = lab.truth(request_id).ended
        assert ended is not None
        assert (ended.outcome, ended.http_status) == ("error", error.status_code)
        assert (ended.is_billed, ended.cost_usd) == (False, "0.000000000000")
        if fault.startswith("rate_limit"):
            assert error.response.headers["retry-after"] == "2"
            assert error.response.headers["retry-after-ms"] == "1500"
    if fault == "overloaded":
        assert [error.status_code for error in caught] == [503, 529]
    if fault.startswith("rate_limit"):
        assert caught[0].response.headers["x-ratelimit-remaining-requests"] == "0"
        assert caught[1].response.headers["anthropic-ratelimit-requests-remaining"] == "0"


def test_sdk_retries_are_attempts_of_one_request(lab: Lab, user_message: list[Any]) -> None:
    request_id = lab.new_id()
    fault = "rate_limit;times=2;retry_after_ms=5"
    with openai.OpenAI(base_url=lab.openai_url, api_key="sk-sim-x", max_retries=2) as client:
        client.chat.completions.create(
            model="gpt-4o",
            messages=user_message,
            extra_headers=lab.headers(request_id, fault=fault),
        )
    calls = lab.attempts(request_id, 3)
    assert [call.received.attempt for call in calls] == [1, 2, 3]
    assert [call.received.retry_count for call in calls] == [0, 1, 2]
    assert [call.is_billed for call in calls] == [False, False, True]


@pytest.mark.parametrize("path", STREAMS)
def test_cut_before_usage(lab: Lab, path: str) -> None:
    data, end, ended = _send(lab, path, "cut_before_usage;after=3", stream=True)
    assert end == "reset"
    assert b"0\r\n\r\n" not in data
    assert b'"completion_tokens"' not in data
    assert b"message_delta" not in data
    assert b"response.completed" not in data
    assert (ended.outcome, ended.usage_delivered, ended.is_billed) == ("cut", False, True)
    # Eight content events share 40 tokens; three of them left.
    assert ended.quantities == {"uncached_input": 100, "visible_output": 15}


def test_cut_before_usage_without_a_reset(lab: Lab) -> None:
    _, end, ended = _send(lab, CHAT, "cut_before_usage;reset=0", stream=True)
    assert (end, ended.outcome) == ("closed", "cut")


def test_a_cut_later_than_the_content_comes_before_the_usage(lab: Lab) -> None:
    data, _, ended = _send(lab, MESSAGES, "cut_before_usage;after=99", stream=True)
    assert b"message_delta" not in data
    assert ended.quantities["visible_output"] == 40
    assert not ended.usage_delivered


@pytest.mark.parametrize("path", STREAMS)
def test_cut_after_usage(lab: Lab, path: str) -> None:
    data, end, ended = _send(lab, path, "cut_after_usage", stream=True)
    assert end == "reset"
    assert b"[DONE]" not in data
    assert b"message_stop" not in data
    assert b'_tokens":40' in data
    assert (ended.outcome, ended.usage_delivered) == ("cut", True)
    assert ended.quantities == {"uncached_input": 100, "visible_output": 40}


@pytest.mark.parametrize("path", STREAMS)
def test_truncated_body_is_shorter_than_it_says(lab: Lab, path: str) -> None:
    data, _, ended = _send(lab, path, "truncated", stream=False)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < length
    assert b"usage" not in body.replace(b'"usage":null', b"")
    assert (ended.outcome, ended.usage_delivered, ended.is_billed) == ("cut", False, True)


@pytest.mark.parametrize("path", STREAMS)
def test_error_event_in_a_stream(lab: Lab, path: str) -> None:
    data, end, ended = _send(lab, path, "error_event;after=2", stream=True)
    assert end == "closed"
    assert data.endswith(b"0\r\n\r\n")
    assert b'"error"' in data
    assert (ended.outcome, ended.usage_delivered) == ("error", False)
    assert ended.quantities == {"uncached_input": 100, "visible_output": 10}


def test_error_event_before_any_output_is_not_billed(lab: Lab) -> None:
    _, _, ended = _send(lab, MESSAGES, "error_event;after=0", stream=True)
    assert not ended.is_billed


def test_sdks_raise_on_an_error_event(
    openai_client: openai.OpenAI,
    anthropic_client: anthropic.Anthropic,
    user_message: list[Any],
) -> None:
    headers = {"x-sim-fault": "error_event;after=1"}
    with pytest.raises(openai.APIError):
        list(
            openai_client.chat.completions.create(
                model="gpt-4o", messages=user_message, stream=True, extra_headers=headers
            )
        )
    with pytest.raises(anthropic.APIStatusError):
        list(
            anthropic_client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=9,
                messages=user_message,
                stream=True,
                extra_headers=headers,
            )
        )


def test_hang_ends_without_an_answer(lab: Lab) -> None:
    data, end, ended = _send(lab, CHAT, "hang;delay_ms=30", stream=False)
    assert (data, end) == (b"", "closed")
    assert (ended.outcome, ended.http_status, ended.is_billed) == ("cut", None, False)


@pytest.mark.parametrize("fault", ["slow_first_byte;delay_ms=20", "slow_stream;delay_ms=2"])
def test_slow_answers_are_whole(lab: Lab, fault: str) -> None:
    data, _, ended = _send(lab, CHAT, fault, stream=True)
    assert b"[DONE]" in data
    assert (ended.outcome, ended.fault, ended.usage_delivered) == (
        "ok",
        fault.partition(";")[0],
        True,
    )


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("stream", [False, True])
def test_usage_absent(lab: Lab, path: str, stream: object) -> None:
    data, _, ended = _send(lab, path, "usage_absent", stream=bool(stream))
    assert b'_tokens":' not in data.replace(b'"max_output_tokens":', b"")
    assert (ended.is_billed, ended.usage_delivered) == (True, False)
    assert ended.quantities == {"uncached_input": 100, "visible_output": 40}


def test_usage_split_over_two_chunks_adds_up(lab: Lab) -> None:
    size = "input=2000;cache_read=1024;output=40;reasoning=0"
    data, _, ended = _send(lab, CHAT, "usage_split", stream=True, size=size)
    usages = [
        fields["usage"]
        for line in _payload(data).split(b"\n")
        if line.startswith(b"data: {") and (fields := json.loads(line[6:]))["usage"]
    ]
    assert [usage["completion_tokens"] for usage in usages] == [0, 40]
    assert usages[0]["prompt_tokens_details"]["cached_tokens"] == 1024
    assert "prompt_tokens_details" not in usages[1]
    assert ended.usage_delivered
    data, _, _ = _send(lab, MESSAGES, "usage_split", stream=True)
    assert data.count(b"event: message_delta") == 2


@pytest.mark.parametrize("stream", [False, True])
def test_huge_chunk(lab: Lab, stream: object) -> None:
    data, _, ended = _send(lab, CHAT, "huge_chunk;size_bytes=300000", stream=bool(stream))
    assert b"x" * 300_000 in _payload(data)
    assert ended.quantities["visible_output"] == 40
    assert ended.usage_delivered


def test_empty_stream(lab: Lab) -> None:
    data, end, ended = _send(lab, MESSAGES, "empty_stream", stream=True)
    assert (_payload(data), end) == (b"", "closed")
    assert b" 200 OK" in data
    assert (ended.is_billed, ended.http_status) == (False, 200)


def test_fragmented_bytes_are_the_same_bytes(lab: Lab) -> None:
    data, _, _ = _send(lab, MESSAGES, "fragmented", stream=True)
    text = _payload(data).decode()
    assert "naïve" in text or "café" in text or "数" in text or "🙂" in text
    assert text.endswith('data: {"type":"message_stop"}\n\n')


def test_a_fault_of_streams_does_not_touch_a_plain_answer(lab: Lab) -> None:
    data, _, ended = _send(lab, CHAT, "cut_before_usage", stream=False)
    assert json.loads(_payload(data))["usage"]["completion_tokens"] == 40
    assert (ended.outcome, ended.fault) == ("ok", None)


@pytest.mark.parametrize(
    "fault", ["explode", "hang;delay_ms=-1", "hang;colour=red", '{"kind": 1', "cut_before_usage;x"]
)
def test_a_fault_that_does_not_exist_is_said(lab: Lab, fault: str) -> None:
    data, _, ended = _send(lab, CHAT, fault, stream=False)
    assert b"x-sim-fault" in _payload(data)
    assert ended.http_status == 400


@given(
    st.sampled_from(FAULT_KINDS),
    st.integers(0, 1000),
    st.integers(0, 9999),
    st.integers(0, 1_000_000),
    st.booleans(),
)
def test_fault_header_round_trip(kind: Any, after: int, delay: int, size: int, reset: Any) -> None:
    fault = Fault(kind, 3, after, delay + 1, delay, size, reset)
    assert parse_fault(fault.to_header()) == fault
    as_json = json.dumps(fault._asdict() | {"reset": int(reset)})
    assert parse_fault(as_json) == fault


@given(st.text(max_size=40))
def test_any_fault_text_is_read_or_refused(text: str) -> None:
    try:
        fault = parse_fault(text)
    except BadParamsError:
        return
    assert fault.kind in FAULT_KINDS


@given(st.tuples(*[st.integers(0, 5000)] * 6).map(lambda parts: Size(*parts)))
def test_sizes_become_disjoint_kinds_that_sum_to_the_totals(size: Size) -> None:
    quantities = quantities_of(size)
    assert min(quantities) >= 0
    assert (quantities.input, quantities.output) == (size.input, size.output)
    assert parse_size(size.to_header(), Size(input=1, output=1)) == size


def test_drawn_faults_depend_on_the_seed_and_the_id_alone() -> None:
    mix = {"rate_limit;times=1": 20_000, "server_error": 30_000}
    ids = [f"c-{number}" for number in range(20_000)]
    drawn = [draw_fault(5, request_id, mix) for request_id in ids]
    assert drawn == [draw_fault(5, request_id, mix) for request_id in ids]
    assert drawn != [draw_fault(6, request_id, mix) for request_id in ids]
    kinds = [fault.kind for fault in drawn if fault]
    assert 300 < kinds.count("rate_limit") < 500
    assert 480 < kinds.count("server_error") < 720


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", STREAMS)
def test_gzip_where_it_is_accepted(lab: Lab, path: str, stream: object) -> None:
    body = _body(path, stream=bool(stream))
    wish = {"x-sim-fault": "gzip", "x-sim-size": "input=9;output=30"}
    data, _ = lab.exchange(raw_request(path, body, wish | {"accept-encoding": "gzip, br"}))
    assert b"content-encoding: gzip\r\n" in data
    text = gzip.decompress(_payload(data)).decode()
    assert '_tokens":30' in text
    plain, _ = lab.exchange(raw_request(path, body, wish))
    assert b"content-encoding" not in plain
    assert b'_tokens":30' in _payload(plain)


def test_sdks_read_gzip(
    openai_client: openai.OpenAI,
    anthropic_client: anthropic.Anthropic,
    user_message: list[Any],
) -> None:
    headers = {"x-sim-fault": "gzip"}
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=user_message, extra_headers=headers
    )
    assert raw.headers["content-encoding"] == "gzip"
    assert raw.parse().usage
    with anthropic_client.messages.stream(
        model="claude-haiku-4-5", max_tokens=90, messages=user_message, extra_headers=headers
    ) as stream:
        assert stream.get_final_text()


_FIELDS = (
    "messages input prompt tools tool_choice stream stream_options n max_tokens metadata system "
    "dimensions instructions encoding_format max_output_tokens"
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "name", "function", "parameters", "properties"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    st.sampled_from([*STREAMS, "/openai/v1/embeddings", "/openai/v1/completions"]),
    st.dictionaries(
        st.sampled_from(_FIELDS.split()),
        _JSON,
        max_size=4,
    ),
)
def test_any_json_is_answered_or_refused(path: str, fields: dict[str, Any]) -> None:
    api = AnthropicApi() if path == MESSAGES else OpenAiApi()
    models = {"/openai/v1/embeddings": "text-embedding-3-small"}
    models["/openai/v1/completions"] = "gpt-3.5-turbo-instruct"
    body: dict[str, Any] = json.loads(_body(path if path in MODELS else CHAT, stream=False))
    body |= {"model": (models | MODELS)[path]} | fields
    incoming = Incoming(
        "POST",
        "/" + path.split("/", 2)[2],
        {"anthropic-version": "2023-06-01"},
        body,
        "a-1",
        1_790_000_000 * 10**9,
        Shape(),
        PromptCache(),
    )
    try:
        answer = api.answer(incoming)
    except RefusedError as refused:
        assert refused.status == 400  # noqa: PT017 -- most are refused, some are answered
        return
    assert answer.generation is not None
    assert answer.generation.quantities.input > 0
