"""All rules; each module names its own in ``RULES``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tollbook.audit.settings import AuditSettings

MODULES: Final = (
    "tollbook.audit.rules.six",
    "tollbook.audit.rules.further",
)


def rules_of(settings: AuditSettings) -> list[Any]:
    """Return the rules of an audit, in the order in which they are asked.

    Each module has ``rules(settings)``, which makes them anew: a rule that counts is used once.
    """
    found: list[Any] = []
    for name in MODULES:
        found += import_module(name).rules(settings)
    return found
