"""The pytest plugin that audits spans, in test runs of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "tollbook.audit.pytest_plugin"
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "audit-pytest.md"
SECRET = "what a customer said in confidence"

SHOP = f"""
import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

@pytest.fixture(scope="session", autouse=True)
def provider():
    trace.set_tracer_provider(TracerProvider(resource=Resource({{"service.name": "shop"}})))

def ask(number, tenant=None):
    told = {{
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1", "gen_ai.response.model": "gpt-4.1-2025-04-14",
        "gen_ai.response.id": f"chatcmpl-{{number}}", "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10, "gen_ai.prompt.0.content": "{SECRET}",
    }}
    if tenant:
        told["tenant.id"] = tenant
    tracer = trace.get_tracer("opentelemetry.instrumentation.openai")
    with tracer.start_as_current_span("POST /ask", kind=trace.SpanKind.SERVER):
        with tracer.start_as_current_span("chat", kind=trace.SpanKind.CLIENT, attributes=told):
            pass
"""
OWNED = """
def test_owned():
    ask(1, "acme")
"""
LOST = """
def test_lost():
    ask(2)
"""


@pytest.fixture
def runner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others take seconds to import
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return pytester


def run(runner: pytest.Pytester, *parts: str, arguments: tuple[str, ...] = ()) -> pytest.RunResult:
    runner.makepyfile(SHOP + "".join(parts))
    return runner.runpytest_subprocess("-q", "-p", PLUGIN, *arguments, timeout=120)


def calls_seen(result: pytest.RunResult) -> str:
    """Return how many calls the headline of the report counts."""
    said = re.search(r"Tollbook audit +(\d+) calls? ", result.stdout.str())
    return said[1] if said else "none"


def test_without_being_asked_it_says_nothing(runner: pytest.Pytester) -> None:
    result = run(runner, OWNED, LOST)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*Tollbook audit*")


def test_a_run_under_the_score_fails_and_names_the_test(runner: pytest.Pytester) -> None:
    result = run(runner, OWNED, LOST, arguments=("--tollbook-audit-fail-under=90",))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2)
    assert calls_seen(result) == "2"
    result.stdout.fnmatch_lines(["*test_lost*", "*FAILED tollbook audit: the score is *under 90.0"])
    assert SECRET not in result.stdout.str()


def test_a_run_with_owners_reaches_it(runner: pytest.Pytester) -> None:
    result = run(runner, OWNED, arguments=("--tollbook-audit-fail-under=90",))
    assert result.ret == 0
    assert calls_seen(result) == "1"


def test_without_a_score_to_reach_it_only_tells(runner: pytest.Pytester) -> None:
    result = run(runner, LOST, arguments=("--tollbook-audit",))
    assert result.ret == 0
    assert calls_seen(result) == "1"


def test_the_ini_file_can_ask_for_it_and_name_the_tenant(runner: pytest.Pytester) -> None:
    runner.makeini(
        "[pytest]\ntollbook_audit_fail_under = 90\ntollbook_audit = true\n"
        "tollbook_audit_tenant_attributes = shop.customer\n"
    )
    by_own_name = SHOP.replace('told["tenant.id"]', 'told["shop.customer"]')
    runner.makepyfile(by_own_name + OWNED)
    result = runner.runpytest_subprocess("-q", "-p", PLUGIN, timeout=120)
    assert result.ret == 0
    assert calls_seen(result) == "1"


def test_no_call_at_all_reaches_no_score(runner: pytest.Pytester) -> None:
    result = run(
        runner, "\ndef test_idle():\n    pass\n", arguments=("--tollbook-audit-fail-under=0",)
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED tollbook audit: no call to a model was seen*"])


@pytest.mark.parametrize("score", ["101", "ninety", "-1", "9.25", "1e1", "."])
def test_a_score_that_is_none_is_refused(runner: pytest.Pytester, score: str) -> None:
    runner.makepyfile(OWNED)
    result = runner.runpytest_inprocess("-p", PLUGIN, f"--tollbook-audit-fail-under={score}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is no score from 0 to 100*"])


def test_processes_of_xdist_are_audited_together(runner: pytest.Pytester) -> None:
    result = run(
        runner, OWNED, LOST, arguments=("-p", "xdist", "-n", "2", "--tollbook-audit-fail-under=90")
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert calls_seen(result) == "2"
    result.stdout.fnmatch_lines(["*test_lost*", "*FAILED tollbook audit: the score is *"])


def test_a_process_that_dies_is_told(runner: pytest.Pytester) -> None:
    dies = "\nimport os\ndef test_dies():\n    os._exit(3)\n"
    result = run(
        runner, OWNED, dies,
        arguments=("-p", "xdist", "-n", "1", "--max-worker-restart=0",
                   "--tollbook-audit-fail-under=50"),
    )  # fmt: skip
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED tollbook audit: *"])


MARKED = """
@pytest.mark.tollbook_audit_expect("{mode}")
def test_expects():
    ask(3)

@pytest.mark.tollbook_audit_expect("streaming")
def test_expects_in_vain():
    ask(4, "acme")

@pytest.mark.tollbook_audit_allow
def test_allows_all():
    ask(5)

@pytest.mark.tollbook_audit_allow("{mode}")
def test_allows_this():
    ask(6)

@pytest.mark.tollbook_audit_allow("streaming")
def test_allows_another():
    ask(7)
"""


def test_marked_tests_are_audited_by_themselves(runner: pytest.Pytester) -> None:
    mode = mode_of_lost(runner)
    result = run(
        runner, OWNED, MARKED.format(mode=mode), arguments=("--tollbook-audit-fail-under=90",)
    )
    result.assert_outcomes(passed=4, failed=2)
    assert calls_seen(result) == "1", "what marked tests do is not the run's"
    result.stdout.fnmatch_lines(
        ["*the audit did not find streaming; it found nothing*",
         "*the audit found what is not allowed here*"]
    )  # fmt: skip


def mode_of_lost(runner: pytest.Pytester) -> str:
    """Return the mode of a call that is nobody's, as the plugin itself says."""
    asks = '\n@pytest.mark.tollbook_audit_expect("metrics-only")\ndef test_asks():\n    ask(3)\n'
    said = re.search(
        r"did not find metrics-only; it found ([a-z-]+)", run(runner, asks).stdout.str()
    )
    assert said is not None
    return said[1]


def test_a_marker_that_names_no_mode_is_refused(runner: pytest.Pytester) -> None:
    wrong = ('expect("sreaming")', "expect", 'allow("nothing")')
    tests = (
        f"\n@pytest.mark.tollbook_audit_{marker}\ndef test_{number}():\n    ask(1)\n"
        for number, marker in enumerate(wrong)
    )
    result = run(runner, *tests, arguments=("--tollbook-audit",))
    result.assert_outcomes(failed=len(wrong))
    result.stdout.fnmatch_lines(
        ["*there is no mode 'sreaming'*", "*takes modes*", "*there is no mode 'nothing'*"]
    )


def test_the_page_does_what_it_says(runner: pytest.Pytester) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (settings,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    runner.makepyfile(code)
    runner.makepyprojecttoml(settings)
    result = runner.runpytest_subprocess("-q", "-p", PLUGIN, timeout=120)
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert calls_seen(result) == "1"
