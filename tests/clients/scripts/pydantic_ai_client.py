"""Pydantic AI against a gateway: ``pydantic_ai_client.py URL KEY``; prints the answers as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

TEXT = "Say something short."


async def main(url: str, key: str) -> None:
    """Run an agent of each provider, plainly and as a stream."""
    gpt = OpenAIChatModel(
        "gpt-4o-mini", provider=OpenAIProvider(base_url=f"{url}/openai/v1", api_key=key)
    )
    claude = AnthropicModel(
        "claude-haiku-4-5", provider=AnthropicProvider(base_url=f"{url}/anthropic", api_key=key)
    )
    said = []
    for model in (gpt, claude):
        agent = Agent(model)
        said.append((await agent.run(TEXT)).output)
        async with agent.run_stream(TEXT) as stream:
            said.append(await stream.get_output())
    print(json.dumps(said))


asyncio.run(main(*sys.argv[1:]))
