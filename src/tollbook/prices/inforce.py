"""Which cards of the books hold when, as contracts that a price book takes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tollbook.config.problems import ConfigError
from tollbook.prices.bookcard import BookTextError, card_of_body, stretches
from tollbook.prices.contract_reader import read_card

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tollbook.prices.bookcard import DatedCard
    from tollbook.prices.contract import Contract

BOOKS = "the books"
"""How errors name where a card stands."""


class InForce(NamedTuple):
    """The cards of the books."""

    contracts: tuple[Contract, ...]
    """One for each stretch of time in which a version holds."""
    problems: tuple[str, ...]
    """Cards that cannot be used with the present settings, in words; they price nothing."""


def in_force(versions: Iterable[DatedCard], providers: Collection[str]) -> InForce:
    """Return the contracts that all versions of all cards come to.

    Args:
        versions: those of one card in the order in which they were written.
        providers: the configured provider names.
    """
    by_name: dict[str, list[DatedCard]] = defaultdict(list)
    for one in versions:
        by_name[one.name].append(one)
    contracts: list[Contract] = []
    problems: dict[str, None] = {}
    for cards in by_name.values():
        try:
            contracts += contracts_of(cards, providers)
        except (ConfigError, BookTextError) as error:
            problems[error.message] = None
    return InForce(tuple(contracts), tuple(problems))


def contracts_of(versions: Sequence[DatedCard], providers: Collection[str]) -> list[Contract]:
    """Return the contracts of one card, in the order of time.

    Args:
        versions: of the card, in the order in which they were written.
        providers: the configured provider names.

    Raises:
        BookTextError: a body is none.
        ConfigError: a version that cannot be used.
    """
    found = []
    for card, from_ns, until_ns in stretches(versions):
        contract = read_card(card_of_body(card.name, card.body), BOOKS, card.name, providers)
        found.append(
            contract._replace(
                from_ns=from_ns,
                until_ns=until_ns,
                dated_ns=card.from_ns,
                document=card.document_id,
                reason=card.reason,
            )
        )
    return found
