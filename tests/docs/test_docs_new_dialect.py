"""The worked example of docs/new-dialect.md is a dialect that works."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.usage import Kinds

PAGE = Path(__file__).parents[2] / "docs" / "new-dialect.md"


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Any:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("score_example")
    # The structs look up their annotations in the module that they stand in.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    return module.__dict__["Score"]()


def test_the_example_meters_a_call(score: Any) -> None:
    route = score.route("POST", "/v1/score")
    assert route.metering is Metering.METERED
    assert score.route("GET", "/v1/score").metering is Metering.UNMETERED
    body = b'{"model":"m","documents":["a","b"]}'
    facts = score.read_request(route, body, inject_stream_usage=True, user_is="user")
    assert (facts.body, facts.model, facts.input_chars) == (body, "m", len('["a","b"]'))
    meter = score.meter(route, facts, 200, {})
    answer = b'{"id":"s1","scores":[1,2],"units":3}'
    assert meter.feed(answer) == answer
    seen = meter.result()
    assert (seen.usage, seen.provider_response_id) == ((b'{"units":3}',), "s1")
    opened = CallOpened(
        call_id=b"0" * 16, started_at_ns=1, identity=Identity(), provider="score", dialect="score",
        operation=route.operation, metering=route.metering, method="POST", path="/v1/score",
    )  # fmt: skip
    closed = CallClosed(
        call_id=b"0" * 16, closed_at_ns=2, status=Status.OK, usage=seen.usage,
        usage_complete=seen.usage_complete,
    )  # fmt: skip
    measured = score.measure(Call(opened, closed, Evidence("w", 0, 0, "1")))
    assert (measured.kinds, measured.source) == (Kinds(search_units=3), UsageSource.REPORTED)


def test_the_example_reads_errors_and_nonsense(score: Any) -> None:
    route = score.route("POST", "/v1/score")
    facts = score.read_request(route, b"\xff", inject_stream_usage=True, user_is="user")
    assert facts.body == b"\xff"
    for body in (b"", b"[", b"\xff", b"[]", b'{"units":null}'):
        meter = score.meter(route, facts, 200, {})
        assert meter.feed(body) == body
        meter.result()
    meter = score.meter(route, facts, 429, {})
    meter.feed(b'{"fault":{"type":"too_fast"}}')
    assert meter.result().error_type == "too_fast"
    assert score.read_credential(score.credential_headers("k")) == "k"
