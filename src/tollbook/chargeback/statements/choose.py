"""Which statement counts for which time, where several speak of the same.

A function of the set of statements alone, so that the order in which they were imported cannot
matter:

- Of one provider, account, source and scope the newest word counts for what it covers, whole: a
  line that it no longer has is gone. What is final yields only to what is final.
- Scopes of one source (endpoints of a usage API) are parts and add up.
- Sources of one basis (a cost API and an export) tell the same money, so they are never added: the
  preferred one counts for what it covers, and what another says of that time is shadowed.
- Invoices are each a whole, by their id; two of one month add up.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.statements.model import Basis, Finality
from tollbook.chargeback.statements.spans import Claims, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.chargeback.statements.model import Statement

DEFAULT_PREFERENCE: Final = (
    "openai.usage", "openai.costs",
    "anthropic.usage_report", "anthropic.cost_report",
    "aws.cur2", "aws.focus", "aws.cost_explorer",
    "azure.cost_export", "azure.focus", "azure.cost_query", "azure.cost_export_amortized",
    "gcp.billing_export", "gcp.bigquery", "gcp.focus",
    "openrouter.activity",
    "focus",
    "typed", "pdf",
)  # fmt: skip
"""Detail before summary, the provider's own form before a converted one; sources that are not
named here come after, by name."""


HAVE_QUANTITIES: Final = frozenset({
    "aws.cur2", "aws.focus", "azure.cost_export", "azure.cost_export_amortized", "azure.focus",
    "gcp.billing_export", "gcp.bigquery", "gcp.focus", "focus",
})  # fmt: skip
"""Statements of cost that say what was used as well: they serve as statements of usage where there
is none."""


class Chosen(NamedTuple):
    """A statement and the times for which its word counts."""

    statement: Statement
    spans: list[Span]


class Shadowed(NamedTuple):
    """A time of a statement for which another source is preferred."""

    statement: Statement
    span: Span
    by_sources: tuple[str, ...]


class Choice(NamedTuple):
    """What counts, and what would if another source did not."""

    chosen: list[Chosen]
    shadowed: list[Shadowed]


def choose(given: Iterable[Statement], prefer: Sequence[str] = DEFAULT_PREFERENCE) -> Choice:
    """Decide for statements of one basis; of usage, with those of cost that stand in for it.

    Args:
        given: the statements, in any order.
        prefer: sources, the preferred first.
    """
    rank = {source: at for at, source in enumerate(prefer)}
    choice = Choice([], [])
    by_provider: dict[str, list[Statement]] = defaultdict(list)
    invoices: dict[tuple[str, str], list[Statement]] = defaultdict(list)
    for one in given:
        if one.basis is Basis.INVOICE:
            invoices[one.provider, one.invoice_id or one.statement_id].append(one)
        else:
            by_provider[one.provider].append(one)
    for _, same in sorted(invoices.items()):
        _choose_invoice(same, rank, choice)
    for _, some in sorted(by_provider.items()):
        _choose_sources(some, rank, choice)
    return choice


def _newest_first(some: Iterable[Statement]) -> list[Statement]:
    return sorted(
        some,
        key=lambda one: (one.finality is Finality.FINAL, one.fetched_at_ns, one.statement_id),
        reverse=True,
    )


def _choose_invoice(same: list[Statement], rank: dict[str, int], choice: Choice) -> None:
    # The newest first; among sources the preferred one, a stable sort keeping the order within.
    ordered = sorted(_newest_first(same), key=lambda one: _rank(rank, one.source))
    won = ordered[0]
    choice.chosen.append(Chosen(won, [Span(won.start_ns, won.end_ns)]))
    choice.shadowed.extend(
        Shadowed(one, Span(one.start_ns, one.end_ns), (won.source,))
        for one in ordered
        if one.source != won.source
    )


def _rank(rank: dict[str, int], source: str) -> tuple[int, str]:
    return rank.get(source, len(rank)), source


def _choose_sources(some: list[Statement], rank: dict[str, int], choice: Choice) -> None:
    streams: dict[str, dict[str | None, dict[str | None, list[Statement]]]] = {}
    for one in some:
        scopes = streams.setdefault(one.source, {}).setdefault(one.account, {})
        scopes.setdefault(one.scope, []).append(one)
    before: list[tuple[str, str | None, Claims]] = []
    of_cost = {one.source for one in some if one.basis is Basis.COST}
    for source in sorted(streams, key=lambda name: (name in of_cost, _rank(rank, name))):
        # An account that was not named may be any of those that were: it waits for them.
        for account, scopes in sorted(
            streams[source].items(), key=lambda item: (item[0] is None, item[0] or "")
        ):
            others = [
                (name, claims)
                for name, whose, claims in before
                if account is None or whose is None or whose == account
            ]
            covered = Claims()
            for _, same in sorted(scopes.items(), key=lambda item: item[0] or ""):
                _choose_scope(_newest_first(same), others, choice)
                for one in same:
                    covered.claim(Span(one.start_ns, one.end_ns))
            before.append((source, account, covered))


def _choose_scope(
    newest_first: list[Statement], others: list[tuple[str, Claims]], choice: Choice
) -> None:
    preferred = Claims()
    for _, claims in others:
        for span in claims.spans:
            preferred.claim(span)
    own = Claims()
    for one in newest_first:
        current = own.free(Span(one.start_ns, one.end_ns))
        own.claim(Span(one.start_ns, one.end_ns))
        for part in current:
            for span in preferred.taken(part):
                names = dict.fromkeys(name for name, claims in others if claims.taken(span))
                choice.shadowed.append(Shadowed(one, span, tuple(names)))
        spans = [span for part in current for span in preferred.free(part)]
        if spans:
            choice.chosen.append(Chosen(one, spans))
