"""Advice on what a charge lacks that no finding is about: ids, models, places in the bill."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice import counting, owners, prices
from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_WRAPPED: Final = """
import openai

import tollbook

client = tollbook.wrap(openai.OpenAI())  # id, model, key and attempt are kept of every call
"""

ADVICE: Final[Book] = {
    ("owner", ""): owners.ADVICE[Mode.MISSING_TENANT.value, ""],
    ("token_kinds", ""): counting.ADVICE[Mode.TOKEN_KINDS.value, ""],
    ("price", ""): prices.ADVICE[Mode.PRICE_MISSING.value, ""],
    ("model_actual", ""): counting.ADVICE[Mode.MODEL_UNKNOWN.value, ""],
    ("retries", ""): counting.ADVICE[Mode.RETRIES.value, ""],
    ("request_id", ""): advice(
        "Record the id of the provider's answer",
        "It is the one thing by which the provider's support and exports find the same call; many "
        "instrumentations leave it out of embeddings and streams.",
        """
        from opentelemetry import trace


        def tell(span: trace.Span, answer) -> None:
            span.set_attribute("gen_ai.response.id", answer.id)


        def tell_embedding(span: trace.Span, raw) -> None:  # client.embeddings.with_raw_response
            span.set_attribute("gen_ai.response.id", raw.headers["x-request-id"])
        """,
        page="otlp/genai.md",
        tollbook=_WRAPPED,
    ),
    ("billing_path", ""): advice(
        "Record which key and which host the call was made with",
        "A provider's bill is by account, project or key: with its name on the span the sum of the "
        "calls can be held against a line of the bill.",
        """
        from opentelemetry import trace


        def tell(span: trace.Span) -> None:
            span.set_attribute("server.address", "api.openai.com")
            span.set_attribute("gen_ai.api_key.id", "backend-production")  # its name, never the key
        """,
        page="reports.md",
        tollbook=_WRAPPED,
    ),
}
