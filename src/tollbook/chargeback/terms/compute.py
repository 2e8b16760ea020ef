"""What the terms of a month come to: each in its order, seeing what earlier ones changed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import clock
from tollbook.chargeback.terms.capacity import capacity_effect
from tollbook.chargeback.terms.cells import Cell, Key, fits, read_cells
from tollbook.chargeback.terms.commitment import drawn_in
from tollbook.chargeback.terms.exact import number, pico_of, settle
from tollbook.chargeback.terms.model import (
    Capacity,
    Commitment,
    FreeQuota,
    Minimum,
    VolumeTiers,
)
from tollbook.chargeback.terms.posting import Posting
from tollbook.chargeback.terms.quota import quota_effect
from tollbook.chargeback.terms.spans import HOUR_NS, Window, accrued, moment_of
from tollbook.chargeback.terms.spent import OF_CALLS, sees
from tollbook.chargeback.terms.versions import InForce, terms_in_force
from tollbook.chargeback.terms.volume import Amounts, Effect, volume_effect
from tollbook.ledger.adjust import AdjustmentType
from tollbook.money import usd_text
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from tollbook.desk import Desk

TYPES: Final = (
    AdjustmentType.VOLUME_TIER, AdjustmentType.FREE_QUOTA, AdjustmentType.MINIMUM,
    AdjustmentType.COMMITMENT, AdjustmentType.IDLE_COMMITMENT,
)  # fmt: skip
"""What terms book."""
_WILD: Final = frozenset("*?[")


class Result(NamedTuple):
    """What one version of a term comes to in its part of a month."""

    in_force: InForce
    amounts: dict[Posting, int]
    facts: dict[str, str | int | None]
    problems: list[str]


class Scene(NamedTuple):
    """What a term is worked out from."""

    desk: Desk
    now_ns: int
    earlier: list[Result]
    """Of the same month, in order."""
    spent_before: Callable[[InForce, Window], int]
    """What was spent in a term's scope in months before this one, with what terms booked then."""


def compute_terms(
    desk: Desk, period: str, spent_before: Callable[[InForce, Window], int]
) -> list[Result]:
    """Return what each term of a month comes to, from all that is known now.

    A month that runs is worked out up to now: capacity up to the last full hour, volume as it is;
    minimums and commitments are due when their time is over.

    Raises:
        TermError: a document cannot be used.
        QueryTimeoutError: it took too long.
    """
    results: list[Result] = []
    scene = Scene(desk, clock.unix_ns(), results, spent_before)
    for one in terms_in_force(desk.books, period):
        result = _BY_TYPE[type(one.term.what)](scene, one)
        results.append(result)
    return results


def _so_far(scene: Scene, one: InForce, window: Window) -> list[Cell]:
    """Return the cells of a scope, with what earlier terms changed in them."""
    cells = read_cells(scene.desk, one.name, one.term, window)
    changed: dict[Key, dict[str | None, int]] = {}
    for result in scene.earlier:
        is_seen = sees(one.term, result.in_force.term)
        if is_seen and not window.within(result.in_force.window).is_empty:
            _add_changes(changed, one, result)
    return cells + [Cell(key, {}, costs) for key, costs in changed.items()]


def _add_changes(changed: dict[Key, dict[str | None, int]], one: InForce, result: Result) -> None:
    for at, amount in result.amounts.items():
        key = Key(*(getattr(at, name) for name in Key._fields))
        if at.adjustment in OF_CALLS and fits(one.term, key):
            costs = changed.setdefault(key, {})
            costs[at.kind] = costs.get(at.kind, 0) + amount


def _volume(scene: Scene, one: InForce) -> Result:
    what = one.term.what
    assert isinstance(what, VolumeTiers)
    effect = volume_effect(what, _so_far(scene, one, one.window), one.name)
    return _of_effect(one, AdjustmentType.VOLUME_TIER, effect)


def _quota(scene: Scene, one: InForce) -> Result:
    what = one.term.what
    assert isinstance(what, FreeQuota)
    if what.per == "month":
        cells = _so_far(scene, one, one.window)
    else:
        cells = read_cells(scene.desk, one.name, one.term, one.window, step="day")
    return _of_effect(one, AdjustmentType.FREE_QUOTA, quota_effect(what, cells))


def _of_effect(one: InForce, adjustment: AdjustmentType, effect: Effect) -> Result:
    """Return amounts of a month: dated at its first day, where applying it again need not move."""
    day = _local_day(one, one.window.start_ns)
    amounts = {
        _posting(one, adjustment, day, key, kind): amount
        for (key, kind), amount in effect.amounts.items()
    }
    return Result(one, amounts, effect.facts, effect.problems)


