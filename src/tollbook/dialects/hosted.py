"""APIs of other providers that one serves beside its own: OpenAI's shape under Gemini's roof.

A provider's own path decides which API a request speaks; from there on the other dialect reads it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from msgspec import structs

from tollbook.call import Metering
from tollbook.dialects.base import Route, Watch
from tollbook.dialects.defaults import DialectDefaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.call import Call
    from tollbook.dialects.base import (
        Dialect,
        Measured,
        NativeTags,
        RequestFacts,
        ResponseMeter,
        Rewritten,
    )


class HostedRoute(Route, frozen=True):
    """An endpoint that speaks another API."""

    api: str = ""
    """The name of that API's dialect."""
    guest: Route | None = None
    """How that dialect treats the endpoint."""


def hosted(
    api: str,
    guest: Route,
    *,
    model: str | None = None,
    is_stream: bool | None = None,
    region: str | None = None,
) -> HostedRoute:
    """Return another dialect's route with what this provider's path says besides.

    Batches are read by dialect, and here it is the provider's: what has to do with a batch of the
    other API passes, of unknown cost.
    """
    fields = structs.asdict(guest) | {"api": api, "guest": guest}
    if guest.watch not in {None, Watch.ANSWER}:
        fields |= {"metering": Metering.UNMETERED, "inspects_body": False, "watch": None}
    if model is not None:
        fields["model"] = model
    if is_stream is not None:
        fields["is_stream"] = is_stream
    if region is not None:
        fields["region"] = region
    return HostedRoute(**fields)


class HostingDialect(DialectDefaults):
    """Gives what speaks another API to the dialect of that API; the rest is the subclass's."""

    guests: ClassVar[Mapping[str, Dialect]] = {}

    @abstractmethod
    def route(self, method: str, path: str) -> Route:
        """Classify a request; a :class:`HostedRoute` for one that speaks another API."""

    @abstractmethod
    def read_own_request(self, route: Route, body: bytes, user_is: str) -> RequestFacts:
        """Read a metered request of the provider's own API."""

    @abstractmethod
    def own_meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter for a response of the provider's own API."""

    @abstractmethod
    def measure_own(self, call: Call) -> Measured:
        """Turn the raw usage of the provider's own API into disjoint kinds."""

    def read_request(
        self, route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
    ) -> RequestFacts:
        """Read a metered request, as the API reads it that it speaks."""
        if not isinstance(route, HostedRoute) or route.guest is None:
            return self.read_own_request(route, body, user_is)
        facts = self.guests[route.api].read_request(
            route.guest, body, inject_stream_usage=inject_stream_usage, user_is=user_is
        )
        if route.is_stream and not facts.is_stream:
            return structs.replace(facts, is_stream=True)
        return facts

    def meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter of the API that the answer speaks."""
        if isinstance(route, HostedRoute) and route.guest is not None:
            return self.guests[route.api].meter(route.guest, facts, status, headers)
        return self.own_meter(route, facts, status, headers)

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        route = self.route(call.opened.method, call.opened.path)
        if isinstance(route, HostedRoute):
            return self.guests[route.api].measure(call)
        return self.measure_own(call)

    def with_model(self, route: Route, target: bytes, body: bytes, model: str) -> Rewritten | None:
        """Return the request asking for another model, None where that cannot be written."""
        if isinstance(route, HostedRoute) and route.guest is not None and route.model is None:
            return self.guests[route.api].with_model(route.guest, target, body, model)
        return self.own_with_model(route, target, body, model)

    def own_with_model(
        self, route: Route, target: bytes, body: bytes, model: str
    ) -> Rewritten | None:
        """Do the same for the provider's own API; by default in the body."""
        return super().with_model(route, target, body, model)

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write tags into the fields of the API that the request speaks.

        Those who imitate OpenAI's API do not keep its tags, and some refuse unknown fields.
        """
        if not isinstance(route, HostedRoute) or route.guest is None:
            return self.own_with_tags(route, body, tags)
        if route.api == "openai":
            return body
        return self.guests[route.api].with_tags(route.guest, body, tags)

    def own_with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Do the same for the provider's own API; by default it has no field for tags."""
        return super().with_tags(route, body, tags)
