"""What is particular to each tool."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tollbook.audit.extract import Extractor
from tollbook.audit.inputs.registry import About, Record, formats
from tollbook.audit.read import Batch, InputRead, Trouble
from tollbook.audit.settings import DEFAULT, AuditSettings
from tollbook.call import SpanKind
from tollbook.capture.imports.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.audit.facts import SpanFact
    from tollbook.capture.otlp.spans import Span

_WHEN = "2026-11-20T10:00:00Z"


def _parts(name: str, *values: dict[str, Any], beside: Any = None) -> list[Batch | Trouble]:
    one = next(one for one in formats() if name == one.NAME)
    about = About(source="x", read=InputRead(source="x"))
    records = [Record(value, line, beside=beside or {}) for line, value in enumerate(values, 1)]
    return list(one.read(iter(records), about))


def _spans(name: str, *values: dict[str, Any], beside: Any = None) -> list[Span]:
    parts = _parts(name, *values, beside=beside)
    assert all(isinstance(part, Batch) for part in parts), parts
    return [span for part in parts if isinstance(part, Batch) for span in part.spans]


def _facts(name: str, *values: dict[str, Any], beside: Any = None) -> list[SpanFact]:
    extractor = Extractor(DEFAULT)
    parts = _parts(name, *values, beside=beside)
    return [
        extractor.fact(span, 0, part)
        for part in parts
        if isinstance(part, Batch)
        for span in part.spans
    ]


def _litellm(**other: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "ab" * 32,
        "spend": 0.1, "startTime": _WHEN, "endTime": _WHEN, "model": "gpt-4o",
        "custom_llm_provider": "openai", "prompt_tokens": 10, "completion_tokens": 2,
        "total_tokens": 12, "metadata": {},
    }  # fmt: skip
    return row | other


class TestLitellm:
    def test_a_key_without_a_name_is_known_by_the_start_of_its_hash(self) -> None:
        """Rows of one key are the case of the gateway as a single key."""
        [fact] = _facts("litellm", _litellm())
        assert fact.call is not None
        assert fact.call.api_key_id == "ab" * 6

    def test_a_hit_of_its_cache_is_no_call(self) -> None:
        """Nothing was sent to the provider, so nothing is to be billed."""
        [fact] = _facts("litellm", _litellm(cache_hit="True"))
        assert fact.call is None

    def test_a_failure_has_no_usage(self) -> None:
        """Zeros of a call that failed are not what was used."""
        metadata = {"error_information": {"error_class": "RateLimitError", "error_code": "429"}}
        row = _litellm(status="failure", total_tokens=0, prompt_tokens=0, completion_tokens=0,
                       metadata=metadata)  # fmt: skip
        [fact] = _facts("litellm", row)
        assert fact.call is not None
        assert fact.is_error
        assert (fact.call.http_status, fact.call.error_type) == (429, "RateLimitError")
        assert (fact.call.kinds, fact.call.is_billable) == (None, False)

    def test_retries_of_one_session_are_together(self) -> None:
        """LiteLLM keeps the session of a request over retries and fallbacks."""
        rows = [_litellm(request_id=one, session_id="s") for one in ("a", "b")]
        rows[1]["metadata"] = {"attempted_retries": 1}
        first, second = _facts("litellm", *rows)
        assert first.trace_id == second.trace_id == "s"
        assert second.call is not None
        assert second.call.attempt == 2

    def test_tags_may_name_the_tenant(self) -> None:
        """``request_tags`` is where many put it."""
        [fact] = _facts("litellm", _litellm(request_tags=["tenant_id:acme", "prod"]))
        assert fact.owner == {"tenant_id": "acme"}

    def test_the_user_of_nobody_is_nobody(self) -> None:
        """LiteLLM writes ``default_user_id`` for keys that belong to no person."""
        [fact] = _facts("litellm", _litellm(user="default_user_id"))
        assert fact.owner == {}

    def test_a_stream_is_told_by_its_first_token(self) -> None:
        """The end stands there where nothing was streamed."""
        row = _litellm(endTime="2026-11-20T10:00:09Z", completionStartTime="2026-11-20T10:00:01Z")
        [fact] = _facts("litellm", row)
        assert fact.call is not None
        assert fact.call.is_stream

    def test_a_made_up_id_is_not_the_answers(self) -> None:
        """A UUID is LiteLLM's own, which no invoice or support knows."""
        [fact] = _facts("litellm", _litellm(request_id="3f0c9d1e-0000-4000-8000-00000000000f"))
        assert fact.call is not None
        assert fact.call.response_id is None

    def test_cache_writes_by_lifetime(self) -> None:
        """Their prices differ."""
        lifetimes = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 40}
        usage = {
            "prompt_tokens": 100, "completion_tokens": 1, "cache_creation_input_tokens": 60,
            "prompt_tokens_details": {"cache_creation_token_details": lifetimes},
        }  # fmt: skip
        row = _litellm(metadata={"usage_object": usage}, model="claude-sonnet-4-20250514",
                       custom_llm_provider="anthropic")  # fmt: skip
        [fact] = _facts("litellm", row)
        assert fact.call is not None
        assert fact.call.kinds is not None
        kinds = fact.call.kinds
        assert (kinds.uncached_input_tokens, kinds.cache_write_5m_tokens) == (40, 20)
        assert kinds.cache_write_1h_tokens == 40


