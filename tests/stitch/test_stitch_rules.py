"""The rules on their own: ids, grouping, owners, and entries back to calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stitch.stitch_kit import StitchWorld, call_id, hexid, joined, response

from tollbook.call import (
    IDENTITY_FIELDS,
    Call,
    CallClosed,
    CallOpened,
    Conflict,
    Evidence,
    Identity,
    Metering,
    Observer,
    Status,
)
from tollbook.identity.claims import Mechanism
from tollbook.ledger.batch import Entries
from tollbook.ledger.columns import call_columns
from tollbook.ledger.rebuild import rows_of
from tollbook.ledger.schema import TIME_ARROW
from tollbook.ledger.stitch.match import match
from tollbook.ledger.stitch.merge import merge, merge_identities
from tollbook.ledger.stitch.restore import CALL_COLUMNS, whole_call
from tollbook.ledger.stitch.rows import sight_of
from tollbook.ledger.stitch.sight import Sight, is_strong, same_family, same_model
from tollbook.ledger.stitch.trails import HOPS_MAX, Span, Trails
from tollbook.ledger.store import entry_table

if TYPE_CHECKING:
    import random

W = Any
SDK, OTLP, IMPORT = Observer.SDK, Observer.OTLP, Observer.IMPORT
R1 = "chatcmpl-0123456789abcdef0123"


@pytest.mark.parametrize(
    ("provider_id", "expected"),
    [
        ("chatcmpl-123", False), ("resp_1", False), ("", False), ("chatcmpl-sim-00012", False),
        ("chatcmpl-CX1234567890abcdefghijklmnopq", True), ("msg_01XFDUDYJgAACzvnptvVoYEL", True),
        ("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", True),
        ("c14c80c3-18eb-4519-9460-6c92edd8cfb4", True), ("mAitaLmkHPPlz7IPvtfUqQ4", True),
    ],
)  # fmt: skip
def test_which_ids_are_unique(provider_id: str, *, expected: bool) -> None:
    assert is_strong(provider_id) is expected


def test_names_of_providers_and_models() -> None:
    assert same_family("openai", "azure")
    assert same_family("openai", "our-proxy")
    assert not same_family("openai", "anthropic")
    call = joined(_seen(model_requested="gpt-4o", model_actual="gpt-4o-2024-08-06"))
    assert same_model(call, joined(_seen(model_requested="openai/gpt-4o", model_actual=None)))
    assert not same_model(call, joined(_seen(model_requested="gpt-4o-mini", model_actual=None)))
    assert same_model(call, joined(_seen(model_requested=None, model_actual=None)))


def _seen(
    observer: Observer | None = None, name: str | None = None, **fields: Any
) -> tuple[CallOpened, CallClosed]:
    world = StitchWorld.__new__(StitchWorld)  # frames alone need no ledger
    return world.seen(observer, name, at_ns=fields.pop("at_ns", 10**18), **fields)


def _sight(observer: Observer | None = None, name: str = "x", **fields: Any) -> Sight:
    return sight_of(joined(_seen(observer, name, **fields)), 0)


def _groups(sights: list[Sight], spans: dict[Any, Span] | None = None) -> set[frozenset[bytes]]:
    found = match(sights, Trails(spans or {}, sights))
    told = [one.call_id for group in found.groups for one in group]
    told += [one.call_id for one, _ in (*found.wrappers, *found.covered)]
    assert sorted(told) == sorted(one.call_id for one in sights), "each sight is somewhere, once"
    return {frozenset(one.call_id for one in group) for group in found.groups}


def test_no_two_calls_of_the_gateway_are_one() -> None:
    sights = [_sight(None, f"g{at}", response_id=R1, at_ns=10**18 + at) for at in range(3)]
    sights += [_sight(SDK, f"s{at}", response_id=R1, at_ns=10**18 + at) for at in range(3)]
    assert _groups(sights) == {
        frozenset([call_id(f"g{at}"), call_id(f"s{at}")]) for at in range(3)
    }  # fmt: skip


def test_a_unique_id_a_day_apart_is_the_same_call() -> None:
    """An export of another tool has the time of another zone."""
    early, late = _sight(None, "g", response_id=R1), _sight(
        IMPORT, "i", response_id=R1, at_ns=10**18 + 7 * 3600 * 10**9
    )  # fmt: skip
    assert len(_groups([early, late])) == 1
    weak = [one._replace(call=_with_id(one.call, "id-1")) for one in (early, late)]
    assert len(_groups(weak)) == 2


def _with_id(call: Call, response_id: str) -> Call:
    closed = msgspec.structs.replace(call.closed, provider_response_id=response_id)
    return Call(call.opened, closed, call.evidence)


_names = st.sampled_from([f"n{at}" for at in range(6)])
_sights = st.builds(
    lambda observer, name, response_id, parent, has_span, at_ms, tokens, operation: _sight(
        observer, f"{observer}{name}{at_ms}", response_id=response_id, trace="t",
        span=name if has_span and observer else None, parent=parent, at_ns=10**18 + at_ms * 10**6,
        tokens=tokens, operation=operation,
    ),
    st.sampled_from([None, SDK, OTLP, IMPORT]), _names,
    st.sampled_from([None, "", "weak-1", R1, response("other")]), st.one_of(st.none(), _names),
    st.booleans(), st.integers(0, 10**6), st.sampled_from([None, (10, 1), (20, 2)]),
    st.sampled_from(["chat", "chat", "invoke_agent"]),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_sights, max_size=10, unique_by=lambda one: one.call_id), st.randoms())
def test_grouping_knows_no_order(sights: list[Sight], chance: random.Random) -> None:
    """Whatever the tangle of spans: each sight is in one place, any order gives the same."""
    spans = {(hexid("t", 32), hexid(f"n{at}")): Span((hexid("t", 32), hexid(f"n{at // 2}")))
             for at in range(6)}  # fmt: skip
    first = _groups(sights, spans)
    assert bool(first) or not sights, "something is charged"
    ranks = {one.call_id: one.rank for one in sights}
    for group in first:
        told = [ranks[one] for one in group]
        assert told.count(0) <= 1
        assert told.count(1) <= 1
    shuffled = [*sights]
    chance.shuffle(shuffled)
    assert _groups(shuffled, spans) == first


def test_a_long_chain_of_spans_has_an_end() -> None:
    spans = {("t", f"{at}"): Span(("t", f"{at + 1}")) for at in range(10 * HOPS_MAX)}
    trails = Trails(spans, [])
    assert len(list(trails.upwards(("t", "0")))) == HOPS_MAX
    assert len(list(trails.lineage(("t", "0")))) == HOPS_MAX
    spans = {("t", "a"): Span(("t", "b"), links=(("t", "a"),)), ("t", "b"): Span(("t", "a"))}
    circle = Trails(spans, [])
    assert list(circle.lineage(("t", "a"))) == [("t", "a"), ("t", "b")]


def _owner(fields: dict[str, str], source: str) -> Identity:
    said: dict[str, Any] = dict(fields)
    return Identity(**said, sources=dict.fromkeys(fields, source))


_owners = st.builds(
    _owner,
    st.dictionaries(
        st.sampled_from(["tenant_id", "user_id", "environment"]), st.sampled_from(["a", "b", "c"])
    ),
    st.sampled_from([one.value for one in Mechanism]),
)


@given(st.lists(_owners, min_size=1, max_size=4))
def test_the_most_trusted_word_wins(owners: list[Identity]) -> None:
    merged = merge_identities(owners)
    trust = [one.value for one in Mechanism]
    for field in ("tenant_id", "user_id", "environment"):
        told = [one for one in owners if getattr(one, field) is not None]
        if not told:
            assert getattr(merged, field) is None
            continue
        best = min(told, key=lambda one: trust.index(one.sources[field]))
        assert getattr(merged, field) == getattr(best, field)
        refused = {
            getattr(one, field) for one in told if one.sources[field] != "default"
        } - {getattr(merged, field)}  # fmt: skip
        assert refused == {one.refused for one in merged.conflicts if one.field == field}


def test_the_best_of_each() -> None:
    layers = (0, 10, 6, 20)
    group = [
        _sight(None, "g", response_id=R1, tokens=None, status=Status.INTERRUPTED,
               model_actual=None),
        _sight(SDK, "s", response_id=R1, layers=layers, prefix_hash="abc", prefix_chars=7,
               time_to_first_token_ns=5),
        _sight(OTLP, "o", response_id=R1, tenant="acme", trace="t", span="o", parent="r"),
    ]  # fmt: skip
    best = merge(group).call
    assert best.opened.call_id == call_id("g")
    assert best.closed.status is Status.OK
    assert best.closed.usage == group[1].call.closed.usage
    assert best.opened.layers == layers
    assert (best.opened.prefix_hash, best.opened.prefix_chars) == ("abc", 7)
    assert best.opened.identity.tenant_id == "acme"
    assert best.opened.span_id == hexid("o")
    assert best.closed.model_actual == "m-1"
    assert best.opened.observer is None


_text = st.one_of(st.none(), st.text(max_size=5))
_number = st.integers(0, 2**31 - 1)
_identity = st.builds(
    Identity,
    **dict.fromkeys((*IDENTITY_FIELDS, "api_key_id"), _text),
    tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    sources=st.dictionaries(st.sampled_from(IDENTITY_FIELDS), st.text(max_size=3), max_size=2),
    conflicts=st.lists(st.builds(Conflict, *[st.text(max_size=3)] * 5), max_size=2).map(tuple),
    problems=st.lists(st.text(max_size=4), max_size=2).map(tuple),
)
_calls = st.builds(
    lambda opened, closed, usage, took: Call(
        CallOpened(**opened),
        CallClosed(call_id=opened["call_id"], closed_at_ns=opened["started_at_ns"] + took,
                   duration_ns=took, usage=tuple(usage), **closed),
        Evidence("w", 1, 2, "v"),
    ),
    st.fixed_dictionaries({
        "call_id": st.binary(min_size=16, max_size=16),
        "started_at_ns": st.integers(0, 2**50).map(lambda one: one * 1000),
        "identity": _identity, "provider": st.just("openai"), "dialect": st.just("openai"),
        "operation": st.just("chat"), "metering": st.sampled_from(list(Metering)),
        "method": st.just("POST"), "path": st.text(max_size=4), "model_requested": _text,
        "is_stream": st.booleans(), "attempt": _number, "idempotency_key": _text,
        "trace_id": _text, "parent_span_id": _text, "request_bytes": _number,
        "input_chars": _number, "max_output_tokens": st.one_of(st.none(), _number),
        "retry_of": st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
        "fallback_from": _text, "route": _text, "region": st.none(),
        "asked": st.one_of(st.none(), st.just({"images": 2, "size": "1x1"})),
        "batch_id": _text, "custom_id": _text, "span_id": _text, "call_site": _text,
        "observer": st.one_of(st.none(), st.sampled_from(list(Observer))),
        "layers": st.one_of(st.none(), st.just((0, 5, 3, 9))), "prefix_hash": _text,
        "prefix_chars": _number,
    }),
    st.fixed_dictionaries({
        "status": st.sampled_from([one for one in Status if one is not Status.INTERRUPTED]),
        "http_status": st.one_of(st.none(), st.integers(100, 599)), "error_type": _text,
        "time_to_first_token_ns": st.one_of(st.none(), _number), "provider_request_id": _text,
        "provider_response_id": _text, "model_actual": _text, "service_tier": _text,
        "usage_complete": st.booleans(), "output_chars": _number, "output_events": _number,
        "response_bytes": _number, "is_billable": st.booleans(),
    }),
    st.lists(st.sampled_from([b'{"prompt_tokens":1}', b"no json", b'"text"']), max_size=2),
    _number,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(_calls, min_size=1, max_size=4, unique_by=lambda one: one.opened.call_id))
def test_an_entry_back_to_its_call_says_the_same(calls: list[Call]) -> None:
    entries = Entries(lambda *_: None)
    entries.add(calls)
    again = []
    for batch in entries.batches():
        ids = pa.array(np.arange(batch.rows, dtype=np.int64))
        stamps = {"entry_id": ids, "batch_id": ids, "booked_at": ids.cast(TIME_ARROW)}
        table = entry_table({**batch.columns, **stamps}, batch.rows)
        again += [whole_call(row) for row in rows_of(table.select(CALL_COLUMNS))]
    before, after = call_columns(calls), call_columns(again)
    assert before.keys() == after.keys()
    for name, column in before.items():
        assert column.equals(after[name]), name
    assert [one.closed.usage for one in again] == [one.closed.usage for one in calls]
