"""Attributes that hold what was said to a model or by it, or a text that may quote it.

They are dropped on reading and counted, so that the report can say so. Sources: the opt-in
attributes of the GenAI conventions, OpenInference, OpenLLMetry, Langfuse and the AI SDK, statements
and queries of databases and URLs, and messages of exceptions, which quote requests.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = frozenset(
    {
        "gen_ai.prompt", "gen_ai.completion", "gen_ai.system_instructions", "gen_ai.content",
        "gen_ai.tool.definitions", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
        "gen_ai.tool.description", "gen_ai.retrieval.query.text", "gen_ai.retrieval.documents",
        "traceloop.entity.input", "traceloop.entity.output", "input.value", "output.value",
        "ai.values", "ai.value", "ai.embedding", "ai.embeddings", "ai.response.text",
        "ai.response.object", "ai.response.toolCalls", "ai.response.reasoning",
        "ai.toolCall.args", "ai.toolCall.result", "ai.schema", "ai.result.text",
        "ai.result.object", "langfuse.observation.input", "langfuse.observation.output",
        "langfuse.trace.input", "langfuse.trace.output", "llm.prompts", "llm.completions",
        "llm.input", "llm.output", "llm.function_call", "llm.invocation_parameters.messages",
        "retrieval.query", "reranker.query", "embedding.text", "document.content",
        "tool.parameters", "tool.description", "tool_arguments", "tool_response", "input",
        "output", "prompt", "completion", "request_data", "response_data", "logfire.msg",
        "all_messages_events", "events", "final_result", "message.content", "messages",
        "db.statement", "db.query.text", "db.query", "url.query", "http.query", "sql.query",
        "graphql.document", "graphql.variables", "exception.message", "exception.stacktrace",
        "error.message", "error.stack", "system_instructions", "question", "answer",
        "mcp.request.argument", "mcp.response.value", "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response", "genkit:input", "genkit:output", "celery.args",
        "celery.kwargs", "messaging.message.body", "http.request.body", "http.response.body",
    }
)  # fmt: skip
_PREFIXES: Final = (
    "gen_ai.prompt.", "gen_ai.completion.", "gen_ai.input.", "gen_ai.output.messages",
    "ai.prompt", "llm.input_messages", "llm.output_messages", "llm.prompts.", "llm.completions.",
    "llm.prompt_template", "llm.tools", "retrieval.documents", "embedding.embeddings",
    "reranker.input_documents", "reranker.output_documents", "db.query.parameter.",
    "http.request.body.", "http.response.body.", "message.", "langfuse.observation.input.",
    "langfuse.observation.output.",
)  # fmt: skip
_NOT_TEXT: Final = frozenset(
    {"gen_ai.prompt.name", "gen_ai.prompt.version", "gen_ai.prompt.id",
     "gen_ai.input.token_count"}
)  # fmt: skip


def is_content(name: str) -> bool:
    """Whether an attribute is dropped on reading."""
    return (
        name in _NAMES
        or (name.startswith(_PREFIXES) and name not in _NOT_TEXT)
        or name.endswith((".messages", ".message.content"))
    )
