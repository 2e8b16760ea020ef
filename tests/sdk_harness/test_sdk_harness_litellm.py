"""LiteLLM as a library, in an environment of its own (.clients), sync, async and streamed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.clients.conftest import installed
from tests.sdk_harness.harness_kit import KEY

if TYPE_CHECKING:
    from tests.sdk_harness.harness_kit import Providers

__all__ = ["installed"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "sdk" / "litellm.md"
find_blocks = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL).findall
BEFORE = """
import asyncio, gc, json, os, sys, time
import litellm
import tollbook
from tollbook.sdk.harness import faults
from tollbook.sdk.sink import MemorySink

base, key = sys.argv[1:]
sink = MemorySink()
tollbook.configure(sink=sink)
M = [{"role": "user", "content": "Say something short."}]
gpt = dict(model="openai/gpt-4o-mini", api_base=base + "/openai/v1", api_key=key, messages=M)
claude = dict(
    model="anthropic/claude-sonnet-4-6", api_base=base + "/anthropic", api_key=key, messages=M,
    max_tokens=50,
)
"""
AFTER = """
for _ in range(300):
    gc.collect()  # LiteLLM's own threads hold answers a while longer
    if not sink.open_calls:
        break
    time.sleep(0.02)
calls = [
    [o.provider, o.operation, o.identity.tenant_id, o.is_stream, c.status, c.usage_complete,
     c.provider_request_id]
    for o, c in sorted(sink.calls, key=lambda pair: pair[0].started_at_ns)
]
print(json.dumps({"open": sink.open_calls, "calls": calls, "faults": dict(faults.counts)}))
"""
SYNC = """
tollbook.wrap_litellm()
with tollbook.tenant("a"):
    litellm.completion(**gpt)
    first = litellm.completion(stream=True, **gpt)
    second = litellm.completion(stream=True, **claude)
    litellm.embedding(
        model="openai/text-embedding-3-small", input=["x"], api_base=base + "/openai/v1",
        api_key=key,
    )
with tollbook.tenant("b"):
    list(first), list(second)
    litellm.completion(**claude)
del first, second
"""
ASYNC = """
tollbook.wrap_litellm()

async def one(tenant):
    with tollbook.tenant(tenant):
        await litellm.acompletion(**gpt)
        await litellm.acompletion(**claude)
        return await litellm.acompletion(stream=True, **gpt), await litellm.acompletion(
            stream=True, **claude
        )

async def main():
    for pair in await asyncio.gather(*(one(f"t{n}") for n in range(3))):
        for stream in pair:
            async for _ in stream:
                pass
    with tollbook.tenant("left"):
        stream = await litellm.acompletion(stream=True, **gpt)
        async for _ in stream:
            break

asyncio.run(main())
"""
UNWRAPPED = """
tollbook.wrap_litellm()
tollbook.unwrap_litellm()
litellm.completion(**gpt)
"""


@pytest.fixture
def run(installed: Path, providers: Providers, tmp_path: Path) -> Any:
    """Return what runs a script against the simulated providers and returns its JSON."""
    # That environment has LiteLLM; what this package itself needs beside it is lent to it.
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    base = providers.simulator.base_url
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{base}/openai/v1",
    }

    def run(script: str) -> Any:
        done = subprocess.run(
            [installed / "venv" / "bin" / "python", "-c", BEFORE + script + AFTER, base, KEY],
            capture_output=True, text=True, check=False, timeout=120, env=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


def test_synchronous_calls_and_streams_belong_to_whoever_asked(
    run: Any, providers: Providers
) -> None:
    told = run(SYNC)
    assert told["faults"] == {}
    assert told["open"] == 0
    assert sorted(call[:4] for call in told["calls"]) == [
        ["anthropic", "chat", "a", True],
        ["anthropic", "chat", "b", False],
        ["openai", "chat", "a", False],
        ["openai", "chat", "a", True],
        ["openai", "embeddings", "a", False],
    ]
    assert all(call[5] for call in told["calls"]), "usage of all"
    known = {call.ended.provider_request_id for call in providers.truth() if call.ended}
    assert {call[6] for call in told["calls"]} <= known


def test_asynchronous_calls_of_tenants_at_once(run: Any) -> None:
    told = run(ASYNC)
    assert told["faults"] == {}
    assert told["open"] == 0
    tenants = sorted(call[2] for call in told["calls"])
    assert tenants == ["left", *(f"t{n}" for n in range(3) for _ in range(4))]
    whole = [call for call in told["calls"] if call[2] != "left"]
    assert all(call[5] for call in whole)


def test_it_can_be_taken_back(run: Any) -> None:
    assert run(UNWRAPPED)["calls"] == []


def test_the_code_of_the_page(run: Any) -> None:
    first, through = find_blocks(PAGE.read_text())
    told = run(first + through)
    assert [call[:5] for call in told["calls"]] == [
        ["openai", "chat", "acme", False, "ok"],
        ["openai", "chat", "acme", True, "ok"],
    ]
