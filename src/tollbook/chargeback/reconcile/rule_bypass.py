"""Traffic that went past Tollbook: usage on keys, projects or models that the ledger never saw.

Which keys are Tollbook's own is known from the true-up policy (``own_keys``), or found: usage of a
key that went past is just what the ledger lacks, cell by cell.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.model import Cause

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.keys import Key
    from tollbook.chargeback.reconcile.lines import Who
    from tollbook.chargeback.reconcile.world import World

_FIT_MIN: Final = Fraction(4, 5)
"""Of a key's usage that the ledger must lack for the key to be one that went past."""

_Used = "dict[tuple[int, Key], int]"


def claim_keys(world: World, findings: Findings, own_keys: Collection[str]) -> None:
    """Claim the usage of keys and projects that are not Tollbook's.

    A claim is all that the provider counts on such a key, so that what the ledger has too much
    elsewhere (a doubled hour) shows beside it.
    """
    used: dict[Who, dict[tuple[int, Key], int]] = defaultdict(lambda: defaultdict(int))
    for share in world.shares:
        if share.quantity:
            used[share.who][share.day, share.key] += share.quantity
    if own_keys:
        foreign = [who for who in used if not {who.project, who.api_key} & set(own_keys)]
    elif len(used) > 1:
        foreign = _fitting(world, used)
    else:
        return
    for who in sorted(foreign, key=lambda one: (one.project or "", one.api_key or "")):
        about = ("key", who.project or "", who.api_key or "")
        for (day, key), tokens in used[who].items():
            cell = world.cells[day, key]
            if cell.provided is not None:
                findings.add(Cause.BYPASS, about, day, key, tokens, cell.claim(tokens))
        findings.tell(
            Cause.BYPASS, about, project=who.project, api_key=who.api_key,
            known_by="own_keys" if own_keys else "the ledger lacks just this usage",
        )  # fmt: skip


def _fitting(world: World, used: dict[Who, dict[tuple[int, Key], int]]) -> list[Who]:
    """Return the keys whose usage the ledger lacks, found one by one, the best fit first."""
    left = {at: cell.tokens_left for at, cell in world.cells.items()}
    found: list[Who] = []
    while len(found) < len(used) - 1:
        best: tuple[int, Who] | None = None
        for who, mine in used.items():
            if who in found or not any(map(world.is_inside, (day for day, _ in mine))):
                continue
            total = sum(mine.values())
            gain = sum(abs(left[at]) - abs(left[at] - tokens) for at, tokens in mine.items())
            if gain >= _FIT_MIN * total and (best is None or gain > best[0]):
                best = (gain, who)
        if best is None:
            break
        found.append(best[1])
        for at, tokens in used[best[1]].items():
            left[at] -= tokens
    return found


def claim_models(world: World, findings: Findings) -> None:
    """Claim the usage of models that the ledger never saw in the time."""
    seen = {cell.key.model for cell in world.inside() if cell.ledger.tokens or cell.ledger.cost}
    for cell in world.inside():
        model = cell.key.model
        if model is None or model in seen or cell.tokens_left <= 0:
            continue
        about = ("model", model)
        tokens = cell.tokens_left
        findings.add(Cause.BYPASS, about, cell.day, cell.key, tokens, cell.claim(tokens))
        findings.tell(Cause.BYPASS, about, known_by="no call of the ledger is of this model")
