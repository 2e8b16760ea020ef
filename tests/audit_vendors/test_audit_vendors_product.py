"""The same product, exported by each tool, is the same calls, owners and tree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.audit.inputs.registry import formats
from tollbook.audit.inputs.sources import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACES = [
    ("langsmith_runs.jsonl", "langsmith"),
    ("langfuse_observations_then_traces.jsonl", "langfuse"),
    ("langfuse_traces.json", "langfuse"),
    ("langfuse_enriched.csv", "langfuse"),
    ("phoenix_dataframe.jsonl", "phoenix"),
    ("phoenix_dataframe.csv", "phoenix"),
    ("phoenix_rest.json", "phoenix"),
    ("honeycomb.csv", "honeycomb"),
    ("honeycomb_events.jsonl", "honeycomb"),
    ("honeycomb_query.json", "honeycomb"),
    ("datadog_agent.json", "datadog"),
    ("datadog_apm.jsonl", "datadog"),
    ("datadog_spans_search.json", "datadog"),
    ("datadog_llmobs_intake.json", "datadog"),
    ("datadog_llmobs_export.json", "datadog"),
]
_LOGS = [
    ("litellm_spend_logs.jsonl", "litellm"),
    ("litellm_spend_logs.csv", "litellm"),
    ("litellm_payloads.jsonl", "litellm"),
    ("helicone_requests.jsonl", "helicone"),
    ("table.csv", "table"),
    ("mapped.jsonl", "table"),
]
_TWO_MODELS = frozenset({"langsmith", "langfuse", "honeycomb", "litellm", "helicone", "table"})
"""Formats that tell the model asked for and the one that answered."""
_SAID = "SECRET-CONTENT"
_CALLS = [
    ("acme", "u-1", "chat", "openai", 600, 400, 200),
    ("acme", "u-1", "embeddings", "openai", 50, 0, 0),
    ("globex", "u-2", "chat", "anthropic", 300, 0, 100),
    (None, None, "chat", "openai", 20, 0, 5),
]
_TREE = [
    ("researcher", "answer-question"),
    ("search", "researcher", "answer-question"),
    ("answer-question",),
    ("nightly-summary",),
]
_MODELS = ["gpt-4o-2024-08-06", "text-embedding-3-small", "claude-sonnet-4-20250514",
           "gpt-4o-mini-2024-07-18"]  # fmt: skip


def _mapping(data: Path, name: str) -> Path | None:
    return data / "mapped.toml" if name.startswith("mapped") else None


@pytest.mark.parametrize(("name", "kind"), [*_TRACES, *_LOGS])
def test_calls_and_owners_are_the_same(
    look: Callable[..., Any], data: Path, name: str, kind: str
) -> None:
    """Calls, tokens by kind and who they are for; found out by content alone."""
    seen = look(data / name, mapping=_mapping(data, name))
    assert seen.read.format == kind
    assert seen.troubles == []
    assert [
        (one.tenant, one.user, one.operation, one.provider, one.uncached_input, one.cache_read,
         one.output)
        for one in seen.calls
    ] == _CALLS  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), _TRACES)
def test_trees_are_the_same(look: Callable[..., Any], data: Path, name: str, kind: str) -> None:
    """What caused each call, up to the root; LangGraph names its agents itself."""
    seen = look(data / name)
    above = [
        tuple("researcher" if name == "LangGraph" else name for name in one.above)
        for one in seen.calls
    ]
    assert above == _TREE
    assert len(seen.spans) == 9
    assert all(one.fact.has_trace for one in seen.calls)
    assert kind


@pytest.mark.parametrize(("name", "kind"), _LOGS)
def test_logs_say_that_they_have_no_tree(
    look: Callable[..., Any], data: Path, name: str, kind: str
) -> None:
    """A row of a log stands alone."""
    seen = look(data / name, mapping=_mapping(data, name))
    assert not any(one.fact.has_trace for one in seen.calls)
    assert [one.above for one in seen.calls] == [()] * 4
    assert kind


@pytest.mark.parametrize(("name", "kind"), [*_TRACES, *_LOGS])
def test_models_are_the_ones_that_answered(
    look: Callable[..., Any], data: Path, name: str, kind: str
) -> None:
    """Where a format tells both models both are kept."""
    seen = look(data / name, mapping=_mapping(data, name))
    assert [one.models[1] or one.models[0] for one in seen.calls if one.operation == "chat"] == [
        one for one in _MODELS if "embedding" not in one
    ]
    if kind in _TWO_MODELS:
        assert seen.calls[0].models == ("gpt-4o", "gpt-4o-2024-08-06")


@pytest.mark.parametrize(("name", "kind"), [*_TRACES, *_LOGS])
def test_nothing_that_was_said_is_in_a_span(
    look: Callable[..., Any], data: Path, name: str, kind: str
) -> None:
    """The exports hold prompts and answers; the spans made of them do not."""
    said = (data / name).read_text()
    seen = look(data / name, mapping=_mapping(data, name))
    assert _SAID not in repr(seen.spans)
    assert kind
    if _SAID in said and name != "mapped.jsonl":
        assert seen.read.content_dropped > 0


@pytest.mark.parametrize(("name", "kind"), [*_TRACES, *_LOGS])
def test_times_are_the_same(look: Callable[..., Any], data: Path, name: str, kind: str) -> None:
    """All of them tell when a call began, in whatever unit."""
    seen = look(data / name, mapping=_mapping(data, name))
    began_ns = 1_795_168_800_000_000_000  # 2026-11-20T10:00:00Z
    offsets_ms = [(one.fact.started_at_ns - began_ns) // 10**6 for one in seen.calls]
    assert offsets_ms == [20, 1310, 5010, 9010]
    took_ms = [round((one.fact.ended_at_ns - one.fact.started_at_ns) / 10**6) for one in seen.calls]
    assert took_ms == [1200, 80, 1900, 800]
    assert kind


def test_openrouter_knows_the_person_and_no_tenant(look: Callable[..., Any], data: Path) -> None:
    """Its activity has a name of the key and the user that was sent, embeddings are not in it."""
    seen = look(data / "openrouter_activity.csv")
    assert seen.read.format == "openrouter"
    assert [(one.tenant, one.user, one.uncached_input) for one in seen.calls] == [
        (None, "u-1", 600), (None, "u-2", 300), (None, None, 20)
    ]  # fmt: skip
    call = seen.calls[0].fact.call
    assert call is not None
    assert (call.api_key_id, call.response_id) == ("prod", "gen-1")
    assert (call.reported_cost_pico, call.cost_source) == (123_000_000, "provider")


def test_lines_are_those_of_the_file(look: Callable[..., Any], data: Path) -> None:
    """The evidence of a finding can be opened in an editor."""
    name = "langsmith_runs.jsonl"
    lines = (data / name).read_text().splitlines()
    for one in look(data / name).calls:
        assert one.line is not None
        assert f'"id": "{one.fact.span_id}"' in lines[one.line - 1]


def test_every_format_is_documented() -> None:
    """docs/audit-inputs.md has a line in its table for each."""
    text = (Path(__file__).parents[2] / "docs" / "audit-inputs.md").read_text()
    documented = set(re.findall(r"^\| `([a-z-]+)`", text, re.MULTILINE))
    assert documented == {*kinds(), "otlp-live"}
    assert {one.NAME for one in formats()} <= documented
