"""The steps of an agent run: a context that grows with every answer and tool result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.simulator.provider.sizing import Size

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tollbook.simulator.product import Lognormal

_STEPS = ("search", "read", "compute", "write")
_CACHE_STEP = 128
_CACHE_MIN = 1024
_CONTEXT_MAX = 100_000


def agent_steps(
    rng: random.Random,
    provider: str,
    base_tokens: int,
    answer: Lognormal,
    steps: int,
    *,
    is_loop: bool,
) -> Iterator[tuple[str, Size]]:
    """Yield step names and sizes; each step sends all that was said before.

    The context so far comes from the provider's prompt cache; Anthropic also bills what is added
    to the cache. Every step but the last calls a tool; a loop never comes to its last step.
    """
    context, seen = base_tokens, 0
    for number in range(steps):
        is_last = number == steps - 1 and not is_loop
        output = answer.draw(rng)
        thought = min(2000, round(rng.lognormvariate(4.5, 0.7))) if provider == "openai" else 0
        name = "plan" if number == 0 else "answer" if is_last else _STEPS[number % len(_STEPS)]
        size = Size(
            input=context, output=output + thought, reasoning=thought, tool=0 if is_last else 1
        )
        if provider == "openai":
            read = seen // _CACHE_STEP * _CACHE_STEP
            size = size._replace(cache_read=read if read >= _CACHE_MIN else 0)
        else:
            # The newest message stays outside the last cache breakpoint.
            new = max(0, context - seen - min(64, context - seen))
            kind = "cache_write_1h" if number == 0 and rng.random() < 0.2 else "cache_write_5m"  # noqa: PLR2004 -- a share
            size = size._replace(cache_read=seen, **{kind: new})
        yield name, size
        seen = size.cache_read + size.cache_write_5m + size.cache_write_1h
        if provider == "openai":
            seen = context
        context = min(_CONTEXT_MAX, context + output + rng.randint(100, 1500))
