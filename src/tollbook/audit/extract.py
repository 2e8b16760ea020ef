"""A span to what is kept of it: who, what, when, how much; what was said is dropped here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.audit.facts import CallFact, SpanFact
from tollbook.audit.kept import names as of
from tollbook.audit.kept.beginnings import Beginnings
from tollbook.audit.kept.calls import call_of, is_later_told, session_of
from tollbook.audit.kept.carried import carried
from tollbook.audit.kept.hops import job_library, label_of, reach_of
from tollbook.audit.kept.names import group_of
from tollbook.audit.kept.owner_names import rank_of
from tollbook.audit.kept.owners import NOBODY, owner_in, process_owner_in, says_payer
from tollbook.audit.kept.redact import Redactor
from tollbook.audit.kept.sampling import kept_share_ppm
from tollbook.audit.kept.span_names import shown_name
from tollbook.audit.kept.unusable import Unusable, bad_counts
from tollbook.audit.later import CLOSED_EARLY
from tollbook.audit.told import with_told
from tollbook.capture.otlp.operations import OTHER, what_is
from tollbook.capture.otlp.providers import KNOWN_HOSTS
from tollbook.capture.otlp.spans import Span
from tollbook.dialects.otel_names import is_count

if TYPE_CHECKING:
    from tollbook.audit.read import Batch
    from tollbook.audit.settings import AuditSettings
    from tollbook.capture.otlp.operations import What

_NAME_MAX_CHARS: Final = 128
_ID_MAX_CHARS: Final = 64
_LINKS_MAX: Final = 32
_SHAPES_MAX: Final = 4096
_SHAPE_MAX_NAMES: Final = 64
_NS_MAX: Final = 2**63 - 1
_SERVER: Final = 2
_ROOT_KINDS: Final = frozenset({_SERVER, 5})
_OUTGOING: Final = frozenset({3, 4})
"""Client and producer: what they carry leaves the process."""


class _Process(NamedTuple):
    """What is the same for all spans of a resource."""

    resource: dict[str, Any]
    service: str
    owner: dict[str, str]


class _Sorted(NamedTuple):
    """What the names of a span's attributes say. Lists are shared: nothing is added to them."""

    groups: int
    owners: list[str]
    """Those that may name an owner."""
    counts: list[str]
    """Those that count something."""
    dropped: int
    """How many hold content."""


