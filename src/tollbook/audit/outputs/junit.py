"""JUnit XML: one test for each rule that was used, failed where it found something.

The shape is that of the Jenkins xunit plugin, which all CI systems read: ``testsuites``,
``testsuite`` with ``properties``, ``testcase`` with ``failure``. Notes do not fail a test.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tollbook.audit.findings import Severity
from tollbook.audit.outputs import words
from tollbook.audit.outputs.hops import hop_words, place_words, plain, span_words
from tollbook.audit.rules.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.findings import Finding
    from tollbook.audit.report import Audit

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""
_SPANS: Final = 10


def junit_text(audit: Audit) -> str:
    """Return the document as text, its lines ended."""
    by_rule: dict[str, list[Finding]] = {
        name: [] for name in CATALOGUE if name not in audit.ignored
    }
    for one in audit.findings:
        by_rule.setdefault(one.rule, []).append(one)
    root = Element("testsuites", name="tollbook audit")
    suite = SubElement(root, "testsuite", name="tollbook audit", timestamp=audit.made_at[:19])
    properties = SubElement(suite, "properties")
    score = words.score(audit.defensibility.score_millis)
    for name, value in (("score", score), ("calls", audit.calls), ("spans", audit.spans)):
        SubElement(properties, "property", name=name, value=str(value))
    failed = 0
    for rule, findings in by_rule.items():
        failed += _case(suite, rule, findings)
    for element in (root, suite):
        element.set("tests", str(len(by_rule)))
        element.set("failures", str(failed))
        element.set("errors", "0")
    suite.set("skipped", "0")
    suite.set("time", "0")
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, rule: str, findings: Sequence[Finding]) -> int:
    entry = CATALOGUE.get(rule)
    name = f"{rule} {entry.name}" if entry is not None else rule
    mode = entry.mode.value if entry is not None else "audit"
    case = SubElement(suite, "testcase", classname=f"tollbook.audit.{mode}", name=name, time="0")
    grave = [one for one in findings if one.severity is not Severity.NOTE]
    if grave:
        calls = words.count(sum(one.calls for one in grave), "call")
        message = f"{words.count(len(grave), 'finding')}, {calls}: {grave[0].title}"
        failure = SubElement(
            case, "failure", type=grave[0].severity.value, message=_text(plain(message))
        )
        failure.text = _text("\n\n".join(map(_told, grave)))
    notes = [one for one in findings if one.severity is Severity.NOTE]
    if notes:
        SubElement(case, "system-out").text = _text("\n\n".join(map(_told, notes)))
    return int(bool(grave))


def _told(one: Finding) -> str:
    cost = words.cost(one.cost_pico, one.unpriced_calls, one.calls)
    lines = [f"{words.MODES[one.mode]}: {plain(one.title)} ({one.finding_id})"]
    if one.hop is not None:
        lines.append(hop_words(one.hop, is_cause=one.is_cause))
    lines.append(f"{words.count(one.calls, 'call')}, {cost}")
    lines += [
        f"span {span.span_id} {span_words(span)} {place_words(span)}".rstrip()
        for span in one.evidence[:_SPANS]
    ]
    if one.fix is not None:
        lines += [f"Fix: {one.fix.title}", one.fix.why, one.fix.snippet.strip("\n")]
    return "\n".join(lines)


def _text(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
