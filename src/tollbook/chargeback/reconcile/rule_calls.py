"""Calls whose usage is not known for sure: nobody reported it, it was estimated, or not billed.

None of these says how many tokens the provider counted, so what they explain is what is left on
the same day and model, up to what so many calls may come to.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.model import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.keys import Key
    from tollbook.chargeback.reconcile.world import World

MEAN_TIMES_MAX: Final = 10
"""A call without usage may be so many times as large as the mean call of its model."""
ESTIMATE_TIMES_MAX: Final = 3
"""So many times an estimate may be too low; it is at most all of it too high."""


def claim_missing_usage(world: World, findings: Findings) -> None:
    """Claim what the provider has more where calls of the ledger have no usage."""
    _claim_more(world, findings, Cause.MISSING_USAGE, world.ledger.silent, "calls_without_usage")


def claim_retried(world: World, findings: Findings) -> None:
    """Claim what the provider has more where attempts were taken for not billed."""
    _claim_more(world, findings, Cause.RETRIED, world.ledger.not_billed, "attempts_not_billed")


def _claim_more(
    world: World, findings: Findings, cause: Cause, calls: Mapping[tuple[int, str | None], int],
    name: str,
) -> None:  # fmt: skip
    means = _means(world)
    used: dict[str | None, int] = defaultdict(int)
    for cell in world.inside():
        count = calls.get((cell.day, cell.key.model), 0)
        if cell.tokens_left <= 0 or count <= 0:
            continue
        mean = means.get(cell.key)
        limit = cell.tokens_left if mean is None else int(MEAN_TIMES_MAX * count * mean) + 1
        tokens = min(cell.tokens_left, limit)
        about = (cell.key.model or "",)
        findings.add(cause, about, cell.day, cell.key, tokens, cell.claim(tokens))
    for (day, model), count in calls.items():
        if world.is_inside(day):
            used[model] += count
    for model, count in used.items():
        findings.tell(cause, (model or "",), None, {name: count})


def _means(world: World) -> dict[Key, Fraction]:
    """Return the tokens of a mean call of each key's model."""
    sums: dict[Key, int] = defaultdict(int)
    for cell in world.cells.values():
        sums[cell.key] += cell.ledger.tokens
    return {
        key: Fraction(tokens, world.ledger.calls[key.model])
        for key, tokens in sums.items()
        if tokens > 0 and world.ledger.calls.get(key.model, 0) > 0
    }


def claim_estimates(world: World, findings: Findings) -> None:
    """Claim what is left where the ledger's own tokens are estimated."""
    estimated: dict[str | None, int] = defaultdict(int)
    for cell in world.inside():
        guess = cell.ledger.estimated
        if guess <= 0 or not cell.tokens_left:
            continue
        tokens = max(min(cell.tokens_left, ESTIMATE_TIMES_MAX * guess), -guess)
        estimated[cell.key.model] += guess
        about = (cell.key.model or "",)
        findings.add(Cause.ESTIMATE, about, cell.day, cell.key, tokens, cell.claim(tokens))
    for model, guess in estimated.items():
        findings.tell(Cause.ESTIMATE, (model or "",), estimated_tokens=guess)
