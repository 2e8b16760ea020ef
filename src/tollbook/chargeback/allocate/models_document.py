"""What an attribution model says: the body of a document of subject ``attribution_model``.

A model stands in where nobody knows whose calls they were: it spreads a cost by what tenants are
known to have done. Direct attribution, from the identity of each call, is what it is held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from tollbook.chargeback.allocate.policy import PolicyError, filters, fraction
from tollbook.errors import TollbookError
from tollbook.reports import measures
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from fractions import Fraction

    from tollbook.reports.query import Filter

WEIGHTS_MAX: Final = 500
ALL: Final = "*"
DecimalText = Annotated[str, Meta(max_length=40)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Pool = Literal["provider", "model", "day"]


class ModelError(TollbookError):
    """An attribution model that cannot be used: which, and what is wrong."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"attribution model {name[:64]!r}: {problem}")


class Direct(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="direct"):
    """By direct cost: what is known of identified calls, as it is."""


class Calls(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="calls"):
    """Activity-based: each call the same."""


class Tokens(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="tokens"):
    """Activity-based: each token the same."""

    measure: str = "tokens"
    """All tokens, or a token measure of reports such as ``output_tokens``."""


class Features(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="features"):
    """Activity-based: each use of a feature weighs what the feature does; ``*`` is any other."""

    weights: dict[str, DecimalText]


class Metric(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="metric"):
    """Activity-based: by an imported metric, such as documents processed."""

    metric: Text


class Weight(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a unit weighs; of several that match, the first."""

    weight: DecimalText
    model: Text = ALL
    """Pattern."""
    kind: Text = ALL
    """Pattern of :data:`tollbook.usage.KINDS`: ``*output*``."""


class Weighted(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="weighted"):
    """Units times the weight of their model and kind, such as the ratio of what models cost."""

    weights: Annotated[list[Weight], Meta(max_length=WEIGHTS_MAX)]
    default: DecimalText = "0"
    """What a token weighs that nothing matches."""


class Prices(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="prices"):
    """Units times what one cost on average in the same time, by provider, model and kind."""


Method = Direct | Calls | Tokens | Features | Metric | Weighted | Prices


class AttributionModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a model document."""

    method: Method
    pools: tuple[Pool, ...] = ("provider",)
    """Costs are spread apart for each, as statements tell them apart; none: in one sum."""
    where: list[str] = field(default_factory=list)
    """Only the activity of these calls counts: filters as in reports."""
    description: Annotated[str, Meta(max_length=2_000)] = ""


BUILT_IN: Final = {
    "calls": AttributionModel(method=Calls(), description="each call the same"),
    "tokens": AttributionModel(method=Tokens(), description="each token the same"),
    "prices": AttributionModel(method=Prices(), description="tokens at the average price"),
}
"""Models that a backtest knows without a document."""


def read_model(name: str, body: str | bytes) -> AttributionModel:
    """Read and check a model.

    Raises:
        ModelError: naming the field and what is expected.
    """
    try:
        model = msgspec.json.decode(body, type=AttributionModel)
    except msgspec.DecodeError as error:
        raise ModelError(name, str(error)) from error
    if len(set(model.pools)) != len(model.pools):
        raise ModelError(name, "pools: a name is there twice")
    model_filters(name, model)
    match model.method:
        case Tokens() as method:
            if method.measure not in {"tokens", *measures.TOKEN_SUMS}:
                raise ModelError(name, f"measure: {method.measure[:64]!r} is no token measure")
        case Features() as method:
            _some(name, list(method.weights.values()))
        case Weighted() as method:
            _some(name, [*(one.weight for one in method.weights), method.default])
        case _:
            pass
    return model


def model_filters(name: str, model: AttributionModel) -> tuple[Filter, ...]:
    """Return the filters of a model.

    Raises:
        ModelError: one cannot be read.
    """
    try:
        return filters(model.where, "where")
    except PolicyError as error:
        raise ModelError(name, error.message) from error


def weight_of(name: str, text: str) -> Fraction:
    """Return a weight.

    Raises:
        ModelError: it is no decimal number of zero or more.
    """
    try:
        return fraction(text, "weight")
    except PolicyError as error:
        raise ModelError(name, f"weights: {text[:64]!r} is not a number of 0 or more") from error


def _some(name: str, texts: list[str]) -> None:
    weights = [weight_of(name, text) for text in texts]
    if not any(weights):
        raise ModelError(name, "weights: expected one above zero")


assert "requests" in KINDS
