"""One simulator process for each module's tests, and its official clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from tollbook.simulator.lab import Lab
from tollbook.simulator.process import start_in_subprocess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with start_in_subprocess(tmp_path_factory.mktemp("truth")) as simulator:
        yield Lab(simulator)


@pytest.fixture(scope="module")
def openai_client(lab: Lab) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=lab.openai_url, api_key="sk-sim-test", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(lab: Lab) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=lab.anthropic_url, api_key="sk-sim-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def user_message() -> list[Any]:
    return [{"role": "user", "content": "What does one call cost?"}]
