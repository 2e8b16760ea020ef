"""What makes a build fail: the score, the gravity of findings, a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.outputs import words

if TYPE_CHECKING:
    from tollbook.audit.compare import Comparison
    from tollbook.audit.options import Options
    from tollbook.audit.report import Audit

_RANK: Final = {one: at for at, one in enumerate(Severity)}


def failures(options: Options, audit: Audit, comparison: Comparison | None = None) -> list[str]:
    """Return why a build should fail, a line each; nothing where it should not."""
    failed = []
    score = audit.defensibility.score_millis
    under = options.fail_under_millis
    if under is not None and not audit.calls:
        failed.append("--fail-under: no call was found, so nothing could be scored")
    elif under is not None and score < under:
        failed.append(f"the score is {words.score(score)}, under {words.score(under)}")
    if options.fail_on is not None:
        rank = _RANK[Severity(options.fail_on)]
        grave = [one for one in audit.findings if _RANK[one.severity] <= rank]
        if grave:
            gravity = "" if options.fail_on == "error" else " or graver"
            failed.append(
                f"{words.count(len(grave), 'finding')} of severity {options.fail_on}{gravity}"
            )
    if comparison is not None and comparison.is_worse:
        why = "; ".join(comparison.why_worse)
        failed.append(f"worse than {options.compare}: {why}".rstrip(": "))
    return failed
