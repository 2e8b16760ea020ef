"""A request that has left: read at once where that matters to it, later where it does not.

What a request says is needed when its call is told of. It is needed before, on the caller's time,
only if it decides what is sent (a stream that is asked for usage, marks that are taken out) or
whose call it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import ids
from tollbook.call import CallOpened, Observer
from tollbook.dialects.base import RequestFacts
from tollbook.dialects.layer_marks import MEMBER, marked_layers
from tollbook.identity.headers import claims_from_headers
from tollbook.sdk.harness import faults
from tollbook.sdk.harness.owner import owner_of
from tollbook.sdk.markers import HEADER as LAYERS_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Identity
    from tollbook.dialects.base import Header, Route
    from tollbook.dialects.request_layers import Layered
    from tollbook.identity.claims import Claims
    from tollbook.sdk.harness.retries import Earlier
    from tollbook.sdk.harness.targets import Target
    from tollbook.sdk.spans import SpanIds

_SDK: Final = Observer.SDK
NO_FACTS: Final = RequestFacts(b"")
LATER_BYTES_MAX: Final = 256 * 1024
"""Largest body that is kept to be read later; what waits stays small however many calls end."""
_MAX_IDEMPOTENCY_KEY_BYTES: Final = 255
_IDEMPOTENCY_KEY: Final = b"idempotency-key"
_OWN_PREFIX: Final = b"x-tollbook-"
_BAGGAGE: Final = b"baggage"
_LAYERS: Final = LAYERS_HEADER.encode()
_MARKS: Final = MEMBER.encode()
_MODEL: Final = b'"model":"'
"""As the official clients write it."""
_MAX_MODEL_BYTES: Final = 200
_ASKED: Final = b'"stream_options":{"include_usage":true}'
"""As the official client writes it; written otherwise, the request is read at once."""


def says_only(body: bytes, *, asks: bool) -> bool:
    """Whether a body is sent as it is, whatever reading it finds.

    It may be changed for marks in its metadata, for owners in LiteLLM's words, and for a stream
    whose usage is to be asked for (``asks``), unless the caller has asked for it.
    """
    return (
        len(body) <= LATER_BYTES_MAX
        and (not asks or b'"stream"' not in body or _ASKED in body)
        and b"litellm_metadata" not in body
        and _MARKS not in body
    )


class Sending(NamedTuple):
    """A request as every HTTP library can tell it."""

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    """Names in lower case."""
    body: bytes | None
    """None: it is a stream, or too large."""


_FORGOTTEN: Final = Sending("", "", b"", (), None)


class Begun:
    """What is known of a request when it leaves, and what becomes of that: an open frame."""

    __slots__ = (
        "_call_id",
        "_opened",
        "before",
        "call_site",
        "environment",
        "known",
        "marks",
        "owner",
        "parent",
        "read_facts",
        "route",
        "sending",
        "started_at_ns",
        "target",
    )

    def __init__(
        self, sending: Sending, target: Target, route: Route, facts: RequestFacts | None,
        known: Identity, owner: Identity | None, environment: str, call_site: str | None,
        parent: SpanIds | None, marks: str | None, started_at_ns: int,
    ) -> None:  # fmt: skip
        self.sending = sending
        self.target = target
        self.route = route
        self.read_facts = facts
        """None: not read yet; then ``owner`` is None too."""
        self.known = known
        """Whose work it was in the context that sent it."""
        self.owner = owner
        self.environment = environment
        self.call_site = call_site
        self.parent = parent
        self.before: Earlier | None = None
        """The attempt that failed before this one."""
        self.marks = marks
        """Texts of it that the application has marked as retrieved or remembered."""
        self.started_at_ns = started_at_ns
        self._opened: CallOpened | None = None
        self._call_id = b""

    @property
    def facts(self) -> RequestFacts:
        """What the request says; it is read now, if it was not before. Never raises."""
        facts = self.read_facts
        if facts is None:
            facts = NO_FACTS
            try:
                # Nothing is asked for: it has left as it is.
                facts = self.target.dialect.read_request(
                    self.route, self.sending.body or b"", inject_stream_usage=False, user_is="user"
                )
            except Exception as error:  # noqa: BLE001 -- the call is told of all the same
                faults.note("read", error)
            self.read_facts = facts
        return facts

    @property
    def whose(self) -> Identity:
        """Whose call it is, as far as it is known without reading it."""
        return self.known if self.owner is None else self.owner

    @property
    def sent(self) -> bytes:
        """The body that is sent."""
        facts = self.read_facts
        return (self.sending.body or b"") if facts is None else facts.body

    def evidence(self) -> CallOpened:
        """Return an open frame without reading the request, for a call that may never end.

        It says whose, where and when; its model and its size are those that the body shows at a
        glance. What :meth:`opened` gives later has the same call id, and says it exactly.
        """
        if self._opened is not None or self.read_facts is not None:
            return self.opened()
        body, parent, before, target = (
            self.sending.body or b"",
            self.parent,
            self.before,
            self.target,
        )
        owner = self.owner or owner_of(self.known, (), self.environment)
        self._call_id = call_id = ids.new_id(self.started_at_ns)
        return CallOpened(
            call_id=call_id,
            started_at_ns=self.started_at_ns,
            identity=owner,
            provider=target.provider,
            dialect=target.dialect.name,
            operation=self.route.operation,
            metering=self.route.metering,
            method=self.sending.method,
            path=self.sending.path,
            model_requested=self.route.model or _model_at_a_glance(body),
            trace_id=None if parent is None else parent.trace_id,
            parent_span_id=None if parent is None else parent.span_id,
            request_bytes=len(body),
            input_chars=len(body),
            operation_id=None if before is None else before.operation_id,
            retry_of=None if before is None else before.call_id,
            region=self.route.region,
            observer=_SDK,
            span_id=call_id[8:].hex(),
            call_site=self.call_site,
        )

    def opened(self) -> CallOpened:
        """Return the open frame, which is made when it is first asked for."""
        if self._opened is None:
            self._opened = self._made()
        return self._opened

    def forget(self) -> None:
        """Let go of the body: the open frame has been made."""
        self.sending = _FORGOTTEN
        self.read_facts = NO_FACTS

    def _made(self) -> CallOpened:
        method, path, _, headers, body = self.sending
        facts, route, target, parent = self.facts, self.route, self.target, self.parent
        dialect, before = target.dialect, self.before
        names = [name for name, _ in headers]
        attempt = dialect.attempt(headers)
        if before is not None:
            attempt = max(attempt, before.attempt + 1)
        owner = self.owner
        if owner is None:
            owner = owner_of(self.known, claims_of(headers, names, facts), self.environment)
        call_id = self._call_id or ids.new_id(self.started_at_ns)
        layered = self._layered(facts, headers, body)
        return CallOpened(
            call_id=call_id,
            started_at_ns=self.started_at_ns,
            identity=owner,
            provider=target.provider,
            dialect=dialect.name,
            operation=route.operation,
            metering=route.metering,
            method=method,
            path=path,
            model_requested=facts.model if route.model is None else route.model,
            is_stream=facts.is_stream if route.is_stream is None else route.is_stream,
            attempt=attempt,
            idempotency_key=_text(headers, names, _IDEMPOTENCY_KEY),
            trace_id=None if parent is None else parent.trace_id,
            parent_span_id=None if parent is None else parent.span_id,
            request_bytes=len(body) if body else 0,
            input_chars=facts.input_chars,
            max_output_tokens=facts.max_output_tokens,
            operation_id=None if before is None else before.operation_id,
            retry_of=None if before is None else before.call_id,
            region=route.region,
            asked=facts.asked,
            observer=_SDK,
            span_id=call_id[8:].hex(),
            call_site=self.call_site,
            layers=layered.layers,
            prefix_hash=layered.prefix_hash,
            prefix_chars=layered.prefix_chars,
        )

    def _layered(
        self, facts: RequestFacts, headers: Sequence[Header], body: bytes | None
    ) -> Layered:
        """Return what the request consists of, with what is marked as retrieved or remembered."""
        if not body or facts is NO_FACTS:
            return facts.layered
        told = facts.marks
        for name, value in headers:
            if name == _LAYERS:
                told = value.decode("latin-1")
        marks = self.marks
        if marks is None:
            marks = told
        elif told:
            marks = f"{told},{marks}"
        if marks is None:
            return facts.layered
        return marked_layers(self.target.dialect, self.route, body, marks)[0]


def claims_of(
    headers: Sequence[Header], names: list[bytes], facts: RequestFacts
) -> tuple[Claims, ...]:
    """Return whom headers and body name as the owner."""
    if names_owner(names):
        return (*claims_from_headers(headers), *facts.claims)
    return facts.claims


def names_owner(names: list[bytes]) -> bool:
    """Whether a request has headers that may name its owner."""
    return _BAGGAGE in names or _OWN_PREFIX in b" ".join(names)


def _model_at_a_glance(body: bytes) -> str | None:
    """Return the model that a JSON body names; a text within it has its quotes escaped."""
    at = body.find(_MODEL)
    if at < 0:
        return None
    at += len(_MODEL)
    end = body.find(b'"', at, at + _MAX_MODEL_BYTES)
    return None if end < 0 else body[at:end].decode(errors="replace")


def _text(headers: Sequence[Header], names: list[bytes], name: bytes) -> str | None:
    """Return a header as text, None where there is none of sane length."""
    if name not in names:
        return None
    value = headers[names.index(name)][1]
    return value.decode("latin-1") if len(value) <= _MAX_IDEMPOTENCY_KEY_BYTES else None
