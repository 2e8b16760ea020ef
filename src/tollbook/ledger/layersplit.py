"""Which layer of a request the tokens and dollars of a call belong to: integers, sums exact.

A provider counts the tokens of a request as a whole. What is known of its parts are weights by
section, in the order in which the provider reads them (:mod:`tollbook.layers`). So:

1. The input tokens are given to the sections in proportion to their weights, by largest remainder.
2. The kinds of input tokens are laid along the prompt. What was read from a cache is its start,
   then comes what was written to one, then the rest: a cache holds whole prefixes only (Anthropic,
   "Prompt caching"; OpenAI, "Prompt caching"; Gemini, "Context caching"). Of what was written, the
   entries that live for an hour stand before those of five minutes (Anthropic, "Mixing different
   TTLs"). Where audio, images and video stand nobody tells: after the text of their lot.
3. The cost of a kind is given to the layers by their tokens of that kind, by largest remainder.

Output, reasoning included, is the response. What is not a token (requests, searches, images,
seconds) and input of unknown structure stays unsplit. All of it follows from the weights, the kinds
and the components alone, so that verification can do it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook.layers import LAYER_OF, LAYERS, Section
from tollbook.money import split_pico
from tollbook.usage import INPUT_KINDS, KINDS, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    Weights = tuple[int, ...] | None
    """Section, weight, section, weight, ... in the order of the prompt; None: not known."""

RESPONSE: Final = LAYERS.index("response")
UNSPLIT: Final = LAYERS.index("unsplit")
LAYER_AT: Final = tuple(LAYERS.index(LAYER_OF[section]) for section in Section)
"""Section number to the place of its layer in :data:`tollbook.layers.LAYERS`."""

PROMPT_ORDER: Final = (
    "cache_read_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_write_1h_tokens",
    "cache_write_5m_tokens",
    "uncached_input_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
)
"""The kinds of input in the order in which they stand in a prompt."""
PROMPT_AT: Final = tuple(KINDS.index(kind) for kind in PROMPT_ORDER)
assert set(PROMPT_ORDER) == set(INPUT_KINDS)

INPUTS: Final = slice(0, len(INPUT_KINDS))
OUTPUTS: Final = slice(len(INPUT_KINDS), len(TOKEN_KINDS))
_decode_weights: Final = msgspec.json.Decoder(tuple[int, ...]).decode


class Sectioned(NamedTuple):
    """A section of a request and the tokens in it."""

    section: int
    """A number of :class:`tollbook.layers.Section`; any other is of a later version."""
    weight: int
    tokens: int
    by_kind: tuple[int, ...]
    """The tokens by :data:`PROMPT_ORDER`."""


class LayerSplit(NamedTuple):
    """Tokens and cost (in pico) by :data:`tollbook.layers.LAYERS`; None is unknown."""

    tokens: tuple[int, ...] | None
    costs: tuple[int, ...] | None


def layer_at(section: int) -> int:
    """Return the place of a section's layer; a section that is not known here is unsplit."""
    return LAYER_AT[section] if 0 <= section < len(LAYER_AT) else UNSPLIT


def weights_of(text: str | None) -> Weights:
    """Return stored weights; None for what is no list of integers."""
    try:
        return None if text is None else _decode_weights(text)
    except msgspec.MsgspecError:
        return None


def sections(weights: Weights, kinds: Sequence[int]) -> list[Sectioned]:
    """Return the sections of a request with their tokens, in the order of the prompt.

    Args:
        weights: as :class:`tollbook.call.CallOpened` has them. Weights that are none (an odd
            number, a negative one, all zero) are as good as no weights.
        kinds: quantities by :data:`tollbook.usage.KINDS`.

    Returns:
        None at all where no weights are known.
    """
    if not weights or len(weights) % 2 or min(weights[1::2]) < 0 or not any(weights[1::2]):
        return []
    shares = split_pico(sum(kinds[INPUTS]), weights[1::2])
    left = [kinds[at] for at in PROMPT_AT]
    at, found = 0, []
    for section, weight, tokens in zip(weights[::2], weights[1::2], shares, strict=True):
        by_kind, wanted = [0] * len(left), tokens
        while wanted:
            taken = min(wanted, left[at])
            by_kind[at] += taken
            left[at] -= taken
            wanted -= taken
            at += not left[at]
        found.append(Sectioned(section, weight, tokens, tuple(by_kind)))
    return found


def split_layers(
    weights: Weights, kinds: Sequence[int] | None, components: Sequence[int] | None
) -> LayerSplit:
    """Split the tokens and the cost of a call, or of a part of one, by layer.

    Args:
        weights: of the request; None for a part of a call, whose input has a structure of its own.
        kinds: quantities by :data:`tollbook.usage.KINDS`; None: unknown.
        components: cost of each kind in pico; None: unknown.
    """
    if kinds is None:
        return LayerSplit(None, None if components is None else _unsplit(components))
    found = sections(weights, kinds)
    tokens = [0] * len(LAYERS)
    tokens[RESPONSE] = sum(kinds[OUTPUTS])
    if not found:
        tokens[UNSPLIT] = sum(kinds[INPUTS])
        return LayerSplit(tuple(tokens), None if components is None else _unsplit(components))
    for one in found:
        tokens[layer_at(one.section)] += one.tokens
    return LayerSplit(
        tuple(tokens), None if components is None else _costs(found, kinds, components)
    )


def _unsplit(components: Sequence[int]) -> tuple[int, ...]:
    costs = [0] * len(LAYERS)
    costs[RESPONSE] = sum(components[OUTPUTS])
    costs[UNSPLIT] = sum(components) - costs[RESPONSE]
    return tuple(costs)


def _costs(
    found: Sequence[Sectioned], kinds: Sequence[int], components: Sequence[int]
) -> tuple[int, ...]:
    costs = list(_unsplit(components))
    for place, at in enumerate(PROMPT_AT):
        cost = components[at]
        if not cost or not kinds[at]:
            continue  # what costs without having been counted stays unsplit
        tokens = [0] * len(LAYERS)
        for one in found:
            tokens[layer_at(one.section)] += one.by_kind[place]
        costs[UNSPLIT] -= cost
        for layer, share in enumerate(split_pico(cost, tokens)):
            costs[layer] += share
    return tuple(costs)
