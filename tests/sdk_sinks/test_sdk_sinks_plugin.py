"""The pytest plugin, in test runs of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    Runner = pytest.Pytester

pytest_plugins = ["pytester"]
PLUGIN = "tollbook.sdk.pytest_plugin"

CALL = """
import pytest
from tollbook.call import CallClosed, CallOpened, Metering, Status
from tollbook import ids, sdk
from tollbook.sdk.missing import MissingTenantError, check
from tollbook.sdk.runtime import runtime

def call():
    site = check(sdk.current())
    opened = CallOpened(ids.new_id(), 1, sdk.current(), "openai", "openai", "chat",
                        Metering.METERED, "POST", "/v1", call_site=site)
    sink = runtime().sink
    if sink is not None:
        sink.opened(opened)
        sink.closed(opened, CallClosed(opened.call_id, 2, Status.OK))
"""


@pytest.fixture
def runner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("TOLLBOOK_MISSING_TENANT", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others take seconds to import
    return pytester


def run(runner: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    runner.makepyfile(CALL + test)
    return runner.runpytest_subprocess("-q", "-p", PLUGIN, *arguments, timeout=60)


def test_pytest_loads_it_where_tollbook_is_installed() -> None:
    (found,) = entry_points(group="pytest11", name="tollbook")
    assert found.value == PLUGIN


def test_a_call_without_a_tenant_fails_its_test(runner: pytest.Pytester) -> None:
    done = run(runner, "def test_one():\n    call()\n")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*MissingTenantError: test_a_call*: a call to a model without*"])


def test_a_call_with_one_does_not(runner: pytest.Pytester) -> None:
    done = run(runner, "def test_one():\n    with sdk.tenant('acme'):\n        call()\n")
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize("policy", ["log", "book"])
def test_the_ini_option(runner: pytest.Pytester, policy: str) -> None:
    runner.makeini(f"[pytest]\ntollbook_missing_tenant = {policy}\n")
    done = run(runner, "def test_one(caplog):\n    call()\n    print(len(caplog.records))\n", "-rP")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines([str(int(policy == "log"))])


def test_the_environment_goes_before_the_ini_option(
    runner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_MISSING_TENANT", "book")
    run(runner, "def test_one():\n    call()\n").assert_outcomes(passed=1)


def test_a_marker_holds_for_its_test_only(runner: pytest.Pytester) -> None:
    done = run(
        runner,
        """
@pytest.mark.tollbook_missing_tenant("book")
def test_one():
    call()

def test_two():
    with pytest.raises(MissingTenantError):
        call()
""",
        "--strict-markers",
    )
    done.assert_outcomes(passed=2)


def test_the_calls_of_a_test(runner: pytest.Pytester) -> None:
    done = run(
        runner,
        """
def test_one(tollbook_calls):
    with sdk.tenant('acme'):
        call()
    ((opened, closed),) = tollbook_calls.calls
    assert opened.identity.tenant_id == 'acme'

def test_two(tollbook_calls):
    assert not tollbook_calls.calls

def test_three():
    assert runtime().sink is None
""",
    )
    done.assert_outcomes(passed=3)


@pytest.mark.parametrize("ini", ["tollbook_missing_tenant = explode", "addopts = --strict-config"])
def test_a_wrong_option_is_one_line(runner: pytest.Pytester, ini: str) -> None:
    runner.makeini(f"[pytest]\n{ini}\n")
    done = run(runner, "def test_one():\n    pass\n")
    if "explode" in ini:
        assert done.ret == pytest.ExitCode.USAGE_ERROR
        done.stderr.fnmatch_lines(["ERROR: ini option tollbook_missing_tenant: 'explode' is not*"])
    else:
        done.assert_outcomes(passed=1)


def test_a_wrong_marker_is_an_error_of_its_test(runner: pytest.Pytester) -> None:
    done = run(
        runner, "@pytest.mark.tollbook_missing_tenant('explode')\ndef test_one():\n    pass\n"
    )
    assert done.parseoutcomes().get("errors", 0) or done.ret != 0
    done.stdout.fnmatch_lines(["*marker tollbook_missing_tenant: 'explode' is not one of*"])


def test_a_run_without_it_imports_nothing_of_the_sdk(tmp_path: Path) -> None:
    code = """
import sys
import pytest
import tollbook.sdk.pytest_plugin
loaded = [one for one in sys.modules if one.startswith(("tollbook", "msgspec", "opentelemetry"))]
print(*sorted(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["tollbook", "tollbook.sdk", "tollbook.sdk.pytest_plugin"]
