"""The identity that a context holds: a value, or something that finds it out when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from msgspec.structs import replace
from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.context import get_current as get_context

from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.identity.values import REQUEST_ORIGINS, as_id
from tollbook.identity.write_baggage import FIELD_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

NOBODY: Final = Identity()
BAGGAGE_NAMES: Final = FIELD_KEYS
"""Identity field to the baggage key it travels under."""

_KEY: Final = create_key("tollbook-identity")


class Deferred(Protocol):
    """An identity that is found out when somebody asks.

    A web framework often knows who is asking only after its middleware has run: in a dependency,
    in a decorator of the view.
    """

    def resolve(self) -> Identity:
        """Return what is known now; the same object as before where nothing is new."""


def current(context: Context | None = None) -> Identity:
    """Return whose work is being done; an identity of nothing but Nones where nobody said.

    What a framework has restored into OpenTelemetry's baggage counts where no identity was set
    in this process.
    """
    known = get_value(_KEY, context)
    if type(known) is Identity:
        return known
    if known is not None:
        return cast("Deferred", known).resolve()
    return _from_baggage(baggage.get_all(context))


def held(context: Context | None = None) -> Identity | Deferred:
    """Return the identity as it stands in the context, without finding it out."""
    known = get_value(_KEY, context)
    if known is None:
        return _from_baggage(baggage.get_all(context))
    return cast("Identity | Deferred", known)


def _from_baggage(members: Mapping[str, object]) -> Identity:
    fields: dict[str, str] = {}
    for key, value in members.items():
        field = BAGGAGE_KEYS.get(key)
        text = as_id(value) if isinstance(value, str) else None
        if field is None or text is None:
            continue
        if field != "request_origin" or text in REQUEST_ORIGINS:
            fields.setdefault(field, text)
    if not fields:
        return NOBODY
    return replace(NOBODY, **fields, sources=dict.fromkeys(fields, Mechanism.BAGGAGE.value))


def with_identity(known: Identity | Deferred, context: Context | None = None) -> Context:
    """Return a context in which this is the identity, in place of any that was there.

    Of an identity that is found out later, OpenTelemetry's baggage has what is known now.
    """
    return context_with(known, known_now(known), get_context() if context is None else context)


def context_with(known: Identity | Deferred, now: Identity, context: Context) -> Context:
    """Return :func:`with_identity` of an identity that has just been found out."""
    for key in baggage.get_all(context).keys() & BAGGAGE_KEYS.keys():
        context = baggage.remove_baggage(key, context)
    for field in IDENTITY_FIELDS:
        value = getattr(now, field)
        if value is not None:
            context = baggage.set_baggage(BAGGAGE_NAMES[field], value, context)
    return set_value(_KEY, known, context)


def known_now(known: Identity | Deferred) -> Identity:
    """Return the identity, found out if need be."""
    return known if isinstance(known, Identity) else known.resolve()


def asked_as_nobody(ask: Callable[[], T]) -> T:
    """Call what finds out an identity so that it gets nobody, not a loop, if it asks for one."""
    token = attach(set_value(_KEY, NOBODY))
    try:
        return ask()
    finally:
        detach(token)
