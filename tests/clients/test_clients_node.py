"""The official JavaScript clients, unchanged but for the base URL."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.clients.conftest import SCRIPTS, assert_ledger_is_the_truth, run_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.slow
def test_openai_and_anthropic_from_javascript(
    make_house: Callable[..., Any], installed: Path
) -> None:
    house = make_house()
    key = house.key("web", tenant_id="acme")
    node = shutil.which("node")
    assert node is not None
    # A module is found beside the script, so the script goes where the packages are.
    script = shutil.copy(SCRIPTS / "node_clients.mjs", installed / "node")

    answer = run_script([node, str(script), house.url, key])

    assert answer["chunks"] > 2
    assert answer["refused"] == {
        "openai": ["NotFoundError", 404], "anthropic": ["NotFoundError", 404],
    }  # fmt: skip
    rows = assert_ledger_is_the_truth(house, calls=5)
    booked = {row["provider_response_id"]: row for row in rows if row["cost_usd"]}
    assert set(booked) == set(answer["seen"])
    for call, (given, out) in answer["seen"].items():
        row = booked[call]
        assert out == row["visible_output_tokens"] + row["reasoning_tokens"]
        if row["provider"] == "openai":
            assert given == row["uncached_input_tokens"] + row["cache_read_tokens"]
        else:
            assert given == row["uncached_input_tokens"]
