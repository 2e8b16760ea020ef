"""Exports of other tools of one little product, and what the audit understands of them.

Two tenants and a nightly job without one: an agent that asks a model and searches by embeddings,
a plain answer of another provider, and a summary that belongs to nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tollbook.audit.extract import Extractor
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.read import Batch, Trouble
from tollbook.audit.settings import DEFAULT
from tollbook.audit.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.read import InputRead
    from tollbook.capture.otlp.spans import Span

DATA = Path(__file__).parent / "data"


class SeenCall(NamedTuple):
    """A call as rules see it."""

    tenant: str | None
    user: str | None
    operation: str
    provider: str
    models: tuple[str | None, str | None]
    """Asked for and answered."""
    uncached_input: int
    cache_read: int
    output: int
    above: tuple[str, ...]
    """Names of the spans that caused it, the nearest first."""
    line: int | None
    fact: SpanFact


class Seen(NamedTuple):
    """What was understood of an export."""

    read: InputRead
    spans: list[Span]
    calls: list[SeenCall]
    troubles: list[Trouble]


def _seen_call(trace: Trace, fact: SpanFact) -> SeenCall:
    call = fact.call
    assert call is not None
    kinds = call.kinds
    tenant = trace.owner_of(fact)
    user = trace.owner_of(fact, "user_id")
    return SeenCall(
        tenant=None if tenant is None else tenant.value,
        user=None if user is None else user.value,
        operation=call.operation,
        provider=call.provider,
        models=(call.model_requested, call.model_actual),
        uncached_input=0 if kinds is None else kinds.uncached_input_tokens,
        cache_read=0 if kinds is None else kinds.cache_read_tokens,
        output=0 if kinds is None else kinds.visible_output_tokens,
        above=tuple(one.name for one in trace.ancestors(fact)),
        line=fact.line,
        fact=fact,
    )


def _look(path: Path, mapping: Path | None = None, kind: str | None = None) -> Seen:
    [source] = open_inputs([str(path)], mapping=mapping, kind=kind)
    extractor = Extractor(DEFAULT)
    spans: list[Span] = []
    troubles: list[Trouble] = []
    by_trace: dict[str, list[SpanFact]] = {}
    for part in source:
        if isinstance(part, Trouble):
            troubles.append(part)
            continue
        assert isinstance(part, Batch)
        for span in part.spans:
            spans.append(span)
            fact = extractor.fact(span, 0, part)
            by_trace.setdefault(fact.trace_id, []).append(fact)
    traces = [Trace(facts) for facts in by_trace.values()]
    calls = [_seen_call(trace, fact) for trace in traces for fact in trace.calls]
    calls.sort(key=lambda one: one.fact.started_at_ns)
    return Seen(source.read, spans, calls, troubles)


@pytest.fixture
def look() -> Callable[..., Seen]:
    """Read a file, ``look(path, mapping=None, kind=None)``, and return what is understood."""
    return _look


@pytest.fixture
def data() -> Path:
    """Return the folder of the exports."""
    return DATA
