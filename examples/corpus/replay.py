"""A recorded run: what it told, which span is which call, and what the auditor says of it."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.engine import audit
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import ListPricer
from tollbook.audit.settings import AuditSettings

if TYPE_CHECKING:
    from tollbook.audit.findings import Finding
    from tollbook.audit.report import Audit

RECORDED: Final = Path(__file__).resolve().parent.parent.parent / "tests" / "audit_corpus" / "data"
HELD_OUT_DIR: Final = RECORDED.with_name("held_out")
_ALL: Final = 1_000_000
"""Findings keep the evidence of every call, for each of them is held against the truth."""


class Call(NamedTuple):
    """A call that the product made, and whatever told of it."""

    spans: frozenset[str]
    """``trace_id:span_id`` of each, the requests below it too."""
    part: str
    """Of the product's work."""
    tenant: str


class Recorded:
    """One recorded run.

    Args:
        path: its ``NAME.INSTRUMENTATION.jsonl.gz``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name, self.instrumentation = path.name.removesuffix(".jsonl.gz").split(".")

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The calls that some span tells of."""
        truth = self.path.with_name(self.path.name.replace(".jsonl.gz", ".truth.json"))
        tickets: dict[str, str] = json.loads(truth.read_text(encoding="utf-8"))["calls"]
        told = self._told()
        spans: dict[str, set[str]] = {}
        for ref, ticket in tickets.items():
            if ref in told:
                spans.setdefault(ticket, set()).add(ref)
        return tuple(
            Call(
                frozenset(refs),
                ticket.partition("#")[0].rpartition(".")[2],
                ticket.partition(".")[0],
            )
            for ticket, refs in sorted(spans.items())
        )

    @cached_property
    def audit(self) -> Audit:
        """What the auditor says, with the evidence of every call."""
        return audit(open_inputs([str(self.path)]), ListPricer(), AuditSettings(evidence_max=_ALL))

    def findings(self) -> list[Finding]:
        """Return what is worse than a note."""
        return [one for one in self.audit.findings if one.severity != "note"]

    def _told(self) -> set[str]:
        return {
            f"{span['traceId']}:{span['spanId']}"
            for line in _lines(self.path)
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }


def recorded(directory: Path = RECORDED) -> list[Recorded]:
    """Return the recorded runs of a directory."""
    return [Recorded(path) for path in sorted(directory.glob("*.jsonl.gz"))]


def _lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()
