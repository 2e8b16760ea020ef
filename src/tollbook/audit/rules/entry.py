"""What is said of a rule."""

from __future__ import annotations

from msgspec import Struct

from tollbook.audit.findings import Mode, Severity


class Entry(Struct, frozen=True, kw_only=True):
    """One rule of the catalogue. Texts are whole sentences without markup."""

    rule: str
    """``A01`` and so on: what reports name and ``--ignore`` takes."""
    name: str
    """Words with hyphens, the same for ever: SARIF's ``name``, an anchor of the documentation."""
    mode: Mode
    """Under which most of its findings are told."""
    also: tuple[Mode, ...] = ()
    """Further modes that its findings may have."""
    severity: Severity
    """The gravest that it tells."""
    summary: str
    why: str
    """Why it matters for who pays what."""
    look_at: str
    """How it is recognised, and what to look at in the spans."""
    mend: str
    source: str
    """Where the rule comes from: a section of a specification, a document, a measurement."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """All modes that its findings may have, the usual one first."""
        return (self.mode, *self.also)
