"""LangChain against a gateway: ``langchain_client.py URL KEY``; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

TEXT = "Say something short."


def main(url: str, key: Any) -> None:
    """Ask once plainly and once as a stream, of both providers, and embed a text."""
    chat = ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/openai/v1", api_key=key, max_retries=0)
    claude = ChatAnthropic(
        model_name="claude-haiku-4-5", base_url=f"{url}/anthropic", api_key=key, max_retries=0,
        timeout=30, stop=None,
    )  # fmt: skip
    embed = OpenAIEmbeddings(
        model="text-embedding-3-small", base_url=f"{url}/openai/v1", api_key=key,
        check_embedding_ctx_length=False,
    )  # fmt: skip
    plain = chat.invoke(TEXT)
    usage = plain.usage_metadata
    assert usage is not None
    answer = {
        "id": plain.response_metadata["id"],
        "output_tokens": usage["output_tokens"],
        "parts": [len(list(chat.stream(TEXT))), len(list(claude.stream(TEXT)))],
        "claude": bool(claude.invoke(TEXT).content),
        "numbers": len(embed.embed_query("a text")),
    }
    print(json.dumps(answer))


main(*sys.argv[1:])
