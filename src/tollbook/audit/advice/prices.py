"""Advice on prices: which one a cost was worked out by."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_PRICES: Final = """
# tollbook.toml, and: tollbook audit traces.jsonl --config tollbook.toml
[[prices]]
provider = "openai"
model = "gpt-4o*"
effective_from = "2026-11-01"
discount_percent = 7.5
"""

ADVICE: Final[Book] = {
    (Mode.PRICE_MISSING.value, ""): advice(
        "Ask for dated models, and keep dated prices",
        "A name such as gpt-4o-latest means another model next month, and a price without a date "
        "cannot be checked against an invoice.",
        """
        from openai import OpenAI


        def ask(client: OpenAI, messages: list):
            return client.chat.completions.create(model="gpt-4o-2024-08-06", messages=messages)
        """,
        page="prices.md",
        tollbook=_PRICES,
        tollbook_language="toml",
    ),
    ("A30", ""): advice(
        "Write the date of the prices beside the cost",
        "When prices change nobody can tell which cost was worked out by which; tokens can always "
        "be priced again.",
        """
        from opentelemetry import trace


        def tell(span: trace.Span, cost_usd: str, prices_of: str) -> None:
            span.set_attribute("gen_ai.usage.cost", cost_usd)
            span.set_attribute("gen_ai.usage.cost.price_version", prices_of)  # "2026-11-01"
        """,
        page="prices.md",
        tollbook=_PRICES,
        tollbook_language="toml",
    ),
    (Mode.COST_MISMATCH.value, ""): advice(
        "Work costs out again from the tokens, by dated prices",
        "The tool's price table is old, or it prices a tier, a batch or cached tokens as standard: "
        "its cost and the provider's invoice will differ.",
        """
        # bring the tool's own price table up to date, then compare again
        pip install --upgrade litellm genai-prices
        """,
        "bash",
        page="prices.md",
        tollbook=_PRICES,
        tollbook_language="toml",
    ),
}
