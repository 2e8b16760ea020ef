"""The report as one file: whole, closed to the world, redacted, and proof against names."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from itertools import pairwise, product
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.audit_html.made_audits import FOLDER, TENANTS, audit, defensibility, finding, sketch
from tests.audit_html.read_html import Read

from tollbook.audit.findings import Bar, Hop, Mode, Severity, Sketch
from tollbook.audit.outputs.html import POLICY, html_text
from tollbook.audit.outputs.words import MODES
from tollbook.audit.report import Audit

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'--></style><svg/onload=x>",
    "</title></table></details>", "&lt;b&gt; &amp; &#60;",
    "a\0b\u202ec\ud800", "javascript:alert(1)",
    "]]><![CDATA[", "{{7*7}}${7*7}", '=HYPERLINK("x")', "ß" * 200, "",
)  # fmt: skip
_QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("number", [0, 1, 3, 40, 230])
def test_a_report_is_whole(number: int) -> None:
    made = audit(number)
    read = Read(html_text(made))
    assert read.problems() == []
    assert read.open == []
    for one in made.findings:
        assert one.title in read.text
    assert read.values("lang") == ["en"]
    headings = [tag for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert all(int(two[1]) - int(one[1]) <= 1 for one, two in pairwise(headings))


def test_every_table_has_headers_with_a_scope() -> None:
    read = Read(html_text(audit(3)))
    cells = [attributes for tag, attributes in read.tags if tag == "th"]
    assert len(cells) > 30
    assert all("scope" in attributes for attributes in cells)


def test_the_policy_lets_nothing_in_but_our_style() -> None:
    text = html_text(audit(3))
    read = Read(text)
    assert POLICY in read.values("content")
    css = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(css) == 1
    digest = b64encode(sha256(css[0].encode()).digest()).decode()
    allowed = dict(one.strip().split(" ", 1) for one in POLICY.split(";"))
    assert allowed == {
        "default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'",
        "form-action": "'none'",
    }  # fmt: skip
    assert "url(" not in css[0]
    assert "@import" not in css[0]
    before = text.index("Content-Security-Policy")
    assert before < text.index("<style>")


def test_what_the_report_says() -> None:
    text = Read(html_text(audit(3))).text
    for words in (
        "73.4", "$10.75 of $41.00 could not be defended", "Background jobs and workers",
        "The owner is lost through a queue", "last seen here", "first missing here", "affected",
        "12 spans left out", "Evidence: 5 spans of 214 occurrences", "traces.jsonl:40",
        "Send baggage along with the task", "before_task_publish",
        "Score after it: 81.2, from 73.4",
        "The same with Tollbook", "the line ends inside a string", "traces.jsonl, byte 48,123,000",
        "Each call has the weights of what it has", "4,312 attributes", "otlp-jsonl",
        "Rules that were not used: A14", "genai-prices 0.2.3", "88 spans that sum up calls",
    ):  # fmt: skip
        assert words in text, words


def test_an_audit_without_calls_says_so() -> None:
    text = Read(html_text(audit(0, calls=0, spans=12))).text
    assert "None of the spans is a call to a model" in text
    assert "73.4" not in text, "there is no score of nothing"
    assert "No span was read" in Read(html_text(audit(0, calls=0, spans=0))).text


def test_a_finding_without_its_parts() -> None:
    bare = finding(0, evidence=(), hop=None, fix=None, sketch=None, score_after=None, framework="",
                   factor_millis=2000, calls=0, cost_pico=0)  # fmt: skip
    never = finding(1, hop=Hop(None, finding().hop.first_missing, "start"))  # type: ignore[union-attr]
    read = Read(html_text(audit(0, findings=(bare, never))))
    assert read.problems() == []
    assert "sums up to 2 times what they should be" in read.text
    assert "No span before it names an owner." in read.text


def test_every_mode_is_drawn() -> None:
    found = [finding(at, mode=mode, severity=one)
             for at, (mode, one) in enumerate(product(Mode, Severity))]  # fmt: skip
    read = Read(html_text(audit(0, findings=tuple(found))))
    assert read.problems() == []
    assert all(name in read.text for name in MODES.values())


def test_names_are_redacted_unless_they_are_asked_for() -> None:
    title = f"{TENANTS[0]} is charged for {TENANTS[0]}-eu, not for (globex)"
    bars = (*sketch().bars, Bar("b1", f"GET /t/{TENANTS[1]}/ask", TENANTS[1], 0, 0, 5, TENANTS[1]))
    made = audit(0, findings=(finding(0, title=title, sketch=Sketch("t", bars)),))
    text = html_text(made)
    for name in (*TENANTS, FOLDER):
        assert name not in text
    assert "tenant 1 is charged for tenant 1-eu, not for (tenant 2)" in text
    assert "GET /t/tenant 2/ask" in text
    assert "tenants have labels instead of names" in text
    shown = html_text(made, show_names=True)
    assert title in shown
    assert f"{FOLDER}/traces.jsonl" in shown
    assert "shown as they were read" in shown


@_QUICK
@given(st.lists(st.text(min_size=3, max_size=20), min_size=1, max_size=5, unique=True))
def test_no_owner_is_in_a_redacted_report(owners: list[str]) -> None:
    owners = [f"Q{one}Z" for one in owners]  # nothing that our own words have
    bars = tuple(Bar(f"{at}", f"call {one}", "web", 0, at, 1, one) for at, one in enumerate(owners))
    made = finding(0, sketch=Sketch("t", bars), title=f"of '{owners[0]}'")
    text = Read(html_text(audit(0, findings=(made,)))).text
    for number, one in enumerate(owners, 1):
        whole = " ".join(one.split())
        assert whole not in text
        assert f"tenant {number}" in text


def _renamed(value: Any, name: str) -> Any:
    """Return data with every free text replaced; ids and words of ours stay."""
    if isinstance(value, dict):
        kept = {
            key: one if key in _OURS else _renamed(one, name) for key, one in value.items()
        }  # fmt: skip
        counted = ("instrumentations", "services", "unowned_services")
        return kept | {one: {name: 3} for one in counted if one in kept}
    if isinstance(value, list):
        return [_renamed(one, name) for one in value]
    return name if isinstance(value, str) else value


_OURS = frozenset(["mode", "severity", "finding_id", "mark", "page"])


def _named(name: str) -> Audit:
    data = _renamed(msgspec.to_builtins(audit(2)), name)
    return msgspec.convert(data, Audit)


@pytest.mark.parametrize("show_names", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_change_nothing_but_words(name: str, *, show_names: bool) -> None:
    _check_same(name, show_names=show_names)


@_QUICK
@given(st.text(st.characters(codec=None, exclude_categories=())), st.sampled_from([True, False]))
def test_no_name_breaks_out(name: str, show_names: bool) -> None:  # noqa: FBT001 -- Hypothesis gives it by place
    assume(name)
    _check_same(name, show_names=show_names)


def _check_same(name: str, *, show_names: bool) -> None:
    read = Read(html_text(_named(name), show_names=show_names))
    assert read.problems() == []
    if name:
        assert read.tags == _plain_tags(show_names=show_names)


@cache
def _plain_tags(*, show_names: bool) -> list[tuple[str, tuple[str, ...]]]:
    return Read(html_text(_named("plain"), show_names=show_names)).tags


def test_odd_numbers_are_drawn() -> None:
    bars = (
        Bar("a", "before", "web", -3, -50, 10, None),
        Bar("b", "deep", "web", 99, 0, -5, None, is_call=True),
        Bar("c", "late", "web", 1, 10**15, 10**12, "x", mark="nobody knows"),
    )  # fmt: skip
    odd = finding(0, sketch=Sketch("t", bars), cost_pico=-5, calls=10**12)
    told = defensibility(score_millis=1000, at_risk=(), at_risk_pico=0, cost_pico=0)
    made = audit(0, findings=(odd,), defensibility=told)
    read = Read(html_text(made))
    assert read.problems() == []
    for name in ("x", "width"):
        for value in read.values(name):
            assert 0 <= int(value) <= 1000
    assert "No dollar is at risk" in read.text
    empty = replace(made, defensibility=defensibility(score_millis=0, criteria=(), calls=0))
    assert Read(html_text(empty)).problems() == []


def test_a_change_of_tenant_is_no_missing_tenant() -> None:
    one = finding()
    assert one.hop is not None
    text = html_text(audit(1, findings=(replace(one, hop=replace(one.hop, is_change=True)),)))
    assert "First of another" in text
    assert "The owner changes" in text
    assert "First missing" not in text


def test_where_nothing_was_found_it_says_what_charges_lack() -> None:
    text = html_text(audit(0))
    assert "What charges lack all the same" in text
    assert "Nothing was found" not in text
    told = defensibility()
    whole = tuple(replace(one, calls=told.calls) for one in told.criteria)
    assert "Nothing was found." in html_text(audit(0, defensibility=replace(told, criteria=whole)))
