"""The list of rules, for ``--rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.audit.rules.catalogue import CATALOGUE

if TYPE_CHECKING:
    from tollbook.audit.outputs.style import Style


def rules_text(form: str, style: Style) -> str:
    """Return what each rule is about, as JSON or as text."""
    if form == "json":
        packed = msgspec.json.encode({"rules": list(CATALOGUE.values())})
        return msgspec.json.format(packed, indent=2).decode() + "\n"
    lines: list[str] = []
    for one in CATALOGUE.values():
        modes = ", ".join(mode.value for mode in one.modes)
        lines.append(f"{style.paint(one.rule, 'bold')} {one.name} ({one.severity.value}; {modes})")
        for text in (one.summary, one.why, one.mend):
            lines += style.wrap(text, "    ")
    return "\n".join(lines) + "\n"
