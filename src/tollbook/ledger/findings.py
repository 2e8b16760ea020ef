"""What a verification finds: values, not exceptions."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One difference between what the ledger says and what it should say."""

    check: str
    """Stable name: hash, ids, batch, components, kinds, price, card, reversal, replaced, active,
    time, evidence, spool, rollup."""
    problem: str
    entry_id: int | None = None
    call_id: str | None = None
    batch_id: int | None = None


class VerifyReport(Struct, frozen=True):
    """The result of a verification."""

    entries: int
    batches: int
    head_hash: str
    """Hash of the last batch. Keep it elsewhere: a chain cut short at its end looks whole."""
    findings: tuple[Finding, ...]
    """The first ones; ``total_findings`` counts all."""
    total_findings: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return self.total_findings == 0


class Findings:
    """Collects findings, keeping the first few and counting all."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.kept: list[Finding] = []
        self.total = 0

    def add(self, check: str, problem: str, **where: Any) -> None:
        """Note a difference; ``where`` are the ids of :class:`Finding`."""
        self.total += 1
        if len(self.kept) < self._keep:
            self.kept.append(Finding(check, problem, **where))
