"""The best of each: one call out of what several observers told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.call import IDENTITY_FIELDS, Call, Conflict, Identity, Status
from tollbook.identity.claims import Mechanism
from tollbook.identity.resolve import MAX_CONFLICTS
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS
from tollbook.ledger.charge import measure
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.ledger.stitch.sight import Sight

_TRUST: Final = {mechanism.value: rank for rank, mechanism in enumerate(Mechanism)}
_LEAST: Final = len(_TRUST)
_DEFAULT: Final = Mechanism.DEFAULT.value
# All that measuring looks at goes together, from the observer whose usage is taken.
_MEASURED_OPENED: Final = (
    "dialect", "operation", "metering", "method", "path", "is_stream", "input_chars", "asked",
    "max_output_tokens", "request_bytes",
)  # fmt: skip
_MEASURED_CLOSED: Final = (
    "status", "http_status", "error_type", "service_tier", "usage", "usage_complete",
    "output_chars", "output_events", "response_bytes", "is_billable", "cached_from",
)  # fmt: skip
_FIRST_OPENED: Final = ("model_requested", "idempotency_key", "region", "call_site")
_FIRST_CLOSED: Final = (
    "model_actual", "provider_request_id", "provider_response_id", "time_to_first_token_ns",
)  # fmt: skip


class Merged(NamedTuple):
    """One call."""

    call: Call
    usage_of: Sight
    """Whose count of tokens was taken."""
    differing: list[dict[str, Any]]
    """Where observers contradict each other: ``field``, ``kept``, ``kept_by``, ``refused``,
    ``refused_by``."""


def merge(group: Sequence[Sight]) -> Merged:
    """Return one call out of its sights, the lead first."""
    lead = group[0]
    if len(group) == 1:
        return Merged(lead.call, lead, [])
    usage_of = _measurer(group)
    opened, closed = lead.call.opened, lead.call.closed
    if usage_of is not lead:
        opened = replace(opened, **_fields(usage_of.call.opened, _MEASURED_OPENED))
        closed = replace(closed, **_fields(usage_of.call.closed, _MEASURED_CLOSED))
    opened = replace(
        opened,
        identity=merge_identities([one.identity for one in group]),
        **_first([one.call.opened for one in group], _FIRST_OPENED),
        **_place(group),
        **_layers(group),
    )
    closed = replace(closed, **_first([one.call.closed for one in group], _FIRST_CLOSED))
    if not closed.duration_ns:
        told = [one.call.closed.duration_ns for one in group if one.call.closed.duration_ns]
        closed = replace(closed, duration_ns=next(iter(told), 0))
    call = Call(opened, closed, lead.call.evidence)
    return Merged(call, usage_of, [*_usage_differs(group, usage_of), *_owner_differs(group)])


def _measurer(group: Sequence[Sight]) -> Sight:
    """Return whose usage is taken: reported beats estimated, then the order of trust."""
    lead = group[0]
    closed = lead.call.closed
    is_final = lead.rank == 0 and closed.status is not Status.INTERRUPTED
    if is_final and (closed.cached_from is not None or not closed.is_billable):
        return lead  # the gateway knows what it did not send
    for one in group:
        if one.has_usage and one.call.closed.usage_complete:
            return one
    return next((one for one in group if one.has_usage), lead)


def _fields(struct: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in names}


def _first(structs: Sequence[Any], names: Iterable[str]) -> dict[str, Any]:
    return {
        name: next((value for one in structs if (value := getattr(one, name)) is not None), None)
        for name in names
    }


def _place(group: Sequence[Sight]) -> dict[str, Any]:
    """Return the span it is, else the trace it was made in."""
    known = [one.call.opened for one in group if one.own_span is not None]
    known += [one.call.opened for one in group if one.call.opened.trace_id is not None]
    return _fields(known[0], ("trace_id", "span_id", "parent_span_id")) if known else {}


def _layers(group: Sequence[Sight]) -> dict[str, Any]:
    told = (one.call.opened for one in group if one.call.opened.layers is not None)
    first = next(told, None)
    said = {} if first is None else _fields(first, ("layers",))
    prefixed = (one.call.opened for one in group if one.call.opened.prefix_hash is not None)
    first = next(prefixed, None)
    return said | ({} if first is None else _fields(first, ("prefix_hash", "prefix_chars")))


def merge_identities(identities: Sequence[Identity]) -> Identity:
    """Return the owner that all identities add up to.

    For each field the most trusted mechanism wins (:class:`tollbook.identity.claims.Mechanism`),
    then the earlier identity; what contradicts it is recorded.
    """
    told = [one for one in identities if one != Identity()]
    if len(told) <= 1:
        return told[0] if told else Identity()
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    conflicts = [conflict for one in told for conflict in one.conflicts]
    for field in IDENTITY_FIELDS:
        claims = sorted(
            ((trust_of(one, field), at) for at, one in enumerate(told) if getattr(one, field)),
        )
        for nth, (_, at) in enumerate(claims):
            value, source = getattr(told[at], field), told[at].sources.get(field, _DEFAULT)
            if not nth:
                values[field], sources[field] = value, source
            elif value != values[field] and source != _DEFAULT:
                conflicts.append(
                    Conflict(field, values[field], sources[field], value, source)
                )  # fmt: skip
    tags: dict[str, str] = {}
    for one in told:
        for name, value in one.tags.items():
            if len(tags) < MAX_TAGS:
                tags.setdefault(name, value)
    return Identity(
        **values,
        api_key_id=next((one.api_key_id for one in told if one.api_key_id), None),
        tags=tags,
        sources=sources,
        conflicts=tuple(dict.fromkeys(conflicts))[:MAX_CONFLICTS],
        problems=tuple(dict.fromkeys(word for one in told for word in one.problems))[
            : 2 * MAX_PROBLEMS
        ],
    )


def trust_of(identity: Identity, field: str) -> int:
    """Return the rank of the mechanism that carried a field, 0 the most trusted."""
    return _TRUST.get(identity.sources.get(field, _DEFAULT), _LEAST)


def _usage_differs(group: Sequence[Sight], usage_of: Sight) -> Iterable[dict[str, Any]]:
    told = [one for one in group if one is not usage_of and one.has_usage]
    if not told or not usage_of.has_usage:
        return
    ours = _totals(usage_of.call)
    for one in told:
        for field, (kept, refused) in zip(
            ("input_tokens", "output_tokens"),
            zip(ours, _totals(one.call), strict=True),
            strict=True,
        ):
            if kept is not None and refused is not None and kept != refused:
                yield _differing(field, kept, usage_of, refused, one)


def _totals(call: Call) -> tuple[int | None, int | None]:
    kinds = measure(call).kinds
    if kinds is None:
        return None, None
    return (
        sum(getattr(kinds, name) for name in INPUT_KINDS),
        sum(getattr(kinds, name) for name in OUTPUT_KINDS),
    )


def _owner_differs(group: Sequence[Sight]) -> Iterable[dict[str, Any]]:
    known = [one for one in group if one.identity.tenant_id is not None]
    known.sort(key=lambda one: (trust_of(one.identity, "tenant_id"), one.rank, one.call_id))
    for one in known[1:]:
        if one.identity.tenant_id != known[0].identity.tenant_id:
            yield _differing(
                "tenant_id", known[0].identity.tenant_id, known[0], one.identity.tenant_id, one
            )


def _differing(field: str, kept: Any, kept_by: Sight, refused: Any, by: Sight) -> dict[str, Any]:
    return {
        "field": field, "kept": str(kept), "kept_by": kept_by.observer,
        "refused": str(refused), "refused_by": by.observer,
    }  # fmt: skip
