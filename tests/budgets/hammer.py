"""A worker that admits and settles as fast as it can, until it is killed; see the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.budgets.kit import FixedPrices, call, closed_of, rules_of

from tollbook.budgets.guard import Guard, Refused

AMOUNT = 10
NOW_S = 1_790_000_000


def rules(limit: int) -> dict[str, object]:
    """Return the one budget: so many pico."""
    return {"limit_usd": f"{limit}E-12"}


def main() -> None:
    """Write a byte for each call that was settled."""
    path, worker, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    guard = Guard(
        rules_of(**rules(limit)),
        path,
        f"w{worker}-{os.getpid()}",
        FixedPrices(AMOUNT),
        lambda: NOW_S,
    )
    log = (path.parent / f"settled-{worker}").open("ab", buffering=0)
    opened = call()
    while True:
        held = [one for _ in range(3) if not isinstance(one := guard.admit(opened), Refused)]
        for holds in held:
            guard.settle(holds, opened, closed_of(opened))
            log.write(b".")


if __name__ == "__main__":
    main()
