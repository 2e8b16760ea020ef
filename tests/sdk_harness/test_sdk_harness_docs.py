"""The code of the pages in docs/sdk runs as it stands there, against simulated providers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mistralai.client import sdkconfiguration
from tests.sdk_harness.harness_kit import KEY

import tollbook
from tollbook.call import Status
from tollbook.sdk.harness import faults
from tollbook.simulator.provider.bedrock_signature import ACCESS_KEY_ID, SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from tests.sdk_harness.harness_kit import Providers, Seen

PAGES = Path(__file__).resolve().parents[2] / "docs" / "sdk"
find_blocks = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL).findall
CALLS = {
    "openai": 3, "anthropic": 2, "google-genai": 2, "bedrock": 2, "cohere": 3, "mistralai": 2,
}  # fmt: skip


def code_of(page: str) -> str:
    blocks = find_blocks((PAGES / f"{page}.md").read_text())
    assert len(blocks) == 2, "in process, and through a gateway"
    return "\n".join(blocks)


# The pages leave their clients open, as applications do that have one for all of their life.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("page", CALLS)
def test_the_code_of_a_page(
    page: str, providers: Providers, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{providers.url('openai')}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": providers.url("anthropic"),
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": providers.url("gemini"),
        "CO_API_KEY": KEY,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": providers.url("bedrock"),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sdkconfiguration.SERVERS, "global", providers.url("mistral"))
    tollbook.configure(sink=seen)

    # That client reads CO_API_URL once, when it is imported.
    at = f"cohere.ClientV2(base_url={providers.url('cohere')!r})"
    code = code_of(page).replace("cohere.ClientV2()", at)
    exec(compile(code, f"{page}.md", "exec"), {})

    pairs = seen.settled()
    assert len(pairs) == CALLS[page]
    assert {(pair.tenant, pair.closed.status) for pair in pairs} == {("acme", Status.OK)}
    assert all(pair.closed.usage_complete for pair in pairs)
    assert not {kind for kind in faults.counts if not kind.startswith("host ")}
