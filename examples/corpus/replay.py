"""A recorded run: what it told, which span is which call, and what the auditor says of it."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.audit.engine import audit
from tollbook.audit.pricing import NoPrices
from tollbook.audit.read import Batch, InputRead, Where
from tollbook.audit.settings import AuditSettings
from tollbook.capture.otlp.decode_json import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.findings import Finding
    from tollbook.audit.report import Audit

RECORDED: Final = Path(__file__).resolve().parent.parent.parent / "tests" / "audit_corpus" / "data"
_STREAM_ENDED: Final = "streaming response from"
_ALL: Final = 1_000_000
"""Findings keep the evidence of every call, for each of them is held against the truth."""


class Call(NamedTuple):
    """A call that the product made."""

    span: str
    """``trace_id:span_id``."""
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
        """The calls that were told of: of spans of one call the innermost that tells of a model."""
        spans = {span["ref"]: span for span in self._spans()}
        truth = self.path.with_name(self.path.name.replace(".jsonl.gz", ".truth.json"))
        tickets: dict[str, str] = json.loads(truth.read_text(encoding="utf-8"))["calls"]
        told = {
            ref: ticket
            for ref, ticket in tickets.items()
            if ref in spans and "httpx" not in spans[ref]["scope"]
        }
        wrapping = {spans[ref]["parent"] for ref in told}
        # Logfire ends the span of a stream when it begins, and tells its usage in a second one.
        later = {
            ticket for ref, ticket in told.items() if spans[ref]["name"].startswith(_STREAM_ENDED)
        }
        wrapping |= {
            ref
            for ref, ticket in told.items()
            if ticket in later and not spans[ref]["name"].startswith(_STREAM_ENDED)
        }
        return tuple(
            Call(ref, ticket.rpartition(".")[2], ticket.partition(".")[0])
            for ref, ticket in sorted(told.items())
            if ref not in wrapping
        )

    @cached_property
    def audit(self) -> Audit:
        """What the auditor says, with the evidence of every call."""
        return audit([_Lines(self.path)], NoPrices(), AuditSettings(evidence_max=_ALL))

    def findings(self) -> list[Finding]:
        """Return what is worse than a note."""
        return [one for one in self.audit.findings if one.severity != "note"]

    def _spans(self) -> Iterator[dict[str, Any]]:
        for line in _lines(self.path):
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        trace_id, parent = span["traceId"], span.get("parentSpanId")
                        yield {
                            "ref": f"{trace_id}:{span['spanId']}",
                            "parent": f"{trace_id}:{parent}",
                            "scope": scope["scope"]["name"],
                            "name": span["name"],
                        }


def recorded(directory: Path = RECORDED) -> list[Recorded]:
    """Return the recorded runs of a directory."""
    return [Recorded(path) for path in sorted(directory.glob("*.jsonl.gz"))]


def _lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


class _Lines:
    """A file of the corpus as an input."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.read = InputRead(source=path.name, format="otlp-jsonl")

    def __iter__(self) -> Iterator[Batch]:
        for number, line in enumerate(_lines(self._path), 1):
            yield Batch(decode_json(line), Where(self._path.name, number))
