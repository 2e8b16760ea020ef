"""The pytest plugin ``tollbook``: a call without a tenant fails the test that makes it.

It is loaded wherever Tollbook is installed, so it imports nothing of the SDK until a test does.
What holds for the run is handed over in the environment variable that applications use, so that
processes which tests start do the same.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.sdk.sink import MemorySink

OPTION: Final = "tollbook_missing_tenant"
MARKER: Final = "tollbook_missing_tenant"
VARIABLE: Final = "TOLLBOOK_MISSING_TENANT"
POLICIES: Final = ("raise", "log", "book")
_before: Final = pytest.StashKey[str | None]()
_RUNTIME: Final = "tollbook.sdk.runtime"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(
        OPTION,
        "what a call to a model without a tenant does: raise (the default), log or book",
        default="raise",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the policy in force, unless the environment has one already."""
    config.addinivalue_line(
        "markers", f"{MARKER}(policy): what a call without a tenant does in this test"
    )
    policy = _checked(str(config.getini(OPTION)), f"ini option {OPTION}")
    config.stash[_before] = os.environ.get(VARIABLE)
    if config.stash[_before] is None:
        os.environ[VARIABLE] = policy
        _tell_runtime(policy)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the environment as it was."""
    if config.stash.get(_before, "") is None:
        os.environ.pop(VARIABLE, None)


def _checked(policy: str, where: str) -> str:
    if policy not in POLICIES:
        raise pytest.UsageError(f"{where}: {policy!r} is not one of {', '.join(POLICIES)}")
    return policy


def _tell_runtime(policy: str) -> None:
    """Tell the SDK, where something has imported it before."""
    module = sys.modules.get(_RUNTIME)
    if module is not None:
        module.configure(missing_tenant=policy)


@pytest.fixture(autouse=True)
def _tollbook_missing_tenant(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have a test's marker hold for the test."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        yield
        return
    if len(marker.args) != 1 or marker.kwargs:
        raise pytest.UsageError(f'{MARKER} takes one policy: pytest.mark.{MARKER}("book")')
    policy = _checked(str(marker.args[0]), f"marker {MARKER}")
    with _settings(missing_tenant=policy):
        yield


@pytest.fixture
def tollbook_calls() -> Iterator[MemorySink]:
    """Collect the calls of a test: ``tollbook_calls.calls`` has each one's two frames.

    A gateway that is configured is left aside meanwhile, for calls through it are its to tell of.
    """
    from tollbook.sdk.sink import MemorySink  # noqa: PLC0415 -- only for tests that ask for it

    sink = MemorySink()
    with _settings(sink=sink, gateway=None):
        yield sink


class _settings:  # noqa: N801 -- reads as a function
    """Settings for a while, and those before them again."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        from tollbook.sdk.runtime import configure, runtime  # noqa: PLC0415 -- on use

        known = runtime()
        self._before = {name: getattr(known, name) for name in self._settings}
        configure(**self._settings)

    def __exit__(self, *_: object) -> None:
        from tollbook.sdk.runtime import configure  # noqa: PLC0415 -- on use

        configure(**self._before)
