"""Batches of the simulated providers: files, lines answered later at half price, and their truth.

What a submission wishes is in ``x-sim-batch`` (``ready_ms=500;expire=1;poison=2``): how long the
batch takes, how many of its last lines expire, how many unreadable lines its results get,
``status=failed`` that nothing comes of it. Its lines are answered when it is submitted and shown
when it is ready; the truth log has each line as an arrival of its own, whose ``request_id`` is its
custom id.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook import clock
from tollbook.money import usd_text
from tollbook.simulator.params import BadParamsError, parse_params, whole
from tollbook.simulator.pricelist import Quantities, price
from tollbook.simulator.provider.answers import Plain, RefusedError
from tollbook.simulator.truth import Ended, Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.simulator.provider.answers import Answer
    from tollbook.simulator.provider.api import Incoming
    from tollbook.simulator.provider.checks import Json

    Ask = Callable[[Incoming], Answer]

_INVALID: Final = "invalid_request_error"
_HOUR_MS: Final = 3_600_000
_LINES_MAX: Final = 100_000
_IDENTITY: Final = ("x-sim-request-id", "x-sim-size", "x-sim-fault", "x-sim-batch")
encode = msgspec.json.Encoder().encode


class Wish(NamedTuple):
    """What a submission asks of the simulator."""

    ready_ms: int = 0
    expire: int = 0
    poison: int = 0
    status: str = ""


class Line(NamedTuple):
    """A request of a batch."""

    custom_id: str
    path: str
    body: Json


class Outcome(NamedTuple):
    """What became of a line."""

    line: Line
    status: int
    body: bytes
    """The answer, or the error in the provider's shape; empty: it expired."""
    request_id: str


class Batch:
    """One batch, answered; ``is_ready`` says whether it may be shown."""

    def __init__(self, batch_id: str, outcomes: list[Outcome], wish: Wish) -> None:
        self.batch_id = batch_id
        self.outcomes = outcomes
        self.wish = wish
        self.created_ns = clock.unix_ns()
        self.ready_ns = self.created_ns + wish.ready_ms * 1_000_000
        self.details: Json = {}
        """What the API itself keeps: the endpoint, the file, the metadata."""

    @property
    def is_ready(self) -> bool:
        """Whether it has ended."""
        return clock.unix_ns() >= self.ready_ns

    def count(self, *, expired: bool = False, failed: bool = False) -> int:
        """Return how many lines expired, failed, or (neither) were answered."""
        return sum(
            (not one.body) if expired else bool(one.body) and (one.status >= 400) == failed  # noqa: PLR2004 -- HTTP
            for one in self.outcomes
        )


def new_id(prefix: str) -> str:
    """Return an id in the provider's form."""
    return f"{prefix}{secrets.token_hex(12)}"


def wish_of(incoming: Incoming) -> Wish:
    """Read ``x-sim-batch``.

    Raises:
        RefusedError: it cannot be read.
    """
    text = incoming.headers.get("x-sim-batch")
    if text is None:
        return Wish()
    try:
        given = parse_params(text)
        return Wish(
            whole(given, "ready_ms", 0, _HOUR_MS),
            whole(given, "expire", 0, _LINES_MAX),
            whole(given, "poison", 0, _LINES_MAX),
            given.get("status", ""),
        )
    except BadParamsError as error:
        raise RefusedError(400, _INVALID, f"x-sim-batch: {error}") from error


def answer_lines(
    incoming: Incoming,
    lines: list[Line],
    ask: Ask,
    *,
    provider: str,
    refuse: Callable[[RefusedError, str], Plain],
) -> list[Outcome]:
    """Answer every line, and write to the truth log what is billed for it: half the price."""
    wish = wish_of(incoming)
    billed = [] if wish.status == "failed" else lines[: len(lines) - wish.expire]
    headers = {name: text for name, text in incoming.headers.items() if name not in _IDENTITY}
    outcomes: list[Outcome] = []
    for line in lines:
        request_id = new_id("req_")
        if len(outcomes) >= len(billed):
            outcomes.append(Outcome(line, 0, b"", request_id))
            continue
        assert incoming.log is not None
        attempt_id = incoming.log.new_attempt_id()
        one = incoming._replace(
            method="POST", path=line.path, headers=headers, body=line.body, attempt_id=attempt_id,
            raw_body=b"",
        )  # fmt: skip
        model = line.body.get("model")
        incoming.log.write(Received(
            attempt_id=attempt_id, provider=provider, method="BATCH", path=line.path,
            arrived_at_ns=clock.unix_ns(), request_id=line.custom_id,
            model_requested=model if isinstance(model, str) else None,
        ))  # fmt: skip
        try:
            answer = ask(one)
        except RefusedError as refused:
            answer = refuse(refused, request_id)
        assert isinstance(answer, Plain), "a line of a batch cannot stream"
        _write_truth(incoming, attempt_id, answer, request_id)
        outcomes.append(Outcome(line, answer.status, answer.body, request_id))
    return outcomes


def _write_truth(incoming: Incoming, attempt_id: str, answer: Plain, request_id: str) -> None:
    assert incoming.log is not None
    generation = answer.generation
    quantities = generation.quantities if generation is not None else Quantities()
    cost = 0
    if generation is not None:
        twice = sum(price(generation.model, quantities).values())
        cost, rest = divmod(twice, 2)
        assert not rest, "half a price is not a whole number of pico"
    incoming.log.write(Ended(
        attempt_id=attempt_id,
        ended_at_ns=clock.unix_ns(),
        outcome="ok" if generation is not None else "error",
        http_status=answer.status,
        model=generation.model.snapshot if generation is not None else None,
        provider_request_id=request_id,
        response_id=answer.response_id,
        is_billed=generation is not None,
        quantities={kind: n for kind, n in quantities._asdict().items() if n},
        cost_usd=usd_text(cost),
        usage_delivered=True,
    ))  # fmt: skip
