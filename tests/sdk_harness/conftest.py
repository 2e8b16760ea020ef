"""Simulated providers for the tests of the harness, and a sink that waits for what is dropped."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import make_house
from tests.sdk_harness.harness_kit import Providers, Seen

from tollbook.sdk.harness import dropped, faults, retries
from tollbook.sdk.runtime import Runtime, configure
from tollbook.simulator.process import start_in_subprocess

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_house"]


@pytest.fixture(autouse=True)
def _left_streams() -> Iterator[None]:
    """Collect the streams that a test left to the garbage collector, and their sockets, here.

    Leaving them is what such a test is about. Collected later, they would be the failure of
    whichever test runs then.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
        dropped.settle()
        gc.collect()


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with start_in_subprocess(tmp_path_factory.mktemp("truth")) as simulator:
        yield Providers(simulator)


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What the harness tells of, and the process as it is when nobody configured it."""
    blank = Runtime()
    before = configure()
    configure(**{name: getattr(blank, name) for name in Runtime.__struct_fields__})
    faults.counts.clear()
    retries.failed.clear()
    yield Seen()
    configure(**{name: getattr(before, name) for name in Runtime.__struct_fields__})
