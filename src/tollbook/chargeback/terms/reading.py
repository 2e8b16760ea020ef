"""Read and check a term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.chargeback.terms.errors import TermError
from tollbook.chargeback.terms.exact import number
from tollbook.chargeback.terms.model import (
    DEFAULT_ORDER,
    Capacity,
    Commitment,
    FreeQuota,
    Minimum,
    Term,
    VolumeTiers,
)
from tollbook.reports.errors import QueryError
from tollbook.reports.params import parse_filter
from tollbook.reports.query import Filter, canonical_filters
from tollbook.reports.zone import zone_of
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

_PERCENT_MAX = 100
_OWN_DIMENSIONS = frozenset(["provider", "model", "price_tier", "region", "adjustment"])


def read_term(name: str, body: bytes | str | dict[str, Any]) -> Term:
    """Read a term and check what its fields cannot say by themselves.

    Args:
        name: of the document, for errors.
        body: JSON text, or what was read from a file.

    Raises:
        TermError: naming the field and what is expected.
    """
    try:
        if isinstance(body, dict):
            term = msgspec.convert(body, Term)
        else:
            term = msgspec.json.decode(body, type=Term)
    except msgspec.DecodeError as error:
        raise TermError(name, str(error)) from error
    if term.end is not None and term.end <= term.start:
        raise TermError(name, "end is not after start")
    try:
        zone_of(term.timezone)
    except QueryError as error:
        raise TermError(name, f"timezone: {error.problem}") from error
    filters_of(name, term)
    _check_order(name, term)
    _check_what(name, term)
    return term


def filters_of(name: str, term: Term) -> tuple[Filter, ...]:
    """Return the further filters of a term.

    Raises:
        TermError: one cannot be read, or is of a dimension that the term has a field for.
    """
    try:
        found = canonical_filters(tuple(parse_filter(text) for text in term.where))
    except QueryError as error:
        raise TermError(name, f"where: {error.problem}") from error
    for one in found:
        if one.dimension in _OWN_DIMENSIONS:
            raise TermError(name, f"where: {one.dimension} has a field of its own, or is no scope")
    return found


def _check_order(name: str, term: Term) -> None:
    first = DEFAULT_ORDER[FreeQuota]
    if term.order is not None and isinstance(term.what, (Capacity, FreeQuota)):
        raise TermError(name, "order: capacity comes first and quotas next, always")
    if term.order is not None and term.order <= first:
        raise TermError(name, f"order: expected more than {first}, that of quotas")


def _check_what(name: str, term: Term) -> None:
    match term.what:
        case VolumeTiers() as what:
            if what.measured != "usd":
                _check_kinds(name, what.measured, "measured")
                if not what.measured:
                    raise TermError(name, "measured: expected kinds, or usd")
            _check_kinds(name, what.applies_to, "applies_to")
            _check_bands(name, what)
        case FreeQuota() as what:
            _check_kinds(name, what.kinds, "kinds")
        case Minimum() as what:
            number(what.amount_usd, name, "amount_usd")
        case Commitment() as what:
            number(what.amount_usd, name, "amount_usd")
            if term.end is None and what.every_months is None:
                raise TermError(name, "end: expected, or every_months, to know when it is due")
        case Capacity() as what:
            _check_capacity(name, term, what)


def _check_capacity(name: str, term: Term, what: Capacity) -> None:
    price = number(what.price_per_unit_usd, name, "price_per_unit_usd")
    upfront = number(what.upfront_usd, name, "upfront_usd")
    if not price and not upfront:
        raise TermError(name, "expected price_per_unit_usd or upfront_usd above zero")
    if upfront and term.end is None:
        raise TermError(name, "end: expected, since upfront_usd is spread over the term")
    _check_kinds(name, what.weights, "weights")
    if not any(number(text, name, "weights") for text in what.weights.values()):
        raise TermError(name, "weights: expected one above zero")


def _check_kinds(name: str, kinds: Iterable[str], where: str) -> None:
    known = list(kinds)
    for kind in known:
        if kind not in KINDS:
            raise TermError(name, f"{where}: {kind[:64]!r} is none of {', '.join(KINDS)}")
    if len(set(known)) != len(known):
        raise TermError(name, f"{where}: a kind is there twice")


def _check_bands(name: str, what: VolumeTiers) -> None:
    last = None
    for at, band in enumerate(what.bands, 1):
        where = f"band {at}"
        if number(band.discount_percent, name, f"{where}, discount_percent") > _PERCENT_MAX:
            raise TermError(name, f"{where}, discount_percent: more than 100")
        _check_kinds(name, band.prices, f"{where}, prices")
        for text in band.prices.values():
            number(text, name, f"{where}, prices")
        if what.applies_to and not band.prices.keys() <= set(what.applies_to):
            raise TermError(name, f"{where}, prices: a kind that is not in applies_to")
        if band.upto is None:
            if at != len(what.bands):
                raise TermError(name, f"{where}: only the last may have no end")
            return
        upto = number(band.upto, name, f"{where}, upto")
        if upto <= (last or 0):
            raise TermError(name, f"{where}, upto: expected to rise")
        last = upto
    raise TermError(name, "the last band has an end; leave out its upto")
