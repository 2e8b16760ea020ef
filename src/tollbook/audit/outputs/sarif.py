"""Findings as SARIF 2.1.0 (OASIS standard), for code scanning: the place is a line of an input."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from tollbook.audit.findings import Severity
from tollbook.audit.outputs import words
from tollbook.audit.outputs.hops import hop_words, plain, span_words
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.audit.findings import Finding, SpanRef
    from tollbook.audit.read import Trouble
    from tollbook.audit.report import Audit
    from tollbook.audit.rules.entry import Entry

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
HELP: Final = "https://github.com/tollbook/tollbook/blob/main/docs/audit-rules.md"
_INDEX: Final = {name: at for at, name in enumerate(CATALOGUE)}
_LEVELS: Final = {one: one.value for one in Severity}
"""Section 3.27.10: our severities are its levels."""
_NO_URI: Final = re.compile(r"[a-z]+://", re.IGNORECASE)


def sarif(audit: Audit) -> dict[str, Any]:
    """Return the log of one run."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tollbook audit",
                        "version": audit.version,
                        "informationUri": HELP,
                        "rules": [_rule(one) for one in CATALOGUE.values()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one) for one in audit.findings],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notice(one) for one in audit.troubles],
                    }
                ],
                "properties": {
                    "score": words.score(audit.defensibility.score_millis),
                    "calls": audit.calls,
                    "atRiskUsd": usd_text(audit.defensibility.at_risk_pico),
                },
            }
        ],
    }


def sarif_text(audit: Audit) -> str:
    """Return the log as text, its lines ended."""
    return msgspec.json.format(msgspec.json.encode(sarif(audit)), indent=2).decode() + "\n"


def _rule(one: Entry) -> dict[str, Any]:
    return {
        "id": one.rule,
        "name": one.name,
        "shortDescription": {"text": one.summary},
        "fullDescription": {"text": f"{one.summary} {one.why}"},
        "help": {"text": f"{one.look_at} {one.mend}"},
        "helpUri": f"{HELP}#{one.rule.lower()}-{one.name}",
        "defaultConfiguration": {"level": _LEVELS[one.severity]},
        "properties": {"tags": ["attribution", *(mode.value for mode in one.modes)]},
    }


def _result(one: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {"ruleId": one.rule}
    if one.rule in _INDEX:
        told["ruleIndex"] = _INDEX[one.rule]
    told |= {
        "level": _LEVELS[one.severity],
        "message": {"text": _message(one)},
        "partialFingerprints": {"tollbookFinding/v1": one.finding_id},
        "locations": [_location(span) for span in one.evidence[:1]],
        "relatedLocations": [
            {"id": at, **_location(span)} for at, span in enumerate(one.evidence[1:], 1)
        ],
        "occurrenceCount": max(one.hits, 1),
        "properties": {
            "mode": one.mode.value,
            "calls": one.calls,
            "traces": one.traces,
            "costUsd": usd_text(one.cost_pico),
            "unpricedCalls": one.unpriced_calls,
        },
    }
    if one.hop is not None:
        steps = [span for span in (one.hop.last_seen, one.hop.first_missing) if span is not None]
        says = ("Tenant last seen here", "Tenant first missing here")[-len(steps) :]
        if one.hop.is_change:
            says = ("Last of one tenant", "First of another tenant")[-len(steps) :]
        elif one.hop.last_seen is None and not one.is_cause:
            says = ("Here",)
        told["codeFlows"] = [
            {
                "message": {"text": hop_words(one.hop, is_cause=one.is_cause)},
                "threadFlows": [
                    {
                        "locations": [
                            {"location": {**_location(span), "message": {"text": says_it}}}
                            for span, says_it in zip(steps, says, strict=True)
                        ]
                    }
                ],
            }
        ]
    return told


def _message(one: Finding) -> str:
    parts = [f"{words.MODES[one.mode]}: {plain(one.title).rstrip('.')}."]
    if one.hop is not None:
        parts.append(f"{hop_words(one.hop, is_cause=one.is_cause)}.")
    cost = words.cost(one.cost_pico, one.unpriced_calls, one.calls)
    parts.append(f"{words.count(one.calls, 'call')}, {cost}.")
    if one.fix is not None:
        parts.append(f"Fix: {one.fix.title.rstrip('.')}. {one.fix.why}")
    return " ".join(parts)


def _location(span: SpanRef) -> dict[str, Any]:
    told: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": span_words(span),
                "fullyQualifiedName": plain(f"{span.trace_id}/{span.span_id}"),
                "kind": "function",
            }
        ]
    }
    if span.source:
        # A line is always given: code scanning leaves out results without a region.
        told["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(span.source)},
            "region": {"startLine": span.line or 1},
        }
    return told


def _notice(one: Trouble) -> dict[str, Any]:
    at: dict[str, Any] = {"artifactLocation": {"uri": _uri(one.where.source)}}
    if one.where.line is not None:
        at["region"] = {"startLine": one.where.line}
    elif one.where.offset is not None:
        at["region"] = {"byteOffset": one.where.offset}
    return {
        "level": "warning",
        "message": {"text": plain(one.problem)},
        "locations": [{"physicalLocation": at}],
    }


def _uri(source: str) -> str:
    """Return where an input is (RFC 3986); a relative path stays relative to the repository."""
    if source == "-":
        return "stdin"
    if _NO_URI.match(source):
        return quote(source, safe=":/[]@", errors="replace")
    path = PurePosixPath(source)
    uri = quote(path.as_posix(), errors="replace")
    return f"file://{uri}" if path.is_absolute() else uri
