"""How the tokens and dollars of one call came to be given to the layers of its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS, LAYERS, Section
from tollbook.ledger.layersplit import PROMPT_ORDER, layer_at, sections, weights_of
from tollbook.reports.calls import plain

if TYPE_CHECKING:
    from tollbook.usage import Kinds

RULE: Final = (
    "input tokens go to the sections by weight (largest remainder); what was read from a cache is "
    "the start of the prompt, then what was written to one, then the rest; each kind's cost goes "
    "to the layers by their tokens of that kind"
)
UNKNOWN_STRUCTURE: Final = "the structure of the request is not known: its input stays unsplit"


class LayerLine(Struct, frozen=True):
    """A layer of the call, as booked; None is unknown."""

    tokens: int | None
    cost_usd: str | None


class SectionLine(Struct, frozen=True):
    """A section of the request, in the order of the prompt."""

    section: str
    layer: str
    weight: int
    tokens: int
    kinds: dict[str, int]
    """Its tokens by kind: which of them came from a cache."""


class LayerLines(Struct, frozen=True, kw_only=True):
    """Tokens and cost by layer, and what they were made of."""

    layers: dict[str, LayerLine]
    sections: list[SectionLine]
    prefix_hash: str | None
    """Fingerprint of the stable start of such requests."""
    prefix_chars: int | None
    rule: str


def explain_layers(now: dict[str, Any], kinds: Kinds | None) -> LayerLines | None:
    """Return the layers of an entry; None where it was booked before there were any.

    Args:
        now: the entry of the call itself, every column.
        kinds: what it counts, None where that is not known.
    """
    tokens = [now[name] for name in LAYER_TOKENS]
    costs = [plain(now[name]) for name in LAYER_COSTS]
    if all(value is None for value in (*tokens, *costs)) and now["cost_usd"] is not None:
        return None
    found = [] if kinds is None else sections(weights_of(now["layer_weights"]), kinds)
    return LayerLines(
        layers={
            layer: LayerLine(*pair)
            for layer, pair in zip(LAYERS, zip(tokens, costs, strict=True), strict=True)
        },
        sections=[
            SectionLine(
                section=_name(one.section),
                layer=LAYERS[layer_at(one.section)],
                weight=one.weight,
                tokens=one.tokens,
                kinds={
                    kind: count
                    for kind, count in zip(PROMPT_ORDER, one.by_kind, strict=True)
                    if count
                },
            )
            for one in found
        ],
        prefix_hash=now["prefix_hash"],
        prefix_chars=now["prefix_chars"],
        rule=RULE if found else UNKNOWN_STRUCTURE,
    )


def _name(section: int) -> str:
    known = 0 <= section < len(Section)
    return Section(section).name.lower() if known else f"section {section}"