class Extractor:
    """Keeps of spans what rules look at.

    Args:
        settings: what is hashed, and which attributes name the tenant.
    """

    def __init__(self, settings: AuditSettings) -> None:
        self._chosen = frozenset(settings.tenant_attributes)
        is_hashed = settings.hash_names or settings.redact_names
        self._redactor = Redactor(settings.hash_key) if is_hashed else None
        self._has_key = bool(settings.hash_key)
        self._hides_names = settings.redact_names
        self._dropped = 0
        self._unusable = Unusable()
        self._shapes: dict[tuple[str, ...], _Sorted] = {}
        self._process = _Process({}, "", {})
        self.beginnings = Beginnings()
        """What was read so far begins in these ways without saying who pays."""

    def fact(self, span: Span, source: int, batch: Batch) -> SpanFact:
        """Return what is kept; never raises on what a span holds."""
        attributes = span.attributes
        groups, owners, counts, _ = self._sorted_out(span)
        process = self._process
        if process.resource is not span.resource:
            process = self._process = self._of_process(span.resource, batch)
        owner = owner_in(attributes, owners, self._chosen) if owners else NOBODY
        what = self._what(span, groups)
        call = None
        if counts:
            self._unusable.add(bad_counts(attributes, counts), batch.where)
        if owner.problems:
            self._unusable.add(owner.problems, batch.where)
        if counts or what.is_inference:
            call = with_told(call_of(span, what, counts), span)
            if not counts and _is_told_later(span):
                call = replace(call, is_stream=True, usage_source=CLOSED_EARLY)
        fact = SpanFact(
            trace_id=span.trace_id[:_ID_MAX_CHARS],
            span_id=span.span_id[:_ID_MAX_CHARS],
            parent_span_id=_parent(span),
            name=shown_name(span.name),
            what=what.kind,
            kind=span.kind,
            service=process.service,
            scope=span.scope_name[:_NAME_MAX_CHARS],
            scope_version=span.scope_version[:_ID_MAX_CHARS],
            started_at_ns=_time(span.started_at_ns),
            ended_at_ns=_time(span.ended_at_ns),
            is_error=span.is_error,
            owner=owner.fields,
            carriers=owner.carriers,
            process_owner=process.owner,
            kept_share_ppm=kept_share_ppm(
                span.tracestate, attributes, has_attributes=bool(groups & of.SAMPLING)
            )
            if span.tracestate or groups & of.SAMPLING
            else None,
            problems=owner.problems,
            call=call,
            source=source,
            line=batch.where.line,
            has_trace=batch.has_traces,
            **self._rest(span, groups, owner.fields),
        )
        if self._redactor is not None:
            fact = self._redacted(fact, self._redactor)
        if not says_payer(fact):
            self.beginnings.see(fact)
        return fact

    def _sorted_out(self, span: Span) -> _Sorted:
        """Return what the names of its attributes say; few instrumentations write all spans."""
        names = tuple(span.attributes)
        found = self._shapes.get(names)
        if found is None:
            found = _sorted(names, self._chosen)
            is_short = len(names) <= _SHAPE_MAX_NAMES and max(map(len, names), default=0) <= 128  # noqa: PLR2004 -- chars of a name
            if is_short and len(self._shapes) < _SHAPES_MAX:
                self._shapes[names] = found
        self._dropped += found.dropped
        for event in span.events:
            self._dropped += sum(1 for name in event.attributes if group_of(name) & of.CONTENT)
        return found

    def take_dropped(self) -> int:
        """Return how many attributes with content were dropped since the last time."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def take_notes(self) -> list[str]:
        """Return what could not be used since the last time: problems, how often, where first."""
        return self._unusable.take()

    def words(self) -> str:
        """Say what happened to names and content."""
        said = (
            "Attributes with content (prompts, completions, tool arguments, statements, messages"
            " of exceptions) were dropped on reading; keys were replaced by hashes."
        )
        if self._redactor is None:
            return f"{said} Names are shown as they came."
        which = "Names of tenants, users and other identity"
        if self._hides_names:
            which += ", services, spans and hosts"
        key = "the key that was given" if self._has_key else "a random key that was not kept"
        return f"{said} {which} were replaced by a hash with {key}."

    def _of_process(self, resource: dict[str, Any], batch: Batch) -> _Process:
        service = resource.get("service.name")
        owners = [
            name for name in resource if name in self._chosen or rank_of(name[:256]) is not None
        ]
        owner, problems = process_owner_in(resource, owners, self._chosen)
        self._unusable.add([f"in a resource {one}" for one in problems], batch.where)
        return _Process(
            resource,
            shown_name(service) if isinstance(service, str) else "",
            owner,
        )

    def _what(self, span: Span, groups: int) -> What:
        if groups & of.CALL:
            return what_is(span)
        if span.kind in _ROOT_KINDS and span.parent_span_id is None:
            return _ROOT
        return OTHER

    def _rest(self, span: Span, groups: int, owner: dict[str, str]) -> dict[str, Any]:
        """Return what only some spans have."""
        rest: dict[str, Any] = {}
        if span.links:
            rest["links"] = tuple(
                [
                    f"{one.trace_id[:_ID_MAX_CHARS]}:{one.span_id[:_ID_MAX_CHARS]}"
                    for one in span.links[:_LINKS_MAX]
                ]
            )
        if groups & _REACHING or job_library(span.scope_name) is not None:
            reach = reach_of(span.attributes, groups, span.kind, span.scope_name)
            rest["peer"] = reach.peer
            rest["protocol"] = reach.protocol
            rest["messaging"] = reach.messaging
            rest["path_hash"] = reach.path_hash
        if groups & of.CARRIED:
            names = [name for name in span.attributes if group_of(name) & of.CARRIED]
            found = carried(span.attributes, names)
            rest["baggage"] = {
                field: value for field, value in found.values() if field not in owner
            }
            if span.kind in _OUTGOING:
                rest["sent"] = {name: value for name, (_, value) in found.items()}
            elif span.kind == _SERVER:
                rest["received"] = tuple(sorted({field for field, _ in found.values()}))
        if groups & of.SESSION:
            rest["session_id"] = session_of(span.attributes)
        return rest

    def _redacted(self, fact: SpanFact, redactor: Redactor) -> SpanFact:
        call = fact.call
        name = redactor.name
        if call is not None:
            call = replace(
                call,
                conversation_id=name(call.conversation_id) if call.conversation_id else None,
                api_key_id=name(call.api_key_id) if call.api_key_id else None,
            )
        fact = replace(
            fact,
            owner=redactor.values(fact.owner),
            process_owner=redactor.values(fact.process_owner),
            baggage=redactor.values(fact.baggage),
            sent=redactor.values(fact.sent),
            session_id=name(fact.session_id) if fact.session_id else None,
            call=call,
        )
        return _nameless(fact, redactor) if self._hides_names else fact


_ROOT: Final = what_is(Span(trace_id="", span_id="", kind=_SERVER))
"""A request or a job, of which no attribute says more."""
_COUNTED: Final = of.CONTENT | of.OWNER | of.CALL
_REACHING: Final = of.HTTP | of.RPC | of.DATABASE | of.MESSAGING | of.PEER


def _sorted(names: tuple[str, ...], chosen: frozenset[str]) -> _Sorted:
    groups = dropped = 0
    owners: list[str] = []
    counts: list[str] = []
    for name in names:
        group = group_of(name)
        if group & _COUNTED:
            if group & of.CONTENT:
                dropped += 1
            if group & of.OWNER:
                owners.append(name)
            if group & of.CALL and is_count(name):
                counts.append(name)
        groups |= group
    owners += [one for one in names if one in chosen and one not in owners]
    return _Sorted(groups, owners, counts, dropped)


def _nameless(fact: SpanFact, redactor: Redactor) -> SpanFact:
    """Return a fact without the names of services, spans and hosts of the product itself."""
    call: CallFact | None = fact.call
    is_known = call is not None and call.host in KNOWN_HOSTS
    if call is not None and call.host and not is_known:
        call = replace(call, host=redactor.name(label_of(call.host)))
    peer = fact.peer
    if peer and peer not in KNOWN_HOSTS:
        peer = redactor.name(label_of(peer))
    return replace(
        fact,
        name=redactor.name(fact.name),
        service=redactor.name(label_of(fact.service)) if fact.service else "",
        peer=peer,
        call=call,
    )


def _parent(span: Span) -> str | None:
    parent = span.parent_span_id
    if not parent or parent == "0000000000000000":
        return None
    return parent[:_ID_MAX_CHARS]


def _time(at_ns: int) -> int:
    return at_ns if 0 <= at_ns <= _NS_MAX else 0


def _is_told_later(span: Span) -> bool:
    """Whether another span tells of the call: Logfire ends that of a stream when it begins.

    It writes a second one beside it, with the usage, when the stream has ended.
    """
    return (
        span.scope_name.startswith("logfire.")
        and not span.is_error
        and not is_later_told(span.name)
    )
