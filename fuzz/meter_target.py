"""Every dialect's reading of a request and of an answer, fed with any bytes in any pieces.

What must hold: nothing raises; what the client gets is what the provider sent, but where usage is
hidden; what is measured is never negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fuzz.http_target import MARK, BrokenPromiseError
from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.base import Dialect, RequestFacts, Route

PATHS: Final = {
    "openai": ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"),
    "anthropic": ("/v1/messages",),
    "azure": ("/openai/deployments/d/chat/completions", "/openai/v1/responses"),
    "gemini": ("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent"),
    "bedrock": ("/model/m/converse", "/model/m/converse-stream", "/model/m/invoke",
                "/model/m/invoke-with-response-stream"),
    "cohere": ("/v2/chat", "/v2/embed", "/v2/rerank"),
    "ollama": ("/api/chat", "/api/generate"),
}  # fmt: skip
TYPES: Final = (
    b"application/json", b"text/event-stream", b"application/vnd.amazon.eventstream",
    b"application/x-ndjson",
)  # fmt: skip
_LEADING: Final = 4
_STATUSES: Final = (200, 200, 200, 400, 429, 500)


def run(data: bytes) -> None:
    """Run one input: four bytes that choose, a request body, a mark, an answer body.

    Raises:
        BrokenPromiseError: something did not hold.
    """
    if len(data) < _LEADING:
        return
    chosen, (body, _, answer) = data[:_LEADING], data[_LEADING:].partition(MARK)
    names = sorted(PATHS)
    name = names[chosen[0] % len(names)]
    dialect = dialect_named(name)
    paths = PATHS[name]
    path = paths[chosen[1] % len(paths)]
    route = dialect.route("POST", path)
    facts = dialect.read_request(route, body, inject_stream_usage=True, user_is="user")
    status = _STATUSES[chosen[2] % len(_STATUSES)]
    headers = {b"content-type": TYPES[(chosen[2] >> 4) % len(TYPES)]}
    meter = dialect.meter(route, facts, status, headers)
    size = chosen[3] or len(answer) or 1
    given = b"".join(meter.feed(answer[at : at + size]) for at in range(0, len(answer), size))
    given += meter.flush()
    if not facts.hides_usage and given != answer:
        raise BrokenPromiseError(f"{name} {path}: the answer was changed")
    _measure(dialect, route, facts, path, meter.result(), status)


def _measure(
    dialect: Dialect, route: Route, facts: RequestFacts, path: str, seen: object, status: int
) -> None:
    from tollbook.dialects.base import Metered  # noqa: PLC0415 -- for the assertion alone

    assert isinstance(seen, Metered)
    opened = CallOpened(
        b"0" * 16, 0, Identity(), dialect.name, dialect.name, route.operation, Metering.METERED,
        "POST", path, model_requested=facts.model or route.model, is_stream=facts.is_stream,
        input_chars=facts.input_chars, max_output_tokens=facts.max_output_tokens,
        asked=facts.asked,
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 1, Status.OK, status, usage=seen.usage, usage_complete=seen.usage_complete,
        model_actual=seen.model_actual, service_tier=seen.service_tier,
        output_chars=seen.output_chars, output_events=seen.output_events,
    )  # fmt: skip
    measured = dialect.measure(Call(opened, closed, Evidence("w", 1, 0, "1")))
    for kinds in (measured.kinds, *(part.kinds for part in measured.further)):
        if kinds is not None and min(kinds) < 0:
            raise BrokenPromiseError(f"{dialect.name} {path}: {kinds}")
