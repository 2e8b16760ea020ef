"""Calls to models: each has a ticket, which is the product's own name for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anthropic
import cohere
import openai
from pydantic import SecretStr

from examples.corpus.program.steps import carrier
from examples.corpus.program.truth import asked

if TYPE_CHECKING:
    from examples.corpus.program.surroundings import Surroundings

KEY: Final = "sk-sim-product"
TIMEOUT_S: Final = 30.0
CHAT: Final = "gpt-4.1"
SMALL: Final = "gpt-4.1-mini"
CLAUDE: Final = "claude-sonnet-4-5"
EMBEDDING: Final = "text-embedding-3-small"
RERANK: Final = "rerank-v3.5"


class Models:
    """The clients of the providers, or of the company's gateway in front of them.

    Args:
        around: where they are.
        direct: go to the providers even where there is a gateway: it does so itself.
    """

    def __init__(self, around: Surroundings, *, direct: bool = False) -> None:
        self._around = around
        self._through = around.has("gateway") and not direct
        openai_url = f"{around.gateway_url}/v1" if self._through else f"{around.at('openai')}/v1"
        claude_url = around.gateway_url if self._through else around.at("anthropic")
        self.openai = openai.OpenAI(base_url=openai_url, api_key=KEY, timeout=TIMEOUT_S)
        self.async_openai = openai.AsyncOpenAI(base_url=openai_url, api_key=KEY, timeout=TIMEOUT_S)
        self.anthropic = anthropic.Anthropic(base_url=claude_url, api_key=KEY, timeout=TIMEOUT_S)
        self._cohere = cohere.ClientV2(base_url=around.at("cohere"), api_key=KEY, timeout=TIMEOUT_S)

    def headers(self, ticket: str) -> dict[str, str]:
        """Return what goes along: a failure to be retried, and the trace to the gateway."""
        more = {"x-ticket": ticket} | carrier() if self._through else {}
        if self._around.has("baggage-third-party"):
            more = carrier()  # which is meant for a gateway of one's own
        if self._around.has("retries") and ticket.endswith((".plan", ".stream", ".job")):
            more["x-sim-fault"] = "server_error;times=1"
        return {"x-sim-request-id": ticket} | more

    def chat(self, ticket: str, prompt: str, model: str = SMALL) -> str:
        """Return what OpenAI's model says."""
        if self._around.has("langchain"):
            return self._by_langchain(ticket, prompt, model)
        with asked(ticket):
            answer = self.openai.chat.completions.create(
                model=model, messages=[{"role": "user", "content": prompt}],
                extra_headers=self.headers(ticket),
            )  # fmt: skip
        return answer.choices[0].message.content or ""

    def _by_langchain(self, ticket: str, prompt: str, model: str) -> str:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- one environment has it

        with asked(ticket):
            chat = ChatOpenAI(
                model=model, api_key=SecretStr(KEY), base_url=f"{self._around.at('openai')}/v1",
                default_headers=self.headers(ticket),
            )  # fmt: skip
            return str(chat.invoke(prompt).content)

    def claude(self, ticket: str, prompt: str) -> str:
        """Return what Anthropic's model says."""
        with asked(ticket):
            message = self.anthropic.messages.create(
                model=CLAUDE, max_tokens=300, messages=[{"role": "user", "content": prompt}],
                extra_headers=self.headers(ticket),
            )  # fmt: skip
        return "".join(block.text for block in message.content if block.type == "text")

    def embed(self, ticket: str, text: str) -> None:
        """Embed a text."""
        with asked(ticket):
            self.openai.embeddings.create(
                model=EMBEDDING, input=text, extra_headers=self.headers(ticket)
            )

    def rerank(self, ticket: str, question: str, documents: list[str]) -> None:
        """Rerank; only where the instrumentation knows of it, or the call is nobody's to see."""
        if self._around.instrumentation != "openllmetry" or self._through:
            return
        with asked(ticket):
            options: Any = {"additional_headers": self.headers(ticket)}
            self._cohere.rerank(
                model=RERANK, query=question, documents=documents, top_n=2, request_options=options
            )

    def stream_options(self) -> Any:
        """Return what makes a stream tell of its usage."""
        return openai.omit if self._around.has("streaming-usage") else {"include_usage": True}
