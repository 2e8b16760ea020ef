"""Usage of calls that did not report theirs, or not all of it: an estimate that says so.

Method: four characters of text to a token, for input and output alike, rounded up; every content
event of a stream is at least one token, for providers send one event a token or more. That is the
usual rule of thumb for English and within some 30 % for most text and code; scripts other than
Latin are underestimated. What cannot be seen, such as hidden reasoning, is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.call import Call, Metering, Status, UsageSource
from tollbook.dialects.base import Measured
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.dialects.counts import Reading

CHARS_PER_TOKEN: Final = 4
# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED
_REJECTED: Final = Status.REJECTED
_REPORTED: Final = UsageSource.REPORTED
_NO_OUTPUT: Final = frozenset({"embeddings", "rerank"})
NOT_MEASURED: Final = Measured(None, UsageSource.NONE)


def measure_with(read: Callable[[tuple[bytes, ...]], Reading], call: Call) -> Measured:
    """Return a call's usage: as reported, or completed or replaced by an estimate.

    Args:
        read: turns the usage objects of one response into kinds.
        call: the whole call.
    """
    opened, closed = call.opened, call.closed
    if opened.metering is not _METERED or not closed.is_billable or closed.status is _REJECTED:
        return NOT_MEASURED
    problems: tuple[str, ...] = ()
    if closed.usage:
        reading = read(closed.usage)
        kinds, problems, lacks = reading.kinds, reading.problems, reading.lacks
        if kinds is not None:
            if lacks and opened.operation in _NO_OUTPUT:
                lacks = tuple([side for side in lacks if side != "output"])  # it has none
            source = _REPORTED
            if lacks or not closed.usage_complete:
                source = UsageSource.ESTIMATED
                kinds, why = _completed(kinds, call, lacks)
                problems = (*problems, why)
            return Measured(
                kinds, source, problems, reading.tier, reading.region, reading.further,
                reading.reported_cost_pico,
            )  # fmt: skip
    if closed.status is Status.INTERRUPTED:
        why = "the gateway stopped during the call: output is unknown, input is estimated"
        return Measured(Kinds(_input_tokens(call)), UsageSource.ESTIMATED, (*problems, why))
    kinds = Kinds(
        uncached_input_tokens=_input_tokens(call), visible_output_tokens=_output_tokens(call)
    )
    why = "the provider reported no usage: estimated from the length of the text"
    return Measured(kinds, UsageSource.ESTIMATED, (*problems, why))


def _completed(kinds: Kinds, call: Call, lacks: tuple[str, ...]) -> tuple[Kinds, str]:
    """Fill up what has no count, or the output of a stream that broke off before its last one.

    Returns:
        The kinds, and why they are an estimate.
    """
    is_cut = not call.closed.usage_complete
    if is_cut or "output" in lacks:
        missing = max(0, _output_tokens(call) - kinds.output_tokens)
        kinds = kinds._replace(visible_output_tokens=kinds.visible_output_tokens + missing)
    if (is_cut or "input" in lacks) and kinds.input_tokens == 0:
        kinds = kinds._replace(uncached_input_tokens=_input_tokens(call))
    if is_cut:
        why = "the stream ended before its final usage: output is estimated from what was received"
    else:
        why = (
            f"the provider's usage has no count of the {' and the '.join(lacks)}: estimated from"
            " the length of the text"
        )
    return kinds, why


def _input_tokens(call: Call) -> int:
    return -(-call.opened.input_chars // CHARS_PER_TOKEN)


def _output_tokens(call: Call) -> int:
    closed = call.closed
    return max(-(-closed.output_chars // CHARS_PER_TOKEN), closed.output_events)
