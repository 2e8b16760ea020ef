"""How much of a shared cost each receiver bears: one function for each method."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tollbook.chargeback.allocate.cells import COST, COST_SO_FAR
from tollbook.chargeback.allocate.policy import (
    Blend,
    ByMetric,
    ByModel,
    Even,
    Fixed,
    Keep,
    Proportional,
    Tiered,
    Weighted,
    fraction,
)
from tollbook.chargeback.allocate.shares import normalised, raised_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.chargeback.allocate.cells import Owner
    from tollbook.chargeback.allocate.policy import Band, Rule

_EVERYBODY = "*"


class Scene(Protocol):
    """What a method may ask about the period."""

    def quantities(
        self, metric: str, fields: Sequence[str], where: Sequence[str] = ()
    ) -> Mapping[Owner, Fraction]:
        """Return what each owner has of a metric; whoever is unknown to it is not there."""

    def model_weights(self, model: str) -> Mapping[str, int]:
        """Return the weights of an attribution model, by tenant."""


class Shares(NamedTuple):
    """Shares of the receivers, in their order, that add up to ``spread`` (1 but for fixed)."""

    shares: list[Fraction]
    spread: Fraction
    unit: str | None = None
    """What was counted, where something was."""
    used: tuple[Fraction, ...] = ()
    """How much of it each receiver has."""
    problems: tuple[str, ...] = ()


class NoShares(NamedTuple):
    """Nobody can receive anything; why."""

    problem: str
    is_refused: bool = False
    """The policy wants it to stay, whatever the fallback is."""


def shares_of(rule: Rule, owners: Sequence[Owner], scene: Scene) -> Shares | NoShares:
    """Return who bears how much by a rule's method, least shares included.

    Args:
        rule: of a checked policy; its method is not ``keep``.
        owners: the receivers.
        scene: what the method measures.
    """
    if not owners:
        return NoShares("there is nobody to receive it")
    found = _by_method(rule, owners, scene)
    if isinstance(found, NoShares):
        return found
    least = fraction(rule.to.minimum_share, rule.name)
    if not least:
        return found
    whole = raised_to([share / found.spread for share in found.shares], least)
    return found._replace(shares=[share * found.spread for share in whole])


def _by_method(  # noqa: PLR0911 -- one for each method
    rule: Rule, owners: Sequence[Owner], scene: Scene
) -> Shares | NoShares:
    fields = rule.to.by
    match rule.method:
        case Even():
            return Shares([Fraction(1, len(owners))] * len(owners), Fraction(1))
        case Fixed() as method:
            return _fixed(method, owners, rule.name)
        case Proportional() as method:
            metric = COST if method.basis == "direct" else COST_SO_FAR
            return _measured(scene.quantities(metric, fields, method.where), owners, "USD")
        case ByMetric() as method:
            found = scene.quantities(method.metric, fields, method.where)
            return _by_metric(method, found, owners)
        case Weighted() as method:
            return _weighted(method, owners, fields, scene, rule.name)
        case Blend() as method:
            return _blend(method, owners, fields, scene, rule.name)
        case Tiered() as method:
            found = scene.quantities(method.metric, fields)
            weights = {
                owner: band_weight(method.bands, quantity, is_graduated=method.graduated)
                for owner, quantity in found.items()
            }
            return _measured(weights, owners, None)
        case ByModel() as method:
            by_tenant = scene.model_weights(method.model)
            at = fields.index("tenant")
            weights = {owner: Fraction(by_tenant.get(owner[at], 0)) for owner in owners}
            return _measured(weights, owners, None)
        case Keep():
            return NoShares("it is kept central")


def _measured(
    found: Mapping[Owner, Fraction], owners: Sequence[Owner], unit: str | None
) -> Shares | NoShares:
    quantities = [found.get(owner, Fraction(0)) for owner in owners]
    shares = normalised(quantities)
    if shares is None:
        return NoShares("nobody has any of what it is spread by")
    return Shares(shares, Fraction(1), unit, tuple(quantities) if unit else ())


def _fixed(method: Fixed, owners: Sequence[Owner], where: str) -> Shares | NoShares:
    by_name = {name: fraction(text, where) for name, text in method.shares.items()}
    shares = [by_name.get("/".join(owner), Fraction(0)) for owner in owners]
    spread = sum(shares, Fraction(0))
    return Shares(shares, spread) if spread else NoShares("nobody has a share")


def _by_metric(
    method: ByMetric, found: Mapping[Owner, Fraction], owners: Sequence[Owner]
) -> Shares | NoShares:
    missing = [owner for owner in owners if owner not in found]
    known = [found[owner] for owner in owners if owner in found]
    problems: tuple[str, ...] = ()
    if missing:
        names = ", ".join("/".join(owner) for owner in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004 -- as shown
        problems = (f"{method.metric} is not known of {names}{more}: {_MISSING[method.missing]}",)
        if method.missing == "refuse" or not known:
            return NoShares(problems[0], is_refused=method.missing == "refuse")
    average = sum(known, Fraction(0)) / len(known) if known else Fraction(0)
    instead = average if method.missing == "average" else Fraction(0)
    filled = {owner: found.get(owner, instead) for owner in owners}
    shares = _measured(filled, owners, method.metric)
    return shares._replace(problems=problems) if isinstance(shares, Shares) else shares


_MISSING = {
    "skip": "they receive nothing",
    "average": "they receive as the average of the others",
    "refuse": "nothing is spread",
}


def _weighted(
    method: Weighted, owners: Sequence[Owner], fields: Sequence[str], scene: Scene, where: str
) -> Shares | NoShares:
    weights = {name: fraction(text, where) for name, text in method.weights.items()}
    default = weights.get(_EVERYBODY, Fraction(0))
    own = {owner: weights.get("/".join(owner), default) for owner in owners}
    if method.of is not None:
        found = scene.quantities(method.of, fields)
        own = {owner: weight * found.get(owner, Fraction(0)) for owner, weight in own.items()}
    return _measured(own, owners, None)


def _blend(
    method: Blend, owners: Sequence[Owner], fields: Sequence[str], scene: Scene, where: str
) -> Shares | NoShares:
    total = [Fraction(0)] * len(owners)
    problems: list[str] = []
    for part in method.parts:
        weight = fraction(part.weight, where)
        found = scene.quantities(part.metric, fields)
        shares = normalised([found.get(owner, Fraction(0)) for owner in owners])
        if shares is None:
            problems.append(f"nobody has any {part.metric}: its part is left out")
            continue
        total = [sum_ + weight * share for sum_, share in zip(total, shares, strict=True)]
    whole = normalised(total)
    if whole is None:
        return NoShares("nobody has any of what it is spread by")
    return Shares(whole, Fraction(1), None, (), tuple(problems))


def band_weight(bands: Sequence[Band], quantity: Fraction, *, is_graduated: bool) -> Fraction:
    """Return the weight of a quantity: that of its band, or the sum over the units of each band."""
    below, weight = Fraction(0), Fraction(0)
    if quantity <= 0:
        return weight
    for band in bands:
        own = fraction(band.weight, "bands")
        upto = None if band.upto is None else fraction(band.upto, "bands")
        is_last = upto is None or quantity <= upto
        if not is_graduated:
            if is_last:
                return own
            continue
        end = quantity if upto is None or quantity < upto else upto
        weight += own * (end - below)
        if is_last:
            return weight
        assert upto is not None
        below = upto
    raise AssertionError("the last band has no end")
