"""The parts of a portal: what a token opens and what a portal shows are sets of these."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """A part of the page, and of the API."""

    USAGE = "usage"  # calls and tokens by day, feature, model, user
    BILLED = "billed"  # what the tenant is charged
    BUDGET = "budget"  # limits, what is left, when they reset
    STATEMENTS = "statements"  # past months as files
    PROJECTION = "projection"  # what the running month may come to


ALL: Final = frozenset(Part)