def _run(**other: Any) -> dict[str, Any]:
    return {"id": "r", "run_type": "llm", "trace_id": "r", "start_time": _WHEN} | other


class TestLangsmith:
    def test_parents_by_each_of_the_ways(self) -> None:
        """Exports differ in what they keep of the tree."""
        order = "20261120T100000000000Zroot.20261120T100001000000Zmid.20261120T100002000000Zr"
        ways: list[dict[str, Any]] = [
            {"parent_run_id": "mid"}, {"parent_run_ids": ["root", "mid"]}, {"dotted_order": order}
        ]  # fmt: skip
        for way in ways:
            [span] = _spans("langsmith", _run(**way))
            assert span.parent_span_id == "mid"

    def test_children_within_a_run(self) -> None:
        """``load_child_runs`` nests them."""
        child = _run(id="c", parent_run_id="r", trace_id="r")
        spans = _spans("langsmith", _run(run_type="chain", child_runs=[child]))
        assert {one.span_id: one.parent_span_id for one in spans} == {"r": None, "c": "r"}

    def test_the_usage_of_a_wrapped_client(self) -> None:
        """LangSmith's wrappers put the provider's answer into the outputs."""
        outputs = {
            "id": "chatcmpl-9", "model": "gpt-4o-2024-08-06", "service_tier": "flex",
            "usage_metadata": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        }  # fmt: skip
        [fact] = _facts("langsmith", _run(outputs=outputs))
        assert fact.call is not None
        assert fact.call.counts == {"input": 7, "output": 3, "total": 10}
        assert (fact.call.response_id, fact.call.service_tier) == ("chatcmpl-9", "flex")

    def test_zeros_of_a_failed_run_are_no_usage(self) -> None:
        """The columns of counts are 0 there."""
        row = _run(error="boom", prompt_tokens=0, completion_tokens=0, total_tokens=0)
        [fact] = _facts("langsmith", row)
        assert fact.call is not None
        assert fact.is_error
        assert fact.call.kinds is None

    def test_a_bulk_export_has_structures_as_text(self) -> None:
        """Columns of Parquet hold JSON."""
        extra = json.dumps({"metadata": {"ls_provider": "openai", "tenant_id": "acme"}})
        row = _run(extra=extra, prompt_tokens=4, completion_tokens=1, total_tokens=5)
        [fact] = _facts("langsmith", row)
        assert fact.owner == {"tenant_id": "acme"}
        assert fact.call is not None
        assert fact.call.provider == "openai"


def _observation(**other: Any) -> dict[str, Any]:
    base = {"id": "00f067aa0ba902b7", "traceId": "t", "type": "SPAN", "startTime": _WHEN,
            "usageDetails": {}}  # fmt: skip
    return base | other