def _capacity(scene: Scene, one: InForce) -> Result:
    now_ns = scene.now_ns // HOUR_NS * HOUR_NS
    window = Window(one.window.start_ns, min(one.window.end_ns, now_ns))
    cells = read_cells(scene.desk, one.name, one.term, window, step="hour")
    effect = capacity_effect(one.name, one.term, cells, window)
    amounts: dict[Posting, int] = {}
    for (day, key), amount in effect.used.items():
        amounts[_posting(one, AdjustmentType.COMMITMENT, day, key, None)] = amount
    for day, amount in effect.idle.items():
        amounts[_posting(one, AdjustmentType.IDLE_COMMITMENT, day, _scope(one), None)] = amount
    # What other capacity has taken back of the same calls is not taken back twice.
    others = [other for other in scene.earlier if isinstance(other.in_force.term.what, Capacity)]
    for (day, key, kind), amount in effect.covered.items():
        at = _posting(one, AdjustmentType.VOLUME_TIER, day, key, kind)
        rest = amount - sum(other.amounts.get(at, 0) for other in others)
        if rest:
            amounts[at] = rest
    return Result(one, amounts, effect.facts, effect.problems)


def _minimum(scene: Scene, one: InForce) -> Result:
    what = one.term.what
    assert isinstance(what, Minimum)
    whole = pico_of(number(what.amount_usd, one.name, "amount_usd"))
    least = accrued(whole, one.month, one.window)
    cells = _so_far(scene, one, one.window)
    spent = sum(cell.total for cell in cells)
    lacking = max(least - spent, 0)
    facts: dict[str, str | int | None] = {
        "minimum_usd": usd_text(least), "spent_usd": usd_text(spent),
        "lacking_usd": usd_text(lacking),
    }  # fmt: skip
    if one.window.end_ns > scene.now_ns:
        return Result(one, {}, facts, ["the month is not over: nothing is due yet"])
    if not lacking:
        return Result(one, {}, facts, [])
    amounts = _shortfall(cells, lacking) if what.shortfall == "proportional" else {}
    if not amounts:
        amounts = {(_scope(one), None): lacking}
    effect = Effect(amounts, facts, [])
    return _of_effect(one, AdjustmentType.MINIMUM, effect)


def _shortfall(cells: Iterable[Cell], lacking: int) -> Amounts:
    """Return what is lacking by the cost of each owner; nothing where nobody has any."""
    costs: dict[Key, int] = {}
    for cell in cells:
        costs[cell.key] = costs.get(cell.key, 0) + cell.total
    kept = {key: cost for key, cost in costs.items() if cost > 0}
    whole = sum(kept.values())
    exact: dict[tuple[Key, str | None], Fraction] = {
        (key, None): Fraction(lacking * cost, whole) for key, cost in kept.items()
    }
    return settle(exact)


def _commitment(scene: Scene, one: InForce) -> Result:
    assert isinstance(one.term.what, Commitment)

    def spent(window: Window) -> int:
        own = window.within(one.month)
        before = Window(window.start_ns, min(window.end_ns, one.month.start_ns))
        now = sum(cell.total for cell in _so_far(scene, one, own)) if not own.is_empty else 0
        return now + (0 if before.is_empty else scene.spent_before(one, before))

    windows = drawn_in(one.name, one.term, one.window, scene.now_ns, spent)
    amounts: dict[Posting, int] = {}
    for drawn in windows:
        if drawn.shortfall:
            day = _local_day(one, drawn.window.end_ns - 1_000)
            at = _posting(one, AdjustmentType.IDLE_COMMITMENT, day, _scope(one), None)
            amounts[at] = amounts.get(at, 0) + drawn.shortfall
    facts = windows[-1].facts() if windows else {}
    return Result(one, amounts, facts, [])


def _local_day(one: InForce, at_ns: int) -> date:
    return moment_of(at_ns).astimezone(zone_of(one.term.timezone)).date()


def _scope(one: InForce) -> Key:
    """Return what is known of something that nobody owns: the scope, where it is no pattern."""

    def literal(text: str | None) -> str | None:
        return None if text is None or _WILD & set(text) else text

    term = one.term
    tier = literal(term.price_tier)
    return Key(
        model=literal(term.model), price_tier=None if tier == "standard" else tier,
        region=literal(term.region),
    )  # fmt: skip


def _posting(
    one: InForce, adjustment: AdjustmentType, day: date, key: Key, kind: str | None
) -> Posting:
    return Posting(
        adjustment=adjustment.value, day=day, provider=one.term.provider, kind=kind,
        **key._asdict(),
    )  # fmt: skip


_BY_TYPE: Final[dict[type[Any], Callable[[Scene, InForce], Result]]] = {
    VolumeTiers: _volume, FreeQuota: _quota, Minimum: _minimum, Commitment: _commitment,
    Capacity: _capacity,
}  # fmt: skip
