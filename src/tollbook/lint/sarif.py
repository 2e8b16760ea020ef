"""Findings as SARIF 2.1.0, for code scanning (OASIS standard, section 3.13 and following)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tollbook import __version__
from tollbook.lint.rules import RULES

if TYPE_CHECKING:
    from tollbook.lint.check import Report
    from tollbook.lint.rules import Finding, Rule

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
HELP: Final = "https://github.com/tollbook/tollbook/blob/main/docs/lint.md"


def sarif(report: Report) -> dict[str, Any]:
    """Return the log of one run."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tollbook lint",
                        "version": __version__,
                        "informationUri": HELP,
                        "rules": [_rule(one) for one in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one) for one in report.findings],
                "invocations": [{"executionSuccessful": report.unreadable == 0}],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary} {rule.why}"},
        "help": {"text": rule.fix},
        "helpUri": f"{HELP}#{rule.id.lower()}",
        "defaultConfiguration": {"level": rule.level},
    }


def _result(finding: Finding) -> dict[str, Any]:
    path = PurePosixPath(finding.path)
    uri = quote(path.as_posix())
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": RULES.index(finding.rule),
        "level": finding.rule.level,
        "message": {"text": f"{finding.what}. {finding.rule.why} {finding.rule.fix}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"file://{uri}" if path.is_absolute() else uri},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }
