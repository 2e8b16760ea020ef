"""What docs/layers.md shows is run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.layers.layers_kit import PATHS, layered, sums

from tollbook.dialects.layer_marks import read_marks
from tollbook.dialects.registry import dialect_named
from tollbook.sdk import marking
from tollbook.sdk.markers import marked

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "layers.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_layers_page_marks_in_python() -> None:
    code = blocks("python")[0]
    names: dict[str, object] = {}
    # Within the block that the page shows, the request would be sent.
    exec(code + "    find(messages)\n", names | {"find": _found})


def _found(messages: object) -> None:
    body = {"messages": messages}
    dialect = dialect_named("openai")
    route = dialect.route("POST", PATHS["openai"])
    found = marked(dialect, route, json.dumps(body).encode(), layered("openai", body))
    assert set(sums(found)) == {"system", "memory", "retrieved", "user_input"}


def test_layers_page_counts_with_a_tokenizer() -> None:
    with marking():
        exec(blocks("python")[1], {})


def test_layers_page_header_is_understood() -> None:
    name, _, value = blocks("http")[0].partition(":")
    assert name == "x-tollbook-layers"
    marks, problems = read_marks(value.strip())
    assert problems == []
    assert len(marks) == 2
