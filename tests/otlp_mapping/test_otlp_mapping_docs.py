"""The code of the pages in ``docs/otlp`` does what they say: it runs as it stands there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.otlp_mapping.conftest import CLIENTS, ROOT
from tests.otlp_mapping.kit import RECEIVED_NS, call_in

from tollbook.capture.otlp.mapping import frames_of
from tollbook.ledger.charge import charge_of
from tollbook.prices.book import PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.otlp_mapping.conftest import Ran

PAGES = ROOT / "docs" / "otlp"
_block = re.compile(r"^```(python|js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = [
    "genai", "openllmetry", "openinference", "openlit", "langfuse", "logfire", "litellm", "vercel",
]  # fmt: skip


def code_of(name: str) -> tuple[str, str]:
    """Return the language and the code of a page."""
    ((language, code),) = _block.findall((PAGES / f"{name}.md").read_text())
    return language, code


def test_every_page_is_here_and_in_the_overview() -> None:
    assert {one.stem for one in PAGES.glob("*.md")} >= {*NAMES, "README"}
    overview = (PAGES / "README.md").read_text()
    assert all(f"({name}.md)" in overview for name in NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_page_runs_and_is_billed(
    name: str, run_instrumented: Callable[..., Ran], tmp_path: Path
) -> None:
    language, code = code_of(name)
    if language == "js":
        script = CLIENTS / "node_otel" / "page.mjs"  # modules are looked for beside it
        command = ["node", str(script)]
    else:
        script = tmp_path / "page.py"
        command = [str(CLIENTS / "otel" / "bin" / "python"), str(script)]
    # The one address that a page cannot take from the environment.
    stand_in = 'base_url=__import__("os").environ["COLLECTOR"]'
    script.write_text(code.replace('base_url="http://localhost:4318"', stand_in))
    ran = run_instrumented(
        *command, cwd=tmp_path, COLLECTOR="OTLP", OTEL_EXPORTER_OTLP_ENDPOINT="OTLP",
        OPENAI_BASE_URL="SIM/openai/v1", OPENAI_API_KEY="sk-sim-provider",
    )  # fmt: skip
    (truth,) = ran.truth
    assert truth.ended is not None
    frames = [frames_of(span, RECEIVED_NS) for span in ran.spans]
    calls = [call_in(one) for one in frames if len(one) > 1]
    parents = {one.opened.parent_span_id for one in calls}
    (leaf,) = [one for one in calls if one.opened.span_id not in parents]
    assert leaf.opened.identity.tenant_id == "acme"
    assert leaf.opened.provider == "openai"
    cost = charge_of(leaf, PriceBook([], "test", {}).resolve).cost
    assert cost is not None
    assert f"{cost // 10**12}.{cost % 10**12:012d}" == truth.ended.cost_usd