class TestLangfuse:
    def test_traces_may_come_before_or_after(self) -> None:
        """What a trace says is brought to its observations."""
        trace = {"id": "t", "timestamp": _WHEN, "userId": "u", "metadata": {"tenant": "acme"}}
        for values in ([trace, _observation()], [_observation(), trace]):
            [fact] = _facts("langfuse", *values)
            assert fact.owner == {"tenant_id": "acme", "user_id": "u"}

    def test_all_observations_of_a_trace_get_it(self) -> None:
        """It is of the whole trace, so no hop between them lost it."""
        trace = {"id": "t", "timestamp": _WHEN, "userId": "u", "metadata": {"tenant": "acme"}}
        own = {"tenant": "globex"}
        lower = _observation(id="b", parentObservationId="00f067aa0ba902b7", metadata=own)
        top, below = _facts("langfuse", trace, _observation(), lower)
        assert top.owner == {"tenant_id": "acme", "user_id": "u"}
        assert below.owner["user_id"] == "u"
        assert "name different tenant_id" in below.problems[0]

    def test_what_waits_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of very many observations without a trace the oldest go on as they are."""
        monkeypatch.setattr("tollbook.audit.inputs.langfuse_waiting._WAITING_MAX", 3)
        values = [_observation(id=f"o{number}", traceId=f"t{number}") for number in range(10)]
        values.append({"id": "t9", "timestamp": _WHEN, "userId": "u"})
        facts = _facts("langfuse", *values)
        assert [one.span_id for one in facts] == [f"o{number}" for number in range(10)]
        assert facts[-1].owner == {"user_id": "u"}

    def test_ids_of_older_clients(self) -> None:
        """Their ids were UUIDs; the usage is read all the same."""
        row = _observation(
            id="0b0c9d1e-0000-4000-8000-000000000001", type="GENERATION", model="gpt-4o",
            usageDetails={"input": 10, "input_cached_tokens": 5, "output": 2},
        )  # fmt: skip
        [fact] = _facts("langfuse", row)
        assert fact.call is not None
        assert fact.call.kinds is not None
        assert fact.call.kinds.cache_read_tokens == 5

    def test_a_trace_too_large_to_be_read_at_once(self) -> None:
        """Its observations come one by one, with its own members beside them."""
        beside = {"id": "t", "userId": "u", "input": "SECRET"}
        [span] = _spans("langfuse", _observation(), beside=beside)
        assert span.attributes["langfuse.user.id"] == "u"
        assert "SECRET" not in repr(span)

    def test_a_downloaded_trace(self) -> None:
        """The page of a trace has it and its observations side by side."""
        trace = {"id": "t", "timestamp": _WHEN, "userId": "u"}
        [span] = _spans("langfuse", {"trace": trace, "observations": [_observation()]})
        assert span.attributes["langfuse.user.id"] == "u"

    def test_events_and_scores_are_steps(self) -> None:
        """They cause nothing that is paid for."""
        [fact] = _facts("langfuse", _observation(type="EVENT"))
        assert fact.what is SpanKind.STEP


class TestDatadog:
    def test_tags_beside_a_list_are_of_all(self) -> None:
        """The intake's request names the application and its tags once."""
        beside = {"ml_app": "bot", "tags": ["tenant_id:acme"]}
        span = {"trace_id": "1", "span_id": "2", "start_ns": 10**18, "meta": {"kind": "llm"}}
        [fact] = _facts("datadog", span, beside=beside)
        assert fact.owner == {"tenant_id": "acme"}
        assert fact.service == "bot"

    def test_sampling_is_read(self) -> None:
        """``_dd.rule_psr`` is the share that a rule keeps."""
        span = {"trace_id": 1, "span_id": 2, "parent_id": 0, "start": 10**18, "duration": 5,
                "service": "s", "resource": "r", "meta": {},
                "metrics": {"_dd.rule_psr": 0.1}}  # fmt: skip
        [fact] = _facts("datadog", span)
        assert fact.kept_share_ppm == 100_000
        assert (fact.parent_span_id, fact.ended_at_ns) == (None, 10**18 + 5)

    def test_a_worker_is_a_consumer(self) -> None:
        """Its type says so where ``span.kind`` does not."""
        span = {"trace_id": 1, "span_id": 2, "start": 10**18, "type": "worker", "resource": "job",
                "meta": {}, "error": 1}  # fmt: skip
        [fact] = _facts("datadog", span)
        assert fact.kind == 5
        assert fact.is_error


class TestHoneycomb:
    def test_annotations_are_no_spans(self) -> None:
        """Events and links of a span are events of their own there."""
        event = {"trace.trace_id": "t", "trace.span_id": "s", "Timestamp": _WHEN}
        assert _spans("honeycomb", event | {"meta.annotation_type": "span_event"}) == []

    def test_the_sample_rate_is_kept(self) -> None:
        """One in twenty was kept."""
        event = {"trace.trace_id": "t", "trace.span_id": "s"}
        [fact] = _facts("honeycomb", {"time": _WHEN, "samplerate": 20, "data": event})
        assert fact.kept_share_ppm == 50_000

    def test_service_and_instrumentation(self) -> None:
        """Attributes of the resource stand beside those of the span."""
        event = {"trace.trace_id": "t", "trace.span_id": "s", "Timestamp": _WHEN,
                 "service.name": "api", "library.name": "lib", "span.kind": "server",
                 "duration_ms": 1.5, "error": True}  # fmt: skip
        [span] = _spans("honeycomb", event)
        assert span.resource == {"service.name": "api"}
        assert (span.scope_name, span.kind, span.is_error) == ("lib", 2, True)
        assert span.ended_at_ns - span.started_at_ns == 1_500_000


