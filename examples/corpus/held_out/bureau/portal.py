"""The portal: signs users in, answers letters, has cases scored and papers filed."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import redis
import requests
from flask import Flask, Response, g, request
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from rq import Queue

from examples.corpus.held_out.bureau.filing import file_away
from examples.corpus.program.models import CHAT, Models
from examples.corpus.program.steps import carrier
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_provider, watch_models
from examples.corpus.program.truth import asked

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRMS: Final = {"t-1": "northwind", "t-2": "contoso", "t-3": "fabrikam"}

around = read_surroundings()
start_provider("portal", around)
watch_models(around)
RequestsInstrumentor().instrument()
models = Models(around)
filing = Queue("filing", connection=redis.Redis.from_url(around.redis_url))
app = Flask("portal")
FlaskInstrumentor().instrument_app(app)


@app.before_request
def sign_in() -> None:
    """Find out which firm asks, and say so to all that comes of it."""
    firm = FIRMS.get(request.headers.get("x-session", ""))
    if firm is not None and not around.has("single-key"):
        trace.get_current_span().set_attribute("tenant_id", firm)
        g.token = context.attach(baggage.set_baggage("tenant_id", firm))


@app.teardown_request
def sign_out(_: BaseException | None) -> None:
    """Forget it."""
    token = g.pop("token", None)
    if token is not None:
        context.detach(token)


@app.get("/healthz")
def healthz() -> str:
    """Say that it is up."""
    return "up"


@app.post("/letters")
def letters() -> Response:
    """Draft a letter."""
    ticket = request.json["ticket"]
    if around.has("streaming"):
        return Response(_draft(ticket))  # which the server reads when the request is done with
    return Response("".join(_draft(ticket)))


def _draft(ticket: str) -> Iterator[str]:
    with asked(f"{ticket}.stream"):
        chunks: Any = models.openai.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "Draft a letter."}], stream=True,
            stream_options={"include_usage": True},
            extra_headers=models.headers(f"{ticket}.stream"),
        )  # fmt: skip
        for chunk in chunks:
            for choice in chunk.choices:
                yield choice.delta.content or ""


@app.post("/cases")
def cases() -> Any:
    """Have a case scored."""
    sent = {"ticket": request.json["ticket"]}
    answer = requests.post(f"{around.agent_url}/score", json=sent, timeout=60)
    answer.raise_for_status()
    return answer.json()


@app.post("/papers")
def papers() -> dict[str, str]:
    """Have a paper filed."""
    ticket = request.json["ticket"]
    carried = {} if around.has("background-jobs") else carrier()
    return {"job": filing.enqueue(file_away, ticket, carried).id}


def main() -> None:
    """Serve."""
    import sys  # noqa: PLC0415 -- the port

    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)


if __name__ == "__main__":
    main()
