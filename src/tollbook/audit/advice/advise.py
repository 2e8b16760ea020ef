"""The advice that fits a finding: by its rule or mode, and by the framework that was recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tollbook.audit.findings import Advice, Finding
    from tollbook.audit.report import Audit


def advise(finding: Finding) -> Advice | None:
    """Return the smallest change that mends a finding."""
    del finding
    return None


def with_advice(audit: Audit) -> Audit:
    """Return the audit with advice for each finding."""
    return audit