class TestPhoenix:
    def test_the_providers_usage_is_kept_and_the_answer_is_not(self) -> None:
        """OpenInference keeps the whole answer; of it come the id and the usage."""
        answer = {"id": "msg_1", "content": "SECRET", "usage": {
            "input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_1h_input_tokens": 10}}}  # fmt: skip
        attributes = {
            "openinference.span.kind": "LLM", "llm.model_name": "claude-sonnet-4-20250514",
            "llm.provider": "anthropic", "output.value": json.dumps(answer),
            "output.mime_type": "application/json", "llm.token_count.prompt": 15,
        }  # fmt: skip
        row = {"context.trace_id": "a", "context.span_id": "b", "start_time": _WHEN,
               "attributes": attributes}  # fmt: skip
        [span] = _spans("phoenix", row)
        [fact] = _facts("phoenix", row)
        assert "SECRET" not in repr(span)
        assert fact.call is not None
        assert fact.call.kinds is not None
        assert fact.call.response_id == "msg_1"
        assert fact.call.kinds.cache_write_1h_tokens == 10

    def test_types_of_exceptions_without_their_messages(self) -> None:
        """A message may quote the prompt."""
        told = {"exception.type": "RateLimitError", "exception.message": "SECRET"}
        event = {"name": "exception", "timestamp": _WHEN, "attributes": told}
        row = {"context.trace_id": "a", "context.span_id": "b", "start_time": _WHEN,
               "status_code": "ERROR", "events": [event],
               "attributes": {"openinference.span.kind": "LLM"}}  # fmt: skip
        [fact] = _facts("phoenix", row)
        assert fact.call is not None
        assert fact.call.error_type == "RateLimitError"
        assert "SECRET" not in repr(_spans("phoenix", row))


class TestParquet:
    @pytest.mark.parametrize("name", ["phoenix_dataframe.jsonl", "langsmith_runs.jsonl"])
    def test_the_same_as_lines_of_json(
        self, look: Callable[..., Any], data: Path, tmp_path: Path, name: str
    ) -> None:
        """Times are timestamps there, and members that a row lacks are null."""
        rows = [json.loads(line) for line in (data / name).read_text().splitlines()]
        for row in rows:
            for field in ("start_time", "end_time"):
                row[field] = datetime.fromisoformat(row[field])
            for field in ("outputs", "extra", "inputs"):  # the bulk export has them as text
                if field in row:
                    row[field] = json.dumps(row[field])
        names = {field for row in rows for field in row}
        columns = {field: [row.get(field) for row in rows] for field in sorted(names)}
        pq.write_table(pa.table(columns), tmp_path / "export.parquet")
        expected, seen = look(data / name), look(tmp_path / "export.parquet")
        assert seen.read.format == expected.read.format
        assert seen.troubles == []
        assert [one[:9] for one in seen.calls] == [one[:9] for one in expected.calls]


class TestOpenrouter:
    def test_one_generation_as_the_api_answers(
        self, look: Callable[..., Any], tmp_path: Path
    ) -> None:
        """``GET /api/v1/generation`` has it under ``data``."""
        path = tmp_path / "generation.json"
        told = {"id": "gen-1", "created_at": _WHEN, "model": "openai/gpt-4o", "total_cost": 0.01,
                "native_tokens_prompt": 9, "native_tokens_completion": 1, "streamed": True,
                "generation_time": 900, "provider_name": "OpenAI",
                "external_user": "u"}  # fmt: skip
        path.write_text(json.dumps({"data": told}, indent=1))
        [call] = look(path).calls
        assert (call.user, call.uncached_input, call.output) == ("u", 9, 1)
        assert call.fact.call is not None
        assert call.fact.call.is_stream

    def test_days_are_no_calls(self) -> None:
        """A sum of a day has no call in it that could be attributed."""
        row = {"date": "2026-11-19", "requests": 12, "model_permaslug": "m", "usage": 1.5,
               "provider_name": "p", "byok_usage_inference": 0}  # fmt: skip
        [part] = _parts("openrouter", row)
        assert isinstance(part, Trouble)
        assert "sum of a day" in part.problem


