"""LlamaIndex against a gateway: ``llamaindex_client.py URL KEY``; prints the answers as JSON."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

url, key = sys.argv[1:]
llm = OpenAI(model="gpt-4o-mini", api_base=f"{url}/openai/v1", api_key=key, max_retries=0)
plain = llm.chat([ChatMessage(role="user", content="Say something short.")])
streamed = "".join(
    part.delta or "" for part in llm.stream_chat([ChatMessage(role="user", content="And more.")])
)
print(json.dumps({"plain": plain.message.content, "streamed": streamed}))
