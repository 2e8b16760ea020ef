"""What is said where no rule found anything: calls may still lack what a charge needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.criteria import BY_NAME
from tollbook.audit.outputs import words

if TYPE_CHECKING:
    from tollbook.audit.report import Audit


def nothing_found(audit: Audit) -> str:
    """Return that nothing was found, whether owners are known, and what charges lack."""
    told = audit.defensibility
    lacking = [one for one in told.criteria if one.calls < told.calls]
    if not lacking:
        return "Nothing was found."
    is_owned = all(one.name != "owner" for one in lacking)
    head = "No call lost its owner." if is_owned else "No rule found anything."
    lacks = "; ".join(
        f"{_lower(BY_NAME[one.name].lacking)} ({words.share(told.calls - one.calls, told.calls)})"
        for one in lacking
        if one.name in BY_NAME
    )
    return f"{head} What charges lack all the same, by their share of the calls: {lacks}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
