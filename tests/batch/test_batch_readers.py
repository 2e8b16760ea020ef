"""What inputs, states and results of each API say, cut up in any way; nothing they hold raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.capture.batch.owners import CustomIdPatternError, CustomIds, line_identity
from tollbook.dialects.base import Watch
from tollbook.dialects.batch_base import BatchReader, InputLine, ResultLine
from tollbook.dialects.batch_lines import ElementSplitter, LineSplitter, custom_id_in
from tollbook.dialects.batch_multipart import FilePart, boundary_of
from tollbook.dialects.batch_registry import batches_of
from tollbook.dialects.registry import dialect_named

CUTS = st.lists(st.integers(1, 60), max_size=40)


def reader(name: str) -> BatchReader:
    found = batches_of(name)
    assert found is not None
    return found


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    out, at = [], 0
    for size in cuts:
        out.append(data[at : at + size])
        at += size
    return [*out, data[at:]]


@given(lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"))), cuts=CUTS)
def test_lines_are_the_same_however_they_come(lines: list[str], cuts: list[int]) -> None:
    splitter = LineSplitter()
    found = []
    for part in pieces("\n".join(lines).encode(), cuts):
        found += splitter.feed(part)
    found += splitter.finish()
    expected = [line.encode().strip() for line in lines]
    assert [one.data for one in found] == [line for line in expected if line]
    assert all(one.is_whole for one in found)


def test_of_a_line_that_is_too_long_the_beginning_is_kept() -> None:
    splitter = LineSplitter(max_bytes=100)
    found = splitter.feed(b'{"custom_id": "a", "body": "' + b"x" * 500)
    found += splitter.feed(b'"}\n{"custom_id":"b"}\n')
    assert [one.is_whole for one in found] == [False, True]
    assert custom_id_in(found[0].data) == "a"
    assert found[1].data == b'{"custom_id":"b"}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    elements=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=6),
    before=st.dictionaries(st.text().filter(lambda name: name != "requests"), st.text()),
    after=JSON,
    cuts=CUTS,
    indent=st.sampled_from([None, 1]),
)
def test_elements_are_the_same_however_they_come(
    elements: list[Any], before: dict[str, str], after: Any, cuts: list[int], indent: int | None
) -> None:
    data = json.dumps(before | {"requests": elements, "zz": after}, indent=indent).encode()
    splitter = ElementSplitter(frozenset([b"requests"]))
    found = [json.loads(one.data) for part in pieces(data, cuts) for one in splitter.feed(part)]
    assert found == elements


@given(data=st.binary(max_size=400), cuts=CUTS)
def test_nothing_raises(data: bytes, cuts: list[int]) -> None:
    for name in ("openai", "anthropic", "gemini"):
        batches = reader(name)
        headers = {b"content-type": b"multipart/form-data; boundary=X"}
        form = b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data
        for given_data in (data, form, b'{"requests":[{' + data):
            scanner = batches.input_scanner(headers, "user")
            assert scanner is not None
            results = batches.result_scanner(is_known=True)
            for part in pieces(given_data, cuts):
                scanner.feed(part)
                results.feed(part)
            scanner.finish()
            results.finish()
        assert isinstance(batches.read_batches(data), list)
        batches.read_inline(data)
        batches.read_file_id(data)
        assert len(batches.shown_body(data, "/v1/messages/batches")) == len(data)
        path = data.decode("latin-1")
        batches.subject(path)
        batches.collection(path)


@given(data=st.binary(max_size=300), cuts=CUTS, is_first=st.booleans())
def test_the_file_of_an_upload_comes_out_as_it_is(
    data: bytes, cuts: list[int], is_first: bool  # noqa: FBT001 -- given by Hypothesis
) -> None:  # fmt: skip
    file = b'name="file"; filename="a"\r\nX: y\r\n\r\n' + data
    purpose = b'name="purpose"\r\n\r\nbatch'
    order = [file, purpose] if is_first else [purpose, file]
    body = b"".join(b"--QQ\r\nContent-Disposition: form-data; " + one + b"\r\n" for one in order)
    part = FilePart(b"QQ")
    if b"\r\n--QQ" in data:
        return
    out = b"".join(one for cut in pieces(body + b"--QQ--\r\n", cuts) for one in part.feed(cut))
    assert out == data
    assert part.purpose == "batch"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        (b"application/json", None),
        (b"multipart/form-data", None),
    ],
)
def test_boundaries(value: bytes, expected: bytes | None) -> None:
    assert boundary_of(value) == expected


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def openai_line(body: Any, status: int = 200, error: Any = None, **more: Any) -> bytes:
    response = None if body is None else {"status_code": status, "request_id": "r1", "body": body}
    return json.dumps(
        {"id": "batch_req_1", "custom_id": "a", "response": response, "error": error, **more}
    ).encode()


def results(name: str, data: bytes, *, is_known: bool = True) -> list[ResultLine]:
    scanner = reader(name).result_scanner(is_known=is_known)
    return [*scanner.feed(data), *scanner.finish()]


@pytest.mark.parametrize(
    ("body", "endpoint", "usage"),
    [
        ({"id": "c1", "object": "chat.completion", "model": "m", "usage": USAGE},
         "/v1/chat/completions", USAGE),
        ({"id": "r1", "object": "response", "model": "m",
          "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}},
         "/v1/responses", {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
        ({"object": "list", "data": [{"embedding": [0.1]}], "model": "m",
          "usage": {"prompt_tokens": 3, "total_tokens": 3}},
         "/v1/embeddings", {"prompt_tokens": 3, "total_tokens": 3}),
    ],
)  # fmt: skip
def test_d3_lines_of_each_endpoint(body: Any, endpoint: str, usage: Any) -> None:
    (line,) = results("openai", openai_line(body))
    assert (line.custom_id, line.endpoint, line.http_status) == ("a", endpoint, 200)
    assert json.loads(line.metered.usage[0]) == usage
    assert line.metered.model_actual == "m"
    assert (line.is_billable, line.error_type, line.problem) == (True, None, None)


@pytest.mark.parametrize(
    ("line", "error_type"),
    [
        (openai_line({"error": {"code": "context_length_exceeded"}}, 400),
         "context_length_exceeded"),
        (openai_line(None, error={"code": "batch_expired", "message": "m"}), "batch_expired"),
        (openai_line({}, 500), "error"),
    ],
)  # fmt: skip
def test_d3_lines_that_failed(line: bytes, error_type: str) -> None:
    (found,) = results("openai", line)
    assert (found.is_billable, found.error_type) == (False, error_type)


def test_d4_lines_of_unknown_cost() -> None:
    data = b"\n".join(
        [openai_line({"object": "chat.completion"}), b"garbage", b'{"custom_id":"z"}']
    )
    no_usage, garbage, lacks = results("openai", data)
    assert (no_usage.custom_id, no_usage.problem) == ("a", "the line reports no usage")
    assert (garbage.custom_id, bool(garbage.problem)) == ("(line 2)", True)
    assert (lacks.custom_id, bool(lacks.problem)) == ("z", True)
    assert all(one.is_billable for one in (no_usage, garbage, lacks))


def test_an_input_that_is_downloaded_is_no_result() -> None:
    data = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}\n' * 300
    assert results("openai", data, is_known=False) == []


def test_groq_says_it_as_openai_does() -> None:
    usage = {"queue_time": 0.1, **USAGE}
    data = openai_line(
        {"id": "c", "object": "chat.completion", "model": "llama", "usage": usage, "x_groq": {}}
    )
    (line,) = results("openai", data)
    assert line.metered.usage_complete


def test_mistral_jobs_and_their_inline_results() -> None:
    batches = reader("openai")
    job: dict[str, Any] = {
        "id": "job-1", "object": "batch", "status": "SUCCESS", "input_files": ["file-in"],
        "endpoint": "/v1/chat/completions", "model": "mistral-small-latest", "metadata": {},
        "output_file": "file-out", "error_file": None, "created_at": 1_790_000_000,
        "completed_at": 1_790_000_100, "total_requests": 1, "succeeded_requests": 1,
        "outputs": [json.loads(openai_line({"object": "chat.completion", "usage": USAGE}))],
    }  # fmt: skip
    body = json.dumps(job).encode()
    (facts,) = batches.read_batches(body)
    assert (facts.batch_id, facts.is_ended, facts.lines) == ("job-1", True, 1)
    assert (facts.input_ids, facts.result_ids) == (("file-in",), ("file-out",))
    inline = batches.read_inline(body)
    assert inline is not None
    assert (inline.source_id, [one.custom_id for one in inline.lines]) == ("file-out", ["a"])
    assert batches.collection("/v1/batch/jobs/job-1") == "/v1/batch/jobs"
    assert batches.results_path("/v1/batch/jobs", "f") == "/v1/files/f/content"


@pytest.mark.parametrize(
    ("result", "billable", "error_type", "problem"),
    [
        ({"type": "succeeded", "message": {"id": "msg_1", "model": "m", "usage": {
            "input_tokens": 3, "output_tokens": 2, "service_tier": "batch"}}}, True, None, False),
        ({"type": "succeeded", "message": {"id": "msg_1"}}, True, None, True),
        ({"type": "errored", "error": {"type": "error", "error": {
            "type": "invalid_request_error"}}}, False, "invalid_request_error", False),
        ({"type": "canceled"}, False, "canceled", False),
        ({"type": "expired"}, False, "expired", False),
        ({"type": "never heard of"}, True, "never heard of", True),
    ],
)  # fmt: skip
def test_outcomes_of_messages(
    result: Any, *, billable: bool, error_type: str | None, problem: bool
) -> None:
    (line,) = results("anthropic", json.dumps({"custom_id": "a", "result": result}).encode())
    assert (line.custom_id, line.is_billable, line.error_type, bool(line.problem)) == (
        "a", billable, error_type, problem
    )  # fmt: skip
    assert line.endpoint == "/v1/messages"


def operation(**more: Any) -> bytes:
    metadata = {
        "@type": "t", "model": "models/gemini-2.5-flash", "state": "BATCH_STATE_SUCCEEDED",
        "createTime": "2026-11-20T09:00:00.5Z", "endTime": "2026-11-20T10:00:00Z",
        "batchStats": {"requestCount": "2"}, "inputConfig": {"fileName": "files/in"},
    }  # fmt: skip
    return json.dumps({"name": "batches/b1", "metadata": metadata, "done": True, **more}).encode()


def test_gemini_results_in_the_operation() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    answer = {"responseId": "x", "modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
    body = operation(response={"inlinedResponses": {"inlinedResponses": [
        {"response": answer, "metadata": {"key": "acme:1"}},
        {"error": {"code": 13, "message": "internal"}},
    ]}})  # fmt: skip
    batches = reader("gemini")
    (facts,) = batches.read_batches(body)
    assert (facts.batch_id, facts.is_ended, facts.lines) == ("batches/b1", True, 2)
    assert (facts.result_ids, facts.input_ids) == (("batches/b1",), ("files/in",))
    assert facts.endpoint == "/v1beta/models/gemini-2.5-flash:generateContent"
    inline = batches.read_inline(body)
    assert inline is not None
    first, second = inline.lines
    assert (first.custom_id, first.is_billable, first.problem) == ("acme:1", True, None)
    assert json.loads(first.metered.usage[0]) == usage
    assert (second.custom_id, second.is_billable, second.error_type) == ("1", False, "13")


def test_gemini_results_in_a_file() -> None:
    batches = reader("gemini")
    (facts,) = batches.read_batches(operation(response={"responsesFile": "files/out"}))
    assert facts.result_ids == ("files/out",)
    path = batches.results_path("/v1beta/batches", "files/out")
    assert path == "/download/v1beta/files/out:download?alt=media"
    assert batches.subject(path.partition("?")[0]) == "files/out"
    line = {"key": "k", "response": {"usageMetadata": {"promptTokenCount": 1}}}
    (found,) = results("gemini", json.dumps(line).encode())
    assert (found.custom_id, found.problem) == ("k", None)
    assert batches.read_inline(operation()) is None


def test_gemini_requests_name_owners_in_their_metadata() -> None:
    body = {"batch": {"display_name": "x", "input_config": {"requests": {"requests": [
        {"request": {}, "metadata": {"key": "k1", "tenant": "globex"}}, {"request": {}},
    ]}}}}  # fmt: skip
    scanner = reader("gemini").input_scanner({}, "user")
    assert scanner is not None
    first, second = scanner.feed(json.dumps(body).encode())
    assert (first.custom_id, first.claims[0].fields) == ("k1", {"tenant_id": "globex"})
    assert (second.custom_id, second.claims) == ("1", ())


@pytest.mark.parametrize(
    ("dialect", "method", "path", "watch"),
    [
        ("openai", "POST", "/v1/files", Watch.UPLOAD),
        ("openai", "POST", "/v1/batches", Watch.SUBMIT),
        ("openai", "GET", "/v1/batches", Watch.STATE),
        ("openai", "GET", "/v1/batches/batch_1", Watch.STATE),
        ("openai", "POST", "/v1/batches/batch_1/cancel", Watch.STATE),
        ("openai", "GET", "/v1/files/f/content", Watch.RESULTS),
        ("openai", "POST", "/v1/batch/jobs", Watch.SUBMIT),
        ("openai", "GET", "/v1/batch/jobs/j", Watch.STATE),
        ("openai", "GET", "/v1/files", None),
        ("openai", "DELETE", "/v1/files/f", None),
        ("openai", "GET", "/v1/containers/c/files/f", None),
        ("openai", "POST", "/v1/responses/r/cancel", Watch.ANSWER),
        ("openai", "POST", "/v1/chat/completions", None),
        ("anthropic", "POST", "/v1/messages/batches", Watch.SUBMIT),
        ("anthropic", "GET", "/v1/messages/batches", Watch.STATE),
        ("anthropic", "GET", "/v1/messages/batches/b", Watch.STATE),
        ("anthropic", "POST", "/v1/messages/batches/b/cancel", Watch.STATE),
        ("anthropic", "GET", "/v1/messages/batches/b/results", Watch.RESULTS),
        ("anthropic", "DELETE", "/v1/messages/batches/b", None),
        ("anthropic", "POST", "/v1/messages/batchesx", None),
        ("anthropic", "POST", "/v1/messages", None),
        ("gemini", "POST", "/v1beta/models/m:batchGenerateContent", Watch.SUBMIT),
        ("gemini", "GET", "/v1beta/batches/b", Watch.STATE),
        ("gemini", "GET", "/download/v1beta/files/f:download", Watch.RESULTS),
        ("gemini", "POST", "/v1beta/models/m:batchEmbedContents", None),
    ],
)
def test_what_is_watched(dialect: str, method: str, path: str, watch: Watch | None) -> None:
    assert dialect_named(dialect).route(method, path).watch is watch


def test_custom_ids_by_a_pattern() -> None:
    ids = CustomIds(r"(?P<tenant>[a-z]+):(?P<user>\w+)(:(?P<shard>\d+))?")
    identity = line_identity(InputLine("acme:u1:7", ()), ids)
    assert identity is not None
    assert (identity.tenant_id, identity.user_id, identity.tags) == ("acme", "u1", {"shard": "7"})
    assert identity.sources["tenant_id"] == "custom_id"
    assert line_identity(InputLine("ACME", ()), ids) is None
    assert line_identity(InputLine("acme:u1", ()), CustomIds(None)) is None


@pytest.mark.parametrize("pattern", ["(", "[a-z]+"])
def test_a_pattern_that_cannot_be_used_is_one_line(pattern: str) -> None:
    with pytest.raises(CustomIdPatternError, match=r"^batch\.custom_id_pattern: [^\n]+$"):
        CustomIds(pattern)
