"""Write ``docs/audit-rules.md`` from the catalogue of the auditor's rules; a test compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from tollbook.audit.rules.catalogue import CATALOGUE  # noqa: E402 -- from the root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.rules.entry import Entry

PAGE: Final = ROOT / "docs" / "audit-rules.md"
_HEAD: Final = """\
# Rules of the auditor

What `tollbook audit` looks for. A finding names its rule; `--ignore A14` leaves one out. An
*error* is money without an owner or counted wrongly, a *warning* an answer that may be wrong, a
*note* is worth knowing. Modes are what findings are told under; one rule can tell of several.

This page is written by `tools/audit_rules_page.py` from `tollbook.audit.rules.catalogue`.

| rule | name | mode | at most |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    rows = "".join(f"{_row(one)}\n" for one in CATALOGUE.values())
    return _HEAD + rows + "".join(f"\n{part}" for one in CATALOGUE.values() for part in _told(one))


def _row(one: Entry) -> str:
    return f"| [{one.rule}](#{_anchor(one)}) | {one.name} | `{one.mode}` | {one.severity} |"


def _anchor(one: Entry) -> str:
    """Return what a heading is linked by, as GitHub makes it."""
    return f"{one.rule.lower()}-{one.name}"


def _told(one: Entry) -> Iterator[str]:
    modes = ", ".join(f"`{mode}`" for mode in one.modes)
    yield f"## {one.rule} {one.name}\n"
    yield f"{one.summary} {one.why}\n"
    yield (
        f"- Looked at: {one.look_at}\n- To mend: {one.mend}\n- Modes: {modes}\n"
        f"- Source: {one.source}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
