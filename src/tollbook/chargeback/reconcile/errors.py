"""What can be asked of a reconciliation that it cannot do, each in one line."""

from __future__ import annotations

from tollbook.errors import TollbookError


class NoRunError(TollbookError):
    """There is no reconciliation to speak of."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what[:64]}: not reconciled yet; run: tollbook reconcile run")


class NoDifferenceError(TollbookError):
    """A difference that cannot be found, or nothing was said of it."""

    def __init__(self, about: str, problem: str) -> None:
        super().__init__(f"{about[:64]}: {problem}; see: tollbook reconcile differences")


class NothingBilledError(TollbookError):
    """No statement speaks of money, so there is nothing to bring the ledger to."""

    def __init__(self, provider: str, period: str) -> None:
        super().__init__(
            f"{provider} {period}: no statement of cost and no invoice is imported, so there is "
            "nothing to true up to; run: tollbook statements import"
        )


class PolicyError(TollbookError):
    """A true-up policy that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"true-up policy {name!r}: {problem}")
