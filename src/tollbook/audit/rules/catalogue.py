"""What each rule is about, for reports, SARIF and the documentation; rules themselves say less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.rules.catalogue_further import FURTHER
from tollbook.audit.rules.catalogue_usual import USUAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.audit.rules.entry import Entry

CATALOGUE: Final[Mapping[str, Entry]] = {one.rule: one for one in (*USUAL, *FURTHER)}
"""All rules by id, in the order of their ids."""
