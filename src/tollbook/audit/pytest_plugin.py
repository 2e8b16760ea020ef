"""The pytest plugin ``tollbook-audit``: audits the spans of a test run.

It watches the tracer providers that tests set up, brings the spans of all processes of
pytest-xdist together, and at the end says what an audit of them would say. With a score to reach
(``--tollbook-audit-fail-under``) the run fails below it, so that a change that loses whose a call
is does not get through. Nothing is imported until it is asked for.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.collected import Collector
    from tollbook.audit.report import Audit

FLAG: Final = "tollbook_audit"
FAIL_UNDER: Final = "tollbook_audit_fail_under"
TENANTS: Final = "tollbook_audit_tenant_attributes"
ALLOW: Final = "tollbook_audit_allow"
EXPECT: Final = "tollbook_audit_expect"
_SENT: Final = "tollbook_audit"
_PERCENT_MAX: Final = 100
_KEY: Final = pytest.StashKey["_Watch"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options and ini keys."""
    group = parser.getgroup("tollbook", "Tollbook's audit of spans")
    group.addoption(
        "--tollbook-audit", action="store_true", dest=FLAG,
        help="audit the OpenTelemetry spans of this run, and say so at its end",
    )  # fmt: skip
    group.addoption(
        "--tollbook-audit-fail-under", dest=FAIL_UNDER, metavar="SCORE",
        help="audit, and fail the run if the score (0 to 100) is under this one",
    )  # fmt: skip
    parser.addini(FLAG, "audit every run: true or false", type="bool", default=False)
    parser.addini(FAIL_UNDER, "the score that every audited run has to reach", default="")
    parser.addini(TENANTS, "attributes of spans that name the tenant here", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Make ready to watch."""
    for name, does in (
        (ALLOW, "audit this test by itself; of the modes it names nothing is held against it"),
        (EXPECT, "audit this test by itself; it fails unless these modes are found"),
    ):
        config.addinivalue_line("markers", f"{name}(*modes): {does}")
    config.stash[_KEY] = _Watch(config)


class _Watch:
    """What is known of a run, in each of its processes."""

    def __init__(self, config: pytest.Config) -> None:
        told = config.getoption(FAIL_UNDER)
        ini = str(config.getini(FAIL_UNDER))
        where = "--tollbook-audit-fail-under" if told is not None else f"ini option {FAIL_UNDER}"
        self.fail_under_millis = _millis(ini if told is None else str(told), where)
        self.is_on = bool(config.getoption(FLAG) or config.getini(FLAG) or told is not None)
        self.tenant_attributes = tuple(config.getini(TENANTS))
        self.lost: list[str] = []
        """Processes whose spans did not come."""
        self.audit: Audit | None = None
        self._collector: Collector | None = None

    @property
    def collector(self) -> Collector:
        """What takes the spans of this process."""
        if self._collector is None:
            from tollbook.audit.collected import Collector  # noqa: PLC0415 -- when it is used

            self._collector = Collector()
        return self._collector

    def watch(self) -> None:
        """Watch the provider that is in force, if a test or a fixture has set one."""
        if "opentelemetry.sdk.trace" in sys.modules:
            from opentelemetry import trace  # noqa: PLC0415 -- it is there

            provider = trace.get_tracer_provider()
            if hasattr(provider, "add_span_processor"):
                self.collector.watch(provider)

    def audited(self) -> Audit:
        """Return the audit of what was collected."""
        from tollbook.audit.advice.advise import with_advice  # noqa: PLC0415
        from tollbook.audit.engine import audit  # noqa: PLC0415 -- when it is used
        from tollbook.audit.pricing import ListPricer  # noqa: PLC0415
        from tollbook.audit.settings import AuditSettings  # noqa: PLC0415

        settings = AuditSettings(tenant_attributes=self.tenant_attributes)
        return audit(self.collector.inputs(), ListPricer(), settings, finish=with_advice)

    def failures(self) -> list[str]:
        """Return why the run should fail."""
        from tollbook.audit.outputs.words import score  # noqa: PLC0415 -- when it is used

        least, made = self.fail_under_millis, self.audit
        if least is None or made is None:
            return []
        if not made.calls:
            return ["no call to a model was seen, so nothing could be scored"]
        reached = made.defensibility.score_millis
        return (
            [f"the score is {score(reached)}, under {score(least)}"] if reached < least else []
        ) + [f"the spans of {one} did not come" for one in self.lost]


def _millis(text: str, where: str) -> int | None:
    """Return a score in thousandths."""
    if not text:
        return None
    whole, _, part = text.partition(".")
    is_number = text.isascii() and whole.isdigit() and (not part or part.isdigit())
    if not is_number or len(part) > 1 or int(whole) > _PERCENT_MAX:
        raise pytest.UsageError(f"{where}: {text!r} is no score from 0 to 100, such as 90 or 92.5")
    return min(1000, int(whole) * 10 + int(part or 0))


@pytest.fixture(scope="session")
def tollbook_audit_spans(request: pytest.FixtureRequest) -> Collector:
    """What takes the spans of this run: ``watch(provider)`` has it watch another provider.

    Where no provider has been set, one is: instrumentations make no spans without.
    """
    watch = request.config.stash[_KEY]
    watch.watch()
    from opentelemetry import trace  # noqa: PLC0415 -- for tests that ask for it
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    if not hasattr(trace.get_tracer_provider(), "add_span_processor"):
        trace.set_tracer_provider(TracerProvider())
        watch.watch()
    return watch.collector


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have what ends from now on be this test's."""
    watch = item.config.stash[_KEY]
    if watch.is_on:
        watch.collector.place = item.nodeid


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Watch what fixtures have set up; audit a marked test by itself."""
    watch = item.config.stash[_KEY]
    expected, allowed = _modes(item, EXPECT), _modes(item, ALLOW)
    if not watch.is_on and expected is None:
        return (yield)
    watch.watch()
    if expected is None and allowed is None:
        return (yield)
    before = watch.collector.set_aside()
    try:
        result = yield
        found = _found(watch.audited())
    finally:
        watch.collector.set_aside()
        watch.collector.put_back(before)
    _judge(found, expected, allowed)
    return result


def _judge(
    found: dict[str, str], expected: frozenset[str] | None, allowed: frozenset[str] | None
) -> None:
    missing = sorted((expected or frozenset()) - found.keys())
    if missing:
        said = ", ".join(sorted(found)) or "nothing"
        pytest.fail(f"the audit did not find {', '.join(missing)}; it found {said}", pytrace=False)
    if allowed:
        further = sorted(found.keys() - allowed - (expected or frozenset()))
        if further:
            titles = "\n".join(f"{mode}: {found[mode]}" for mode in further)
            pytest.fail(f"the audit found what is not allowed here\n{titles}", pytrace=False)


def _modes(item: pytest.Item, marker: str) -> frozenset[str] | None:
    """Return what a test's markers of one name name; None without any."""
    markers = list(item.iter_markers(marker))
    if not markers:
        return None
    from tollbook.audit.findings import Mode  # noqa: PLC0415 -- when it is used

    known = {mode.value for mode in Mode}
    named = frozenset(str(name) for one in markers for name in one.args)
    if marker == EXPECT and not named:
        raise pytest.UsageError(f'{marker} takes modes: pytest.mark.{marker}("streaming")')
    for name in sorted(named - known):
        raise pytest.UsageError(f"marker {marker}: there is no mode {name!r}")
    return named


def _found(made: Audit) -> dict[str, str]:
    """Return what was found that is worse than a note, with a title."""
    return {one.mode.value: one.title for one in made.findings if one.severity.value != "note"}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the spans on, or audit them."""
    config = session.config
    watch = config.stash[_KEY]
    if not watch.is_on:
        return
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output[_SENT] = (watch.collector.packed(), watch.collector.left_out)
        return
    watch.audit = watch.audited()
    if watch.failures() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a process of pytest-xdist has sent."""
    del error  # a process that died has sent nothing, which is seen below
    watch = node.config.stash[_KEY]
    sent = getattr(node, "workeroutput", {}).get(_SENT)
    if sent is not None:
        watch.collector.unpack(*sent)
    elif watch.is_on:
        watch.lost.append(node.gateway.id)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was found."""
    watch = config.stash[_KEY]
    if watch.audit is None:
        return
    from msgspec.structs import replace  # noqa: PLC0415 -- when it is used

    from tollbook.audit.outputs.style import style_of  # noqa: PLC0415
    from tollbook.audit.outputs.terminal import terminal_text  # noqa: PLC0415

    terminalreporter.section("Tollbook audit")
    style = replace(style_of(sys.stdout), has_colour=terminalreporter.hasmarkup)
    terminalreporter.write_line(terminal_text(watch.audit, style))
    if watch.collector.left_out:
        terminalreporter.write_line(f"{watch.collector.left_out} further spans were not looked at")
    for words in watch.failures():
        terminalreporter.write_line(f"FAILED tollbook audit: {words}", red=True)
