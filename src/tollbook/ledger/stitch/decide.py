"""From a scene to what is to be charged: the rules in their order, nothing read or written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from tollbook.call import Call
from tollbook.ids import to_text
from tollbook.ledger.stitch.inherit import Heirs, Word
from tollbook.ledger.stitch.match import match
from tollbook.ledger.stitch.merge import merge
from tollbook.ledger.stitch.rows import State
from tollbook.ledger.stitch.settle import Wanted
from tollbook.ledger.stitch.tables import LATE_IDENTITY, STITCHED, WRAPPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Identity
    from tollbook.ledger.stitch.merge import Merged
    from tollbook.ledger.stitch.scene import Scene
    from tollbook.ledger.stitch.sight import Sight
    from tollbook.ledger.stitch.trails import Trails

AGGREGATE_FLAG: Final = "a total over calls, none of which was seen"
_NOT_NAMED: Final = frozenset(["", "unknown", "otel"])
_NO_OPERATION: Final = "other"
_encode: Final = msgspec.json.encode


class Note(NamedTuple):
    """What is to be said of a call: ``conflict`` or ``ambiguous``, and a JSON object."""

    call_id: bytes
    kind: str
    called_us: int
    detail: str


class Decision(NamedTuple):
    """What is to be."""

    wanted: list[Wanted]
    gone: dict[bytes, str]
    """Calls that are no charge of their own, and why."""
    states: dict[bytes, State]
    """Of every observed call."""
    notes: list[Note]


def decide(scene: Scene, window_us: int) -> Decision:
    """Return what all calls of a scene are to be charged as.

    Args:
        scene: everything that is known around what a step brought.
        window_us: how long after a call its owner may become known.
    """
    return _Decider(scene, window_us).run()


class _Decider:
    def __init__(self, scene: Scene, window_us: int) -> None:
        self._scene, self._trails = scene, scene.trails
        self._window_us = window_us
        self._wanted: list[Wanted] = []
        self._gone: dict[bytes, str] = {}
        self._states: dict[bytes, State] = {}
        self._notes: list[Note] = []

    def run(self) -> Decision:
        groups = match(self._scene.sights, self._trails)
        merged = [merge(self._in_time(group)) for group in groups.groups]
        words = {one.call_id: _word(one, one.identity) for one in self._scene.sights}
        for group, whole in zip(groups.groups, merged, strict=True):
            identity = whole.call.opened.identity
            teller = next((each for each in group if each.identity.tenant_id), group[0])
            words |= {each.call_id: _word(teller, identity) for each in group}
        heirs = Heirs(self._trails, self._scene.sights, words, self._window_us)
        for one, inside in groups.wrappers:
            why = f"{WRAPPER}its calls are charged, such as {to_text(inside.call_id)}"
            self._leave(one, "wrapper", inside, why)
        for one, around in groups.covered:
            why = f"{STITCHED}without usage, within call {to_text(around.call_id)}"
            self._leave(one, "covered", around, why)
        for group, best in zip(groups.groups, merged, strict=True):
            self._charge(group, best, heirs, groups.how)
        return Decision(self._wanted, self._gone, self._states, self._notes)

    def _leave(self, one: Sight, state: str, other: Sight, why: str, by: str | None = None) -> None:
        if one.rank:
            detail = None if by is None else _encode({"by": by}).decode()
            self._states[one.call_id] = State(state, other.call_id, detail)
            self._gone[one.call_id] = why

    def _charge(
        self, group: Sequence[Sight], merged: Merged, heirs: Heirs, how: dict[bytes, str]
    ) -> None:
        lead = group[0]
        for one in group[1:]:
            why = f"{STITCHED}the same call as {to_text(lead.call_id)}, seen by {lead.observer}"
            self._leave(one, "stitched", lead, why, how.get(one.call_id))
        identity = merged.call.opened.identity
        heir = heirs.of(identity, group, min(one.seen_us for one in group))
        call = _owned(merged.call, heir.identity)
        if lead.rank:
            call = _named(call, group, self._trails)
        flag = AGGREGATE_FLAG if lead.is_aggregate else None
        if lead.rank:
            self._states[lead.call_id] = State("aggregate" if flag else "charged")
        names = list(dict.fromkeys(one.observer for one in group))
        observed_by = _encode(names).decode() if lead.rank or len(group) > 1 else None
        reason = self._reason(group, merged, heir.evidence)
        self._wanted.append(Wanted(call, observed_by, reason, flag))
        self._note(lead, merged, heir.rivals)

    def _in_time(self, group: Sequence[Sight]) -> Sequence[Sight]:
        """Return sights without the owners that were told too late."""
        until_us = min(one.seen_us for one in group) + self._window_us
        return [
            one if one.seen_us <= until_us
            else one._replace(call=_owned(one.call, type(one.identity)()))
            for one in group
        ]  # fmt: skip

    def _reason(self, group: Sequence[Sight], merged: Merged, evidence: str | None) -> str:
        lead = group[0]
        if evidence is not None:
            return f"{LATE_IDENTITY}from {evidence}"
        tenant = merged.call.opened.identity.tenant_id
        if tenant is not None and lead.identity.tenant_id is None:
            teller = next(one for one in group if one.identity.tenant_id == tenant)
            return f"{LATE_IDENTITY}from {teller.observer} call {to_text(teller.call_id)}"
        if len(group) > 1:
            others = ", ".join(dict.fromkeys(one.observer for one in group[1:]))
            usage = "" if merged.usage_of is lead else f"; usage of {merged.usage_of.observer}"
            return f"{STITCHED}seen by {others} as well{usage}"
        return f"{STITCHED}what is known of its trace has changed"

    def _note(self, lead: Sight, merged: Merged, rivals: tuple[str, ...]) -> None:
        if merged.differing:
            text = _encode(merged.differing).decode()
            self._notes.append(Note(lead.call_id, "conflict", lead.start_us, text))
        if rivals:
            what: list[dict[str, Any]] = [{"field": "tenant_id", "candidates": rivals}]
            text = _encode(what).decode()
            self._notes.append(Note(lead.call_id, "ambiguous", lead.start_us, text))


def _word(one: Sight, identity: Identity) -> Word:
    return Word(identity, one.seen_us, f"{one.observer} call {to_text(one.call_id)}")


def _owned(call: Call, identity: Identity) -> Call:
    if identity is call.opened.identity:
        return call
    return Call(replace(call.opened, identity=identity), call.closed, call.evidence)


def _named(call: Call, group: Sequence[Sight], trails: Trails) -> Call:
    """Return a call with the model of the call around it, where it has usage but no model."""
    opened, closed = call.opened, call.closed
    if opened.model_requested or closed.model_actual:
        return call
    mine = {one.call_id for one in group}
    for key in trails.upwards(group[0].parent_span):
        for one in trails.calls.get(key, ()):
            theirs = one.call
            model = theirs.closed.model_actual or theirs.opened.model_requested
            if one.call_id in mine or model is None:
                continue
            provider = opened.provider
            if provider.lower() in _NOT_NAMED:
                provider = theirs.opened.provider
            operation = opened.operation
            if operation == _NO_OPERATION:
                operation = theirs.opened.operation
            requested = theirs.opened.model_requested
            return Call(
                replace(opened, provider=provider, model_requested=requested, operation=operation),
                replace(closed, model_actual=theirs.closed.model_actual),
                call.evidence,
            )
    return call
