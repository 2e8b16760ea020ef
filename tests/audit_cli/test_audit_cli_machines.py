"""SARIF, JUnit and CSV: what other programs take."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from msgspec.structs import replace

from tollbook.audit.findings import Severity
from tollbook.audit.outputs.junit import junit_text
from tollbook.audit.outputs.sarif import _uri, sarif_text
from tollbook.audit.outputs.table import COLUMNS, csv_text
from tollbook.audit.rules.catalogue import CATALOGUE

if TYPE_CHECKING:
    from tollbook.audit.report import Audit

_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
_LOCATION = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "properties": {"uri": {"type": "string", "pattern": r"^[!-~]+$"}},
                    "additionalProperties": False,
                },
                "region": {
                    "type": "object",
                    "minProperties": 1,
                    "properties": {
                        "startLine": {"type": "integer", "minimum": 1},
                        "byteOffset": {"type": "integer", "minimum": 0},
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "logicalLocations": {"type": "array", "items": {"type": "object"}},
        "message": _TEXT,
    },
    "additionalProperties": False,
}
SARIF = Draft7Validator(
    {
        "type": "object",
        "required": ["version", "runs"],
        "properties": {
            "$schema": {"type": "string"},
            "version": {"const": "2.1.0"},
            "runs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["tool"],
                    "properties": {
                        "tool": {
                            "type": "object",
                            "required": ["driver"],
                            "properties": {
                                "driver": {
                                    "type": "object",
                                    "required": ["name"],
                                    "properties": {
                                        "rules": {
                                            "type": "array",
                                            "uniqueItems": True,
                                            "items": {
                                                "type": "object",
                                                "required": ["id"],
                                                "properties": {
                                                    "shortDescription": _TEXT,
                                                    "fullDescription": _TEXT,
                                                    "help": _TEXT,
                                                    "helpUri": {"type": "string"},
                                                },
                                            },
                                        }
                                    },
                                }
                            },
                        },
                        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                        "results": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["message"],
                                "properties": {
                                    "ruleId": {"type": "string"},
                                    "ruleIndex": {"type": "integer", "minimum": -1},
                                    "level": {"enum": ["none", "note", "warning", "error"]},
                                    "message": _TEXT,
                                    "occurrenceCount": {"type": "integer", "minimum": 1},
                                    "partialFingerprints": {
                                        "type": "object",
                                        "additionalProperties": {"type": "string"},
                                    },
                                    "locations": {"type": "array", "items": _LOCATION},
                                    "relatedLocations": {
                                        "type": "array", "uniqueItems": True, "items": _LOCATION,
                                    },
                                    "codeFlows": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "required": ["threadFlows"],
                                            "properties": {
                                                "message": _TEXT,
                                                "threadFlows": {
                                                    "type": "array",
                                                    "minItems": 1,
                                                    "items": {
                                                        "type": "object",
                                                        "required": ["locations"],
                                                        "properties": {
                                                            "locations": {
                                                                "type": "array",
                                                                "minItems": 1,
                                                                "items": {
                                                                    "type": "object",
                                                                    "properties": {
                                                                        "location": _LOCATION
                                                                    },
                                                                },
                                                            }
                                                        },
                                                    },
                                                },
                                            },
                                        },
                                    },
                                    "properties": {"type": "object"},
                                },
                                "additionalProperties": False,
                            },
                        },
                        "invocations": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["executionSuccessful"],
                                "properties": {
                                    "executionSuccessful": {"type": "boolean"},
                                    "toolExecutionNotifications": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "required": ["message"],
                                            "properties": {
                                                "level": {"enum": ["note", "warning", "error"]},
                                                "message": _TEXT,
                                                "locations": {"type": "array", "items": _LOCATION},
                                            },
                                            "additionalProperties": False,
                                        },
                                    },
                                },
                                "additionalProperties": False,
                            },
                        },
                        "properties": {"type": "object"},
                    },
                    "additionalProperties": False,
                },
            },
        },
        "additionalProperties": False,
    }
)  # fmt: skip
"""What of the SARIF 2.1.0 schema is about the parts that are written (sections 3.13 to 3.58)."""


def sarif(audit: Audit) -> dict[str, Any]:
    told = json.loads(sarif_text(audit))
    SARIF.validate(told)
    (run,) = told["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_has_a_result_for_each_finding(sample: Audit) -> None:
    run = sarif(sample)
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == list(CATALOGUE)
    for result, found in zip(run["results"], sample.findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == found.rule
        assert result["level"] == found.severity.value
        assert result["partialFingerprints"] == {"tollbookFinding/v1": found.finding_id}
    assert run["properties"]["score"] == "41.2"


def test_sarif_links_to_sections_that_exist(sample: Audit) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "audit-rules.md").read_text("utf-8")
    for rule in sarif(sample)["tool"]["driver"]["rules"]:
        anchor = urlsplit(rule["helpUri"]).fragment
        assert f"\n## {rule['id']} {anchor.partition('-')[2]}\n" in page


def test_sarif_points_to_lines_of_the_inputs(sample: Audit) -> None:
    first, second, third = sarif(sample)["results"]
    (place,) = first["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "traces/with%20space.jsonl"},
        "region": {"startLine": 14},
    }
    assert place["logicalLocations"][0]["name"] == "agents (openai_v2) agent chat"
    assert [one["id"] for one in first["relatedLocations"]] == [1]
    (place,) = second["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "file:///tmp/%C3%A9.jsonl"
    assert third["locations"] == []


def test_sarif_shows_the_hop_as_a_flow(sample: Audit) -> None:
    first, second, _ = sarif(sample)["results"]
    (flow,) = first["codeFlows"]
    steps = [
        (one["location"]["message"]["text"], one["location"]["physicalLocation"]["region"])
        for one in flow["threadFlows"][0]["locations"]
    ]
    assert steps == [
        ("Tenant last seen here", {"startLine": 12}),
        ("Tenant first missing here", {"startLine": 14}),
    ]
    assert "codeFlows" not in second
    assert "Fix: Let baggage travel." in first["message"]["text"]


def test_sarif_shows_a_hop_without_a_beginning(sample: Audit) -> None:
    found = sample.findings[0]
    assert found.hop is not None
    lost = replace(found, hop=replace(found.hop, last_seen=None))
    (result,) = sarif(replace(sample, findings=(lost,)))["results"]
    (step,) = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert step["location"]["message"]["text"] == "Tenant first missing here"


def test_sarif_tells_what_could_not_be_read(sample: Audit) -> None:
    (invocation,) = sarif(sample)["invocations"]
    places = [
        one["locations"][0]["physicalLocation"] for one in invocation["toolExecutionNotifications"]
    ]
    assert [one.get("region") for one in places] == [{"startLine": 3}, {"byteOffset": 77}]
    assert places[1]["artifactLocation"]["uri"] == "stdin"


@given(st.text(min_size=1))
def test_sarif_uris_are_uris_whatever_a_file_is_called(name: str) -> None:
    uri = _uri(name)
    assert uri.isascii()
    assert not set(uri) & set(' <>"{}|\\^`')
    urlsplit(uri)


def test_junit_fails_the_rules_that_found_something(sample: Audit) -> None:
    root = ET.fromstring(junit_text(sample))
    (suite,) = root
    cases = suite.findall("testcase")
    assert len(cases) == len(CATALOGUE) - 1  # one rule is ignored
    assert {"tests": str(len(cases)), "failures": "2", "errors": "0"}.items() <= root.attrib.items()
    failed = [one for one in cases if one.find("failure") is not None]
    assert [one.get("name", "")[:3] for one in failed] == ["A01", "A06"]
    failure = failed[0].find("failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert "web (fastapi) POST /ask --http-->" in (failure.text or "")
    assert "OTEL_PROPAGATORS=tracecontext,baggage" in (failure.text or "")
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties == {"score": "41.2", "calls": "50", "spans": "100"}


def test_notes_fail_nothing_in_junit(sample: Audit) -> None:
    root = ET.fromstring(junit_text(sample))
    (note,) = [one for one in root.iter("testcase") if one.get("name", "").startswith("A14")]
    assert note.find("failure") is None
    assert "traces were kept" in (note.findtext("system-out") or "")
    notes = tuple(replace(one, severity=Severity.NOTE) for one in sample.findings)
    calm = ET.fromstring(junit_text(replace(sample, findings=notes)))
    assert calm.get("failures") == "0"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it is never changed
@given(title=st.text(), name=st.text())
def test_junit_is_xml_whatever_names_are(sample: Audit, title: str, name: str) -> None:
    found = sample.findings[0]
    span = replace(found.evidence[0], name=name)
    ET.fromstring(
        junit_text(replace(sample, findings=(replace(found, title=title, evidence=(span,)),)))
    )


def test_csv_has_a_line_for_each_finding(sample: Audit) -> None:
    head, *rows = csv.reader(io.StringIO(csv_text(sample)))
    assert tuple(head) == COLUMNS
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [one["finding_id"] for one in told] == [one.finding_id for one in sample.findings]
    first = told[0]
    assert first["cost_usd"] == "12.340000000000"
    assert first["place"] == "traces/with space.jsonl:14"
    assert first["spans"] == "2222222222222222 1111111111111111"
    assert first["score_after"] == "81.5"


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_csv_cells_are_no_formulas(sample: Audit, start: str) -> None:
    found = replace(sample.findings[0], title=f"{start}1+1")
    _, row = csv.reader(io.StringIO(csv_text(replace(sample, findings=(found,)))))
    assert row[COLUMNS.index("title")] == f"'{start}1+1"


def test_a_change_of_tenant_is_no_missing_tenant(sample: Audit) -> None:
    one = next(one for one in sample.findings if one.hop is not None and one.hop.last_seen)
    assert one.hop is not None
    made = replace(sample, findings=(replace(one, hop=replace(one.hop, is_change=True)),))
    (result,) = json.loads(sarif_text(made))["runs"][0]["results"]
    (flow,) = result["codeFlows"]
    said = [step["location"]["message"]["text"] for step in flow["threadFlows"][0]["locations"]]
    assert said == ["Last of one tenant", "First of another tenant"]
    for text in (sarif_text(made), junit_text(made), csv_text(made)):
        assert "the second names another tenant than the first" in text
        assert "missing from the second" not in text