class TestHelicone:
    def test_sessions_and_properties(self) -> None:
        """Properties are the application's own names; a session groups the calls of one run."""
        row = {"request_id": "r", "request_created_at": _WHEN, "request_path": "/v1/chat",
               "provider": "OPENAI", "request_model": "gpt-4o", "prompt_tokens": 1,
               "completion_tokens": 1, "response_status": 200, "delay_ms": 5,
               "properties": {"Customer-Id": "acme", "Helicone-Session-Id": "s",
                              "Helicone-Session-Name": "nightly"}}  # fmt: skip
        [fact] = _facts("helicone", row)
        assert fact.owner == {"tenant_id": "acme", "workflow_id": "nightly"}
        assert (fact.trace_id, fact.session_id) == ("s", "s")

    def test_a_hit_of_its_cache_is_no_call(self) -> None:
        """Nothing was sent to the provider."""
        row = {"request_id": "r", "request_created_at": _WHEN, "request_path": "/v1/chat",
               "provider": "OPENAI", "request_model": "gpt-4o", "prompt_tokens": 1,
               "delay_ms": 1,
               "cache_reference_id": "0b0c9d1e-0000-4000-8000-000000000001"}  # fmt: skip
        [fact] = _facts("helicone", row)
        assert fact.call is None


class TestTable:
    def test_the_report_says_what_was_taken_for_what(
        self, look: Callable[..., Any], data: Path
    ) -> None:
        """So that a mapping can be written where the guess is wrong."""
        notes = look(data / "table.csv").read.notes
        assert "tenant id from customer_id" in notes
        assert "input from prompt_tokens" in notes
        assert not any("prompt" in one.split(" from ")[0] for one in notes)

    def test_nested_objects_and_camel_case(self) -> None:
        """Logs of JSON hold the same names one level down."""
        value = {"requestId": "r", "createdAt": _WHEN, "model": {"id": "gpt-4o"},
                 "usage": {"promptTokens": 3, "completionTokens": 1},
                 "metadata": {"org": "acme", "id": 5}, "request": {"input": "SECRET"}}  # fmt: skip
        [fact] = _facts("table", value)
        assert fact.owner == {"tenant_id": "acme"}
        assert fact.span_id == "r"
        assert fact.call is not None
        assert fact.call.counts == {"input": 3, "output": 1}
        assert fact.call.model_actual == "gpt-4o"

    def test_rows_that_are_no_calls_are_told(self) -> None:
        """A log of everything has other rows too."""
        call = {"id": "a", "time": _WHEN, "model": "gpt-4o", "prompt_tokens": 1}
        first, second = _parts("table", call, {"id": "b", "time": _WHEN, "level": "info"})
        assert isinstance(first, Batch)
        assert isinstance(second, Trouble)
        assert "no call" in second.problem

    def test_columns_of_traces_make_traces(self) -> None:
        """A table of spans is looked at as a tree."""
        base = {"trace_id": "t", "started_at": _WHEN}
        top = base | {"span_id": "a", "model": ""}
        call = base | {"span_id": "b", "parent_id": "a", "model": "gpt-4o", "input_tokens": "4"}
        first, second = _facts("table", top, call)
        assert (first.call, second.parent_span_id) == (None, "a")
        assert second.has_trace

    def test_a_column_that_is_named_as_the_tenant(self) -> None:
        """``--tenant-attribute`` works for columns that nobody would guess."""
        value = {"id": "a", "time": _WHEN, "model": "gpt-4o", "prompt_tokens": 1,
                 "shop": "shop-9", "org_id": "o", "reply": "SECRET",
                 "note": "SECRET words"}  # fmt: skip
        extractor = Extractor(AuditSettings(tenant_attributes=("shop",)))
        [part] = _parts("table", value)
        assert isinstance(part, Batch)
        fact = extractor.fact(part.spans[0], 0, part)
        assert (fact.tenant, fact.carriers["tenant_id"]) == ("shop-9", "shop")
        assert "SECRET" not in repr(part.spans)

    def test_retries_and_batches(self) -> None:
        """Markers of what was tried again, fell back, or went in a batch."""
        value = {"request_id": "r", "ts": 1_795_168_800, "model": "gpt-4o", "prompt_tokens": 1,
                 "attempt": 2, "retry_of": "q", "fallback_from": "claude", "batch_id": "b",
                 "key_name": "prod", "status_code": 503}  # fmt: skip
        [fact] = _facts("table", value)
        call = fact.call
        assert call is not None
        assert (call.attempt, call.retry_of, call.fallback_from) == (2, "q", "claude")
        assert (call.batch_id, call.api_key_id, call.http_status) == ("b", "prod", 503)
        assert fact.is_error

    def test_a_mapping_that_cannot_be_used_ends_it(
        self, look: Callable[..., Any], data: Path, tmp_path: Path
    ) -> None:
        """An error of the person who asked, not of the data."""
        bad = tmp_path / "bad.toml"
        bad.write_text('source = "x"\n[fields]\nnonsense = "a"\n')
        with pytest.raises(MappingError, match=r"bad\.toml: fields\.nonsense"):
            look(data / "mapped.jsonl", mapping=bad)
