"""Spans that the product makes of its own: steps of agents, tools, retrieval."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from opentelemetry import context, propagate, trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from examples.corpus.program.surroundings import Surroundings

tracer = trace.get_tracer("product")


@contextlib.contextmanager
def agent_step(name: str, around: Surroundings, *, tool: bool = False) -> Iterator[None]:
    """Make a span of what an agent or a tool does, in the words of the instrumentation."""
    if around.instrumentation == "openinference":
        said = {"openinference.span.kind": "TOOL" if tool else "AGENT"}
    elif tool:
        said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    else:
        said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    title = f"{'execute_tool' if tool else 'invoke_agent'} {name}"
    with tracer.start_as_current_span(title, attributes=said):
        yield


@contextlib.contextmanager
def carried(message: Mapping[str, str]) -> Iterator[None]:
    """Go on with what a message carries."""
    token = context.attach(propagate.extract(message))
    try:
        yield
    finally:
        context.detach(token)


def carrier() -> dict[str, Any]:
    """Return what a message or a request must carry for another process to go on."""
    headers: dict[str, Any] = {}
    propagate.inject(headers)
    return headers
