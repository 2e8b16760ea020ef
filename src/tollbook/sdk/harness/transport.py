"""Transports and streams for httpx and httpx2 that let the harness look on.

Both libraries have the same classes, which are no relatives: what wraps them is made for each.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tollbook.call import Metering
from tollbook.sdk.context import current
from tollbook.sdk.harness import dropped, faults
from tollbook.sdk.harness.gateway import goes_through, rerouted
from tollbook.sdk.harness.sending import MAX_BODY_BYTES, Sending, begin, refuse
from tollbook.sdk.missing import MissingTenantError, check
from tollbook.sdk.propagation.carrier import strip
from tollbook.sdk.propagation.hosts import is_loopback, may_receive
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target, Targets
    from tollbook.sdk.harness.watched import Watched

_PLAIN: Final = (b"Accept-Encoding", b"accept-encoding", b"identity")
_METERED: Final = Metering.METERED
_KEYS: Final = "tollbook_keys"
"""Extension of a request, kept over redirects: the headers that hold the gateway's key."""


class Settings:
    """What the transports of one client share; replaced when it is wrapped again."""

    __slots__ = ("client", "options", "targets")

    def __init__(self, targets: Targets, options: Options, client: Any) -> None:
        self.targets = targets
        self.options = options
        self.client = client


class Looking:
    """What both kinds of transport have in common."""

    _stream_type: ClassVar[Any]

    def __init__(self, inner: Any, settings: Settings) -> None:
        self._inner = inner
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _prepare(self, request: Any) -> tuple[Any, Watched | None]:
        """Return the transport that sends a request, and the call that it is.

        Raises:
            MissingTenantError: see :func:`begin`.
        """
        settings = self.settings
        options = settings.options
        host = request.url.host
        try:
            target = settings.targets.of(host)
            if target is not None and not (target.is_guess and not _is_call(target, request)):
                if goes_through(settings.targets, options, host, request.url.port):
                    return self._reroute(request, target), None
                watched = _watched(request, target, options)
                if watched is not None:
                    return self._inner, watched
            _withhold(request)
        except MissingTenantError:
            raise
        except Exception as error:  # noqa: BLE001 -- the caller's request goes on as it is
            faults.note("prepare", error)
        return self._inner, None

    def refuse(self, request: Any) -> None:
        """Raise what sending a request would raise for want of a tenant.

        Raises:
            MissingTenantError: see :func:`begin`.
        """
        settings = self.settings
        host = request.url.host
        target = settings.targets.of(host)
        if target is None or not _is_call(target, request):
            return
        if goes_through(settings.targets, settings.options, host, request.url.port):
            check(current())
        else:
            refuse(_sending(request, target), target, settings.options, runtime())

    def _reroute(self, request: Any, target: Target) -> Any:
        settings = self.settings
        url = request.url
        headers = request.headers
        body = getattr(request, "_content", None)
        changed = rerouted(
            target, str(url), headers.multi_items(), settings.options, runtime(), body
        )
        address = type(url)(changed.url)
        for name in changed.drops:
            if name in headers:
                del headers[name]
        for name, value in changed.sets:
            headers[name] = value
        request.url = address
        if changed.keys:
            request.extensions[_KEYS] = changed.keys
        client = settings.client
        if client is None:
            return self._inner
        # A proxy for the provider's host is none for the gateway's.
        found = client._transport_for_url(address)  # noqa: SLF001 -- as the client itself does
        return getattr(found, "_inner", found)


def _is_call(target: Target, request: Any) -> bool:
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    return target.route(request.method, path).metering is _METERED


def _withhold(request: Any) -> None:
    """Take out whose work it is, where the host may not know it.

    A redirect has taken it there, or somebody else has written it.
    """
    _forget_keys(request)
    names = [name for name, _ in _pairs(request.headers)]
    names_owner = b"baggage" in names or b"x-tollbook-" in b" ".join(names)
    if names_owner and not may_receive(request.url.host):
        strip(request.headers)


def _forget_keys(request: Any) -> None:
    """Take the gateway's key out of a request that it has redirected to somebody else.

    Clients follow redirects with all headers, and leave none but ``authorization`` out.
    """
    for name in request.extensions.pop(_KEYS, ()):
        request.headers.pop(name, None)


def _watched(request: Any, target: Target, options: Options) -> Watched | None:
    _forget_keys(request)
    sending = _sending(request, target)
    watched = begin(sending, target, options, runtime())
    if watched is None:
        return None
    _ask_for_plain(request.headers)
    if watched.names_owner and not _is_told(request.url.host):
        strip(request.headers)
    sent, body = watched.sent, sending.body
    if sent and body is not None and sent is not body and sent != body:
        _replace_body(request, sent)
    return watched


def _sending(request: Any, target: Target) -> Sending:
    raw_path, _, query = request.url.raw_path.partition(b"?")
    path = raw_path.decode("ascii")
    body = _body_of(request, target, path)
    return Sending(request.method, path, query, _pairs(request.headers), body)


def _body_of(request: Any, target: Target, path: str) -> bytes | None:
    """Return the whole body, None for one that is a stream of its own or too large."""
    body: bytes | None = getattr(request, "_content", None)
    if body is None:
        # A form is made piece by piece, from fields and files that are all there.
        size = request.headers.get("content-length", "")
        if (
            type(request.stream).__name__ != "MultipartStream"
            or not size.isdigit()
            or int(size) > MAX_BODY_BYTES
            or not target.route(request.method, path).inspects_body
        ):
            return None
        body = request.read()
    return body if len(body) <= MAX_BODY_BYTES else None


def _is_told(host: str) -> bool:
    """Whether a host was allowed by name to know whose work it is; a provider is not."""
    return may_receive(host) and not is_loopback(host)


def _pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    """Return header fields with their names in lower case."""
    try:
        # What both libraries hold: name as given, in lower case, value. Their public attributes
        # make it anew, which takes a third of all that the harness may.
        return [(name, value) for _, name, value in headers._list]  # noqa: SLF001 -- see above
    except (AttributeError, ValueError):
        return [(name.lower(), value) for name, value in headers.raw]


def _ask_for_plain(headers: Any) -> None:
    """Ask for an answer that is not compressed, since what passes here is what was sent."""
    try:
        found = headers._list  # noqa: SLF001 -- as above
        for at, field in enumerate(found):
            if field[1] == b"accept-encoding":
                found[at] = _PLAIN
                return
    except (AttributeError, IndexError):
        pass
    headers["accept-encoding"] = "identity"


def _replace_body(request: Any, body: bytes) -> None:
    module = sys.modules[type(request).__module__.partition(".")[0]]
    stream = module.ByteStream(body)
    request.headers["content-length"] = str(len(body))
    request.stream = stream
    request._content = body  # noqa: SLF001 -- what its own read() sets


def _shown(watched: Watched, response: Any, stream_type: Any) -> Any:
    """Return the response, whose body the call sees passing."""
    try:
        head = dict(_pairs(response.headers))
        watched.is_http_1 = response.extensions.get("http_version", b"HTTP/1.1") != b"HTTP/2"
        watched.response(response.status_code, head)
        content = getattr(response, "_content", None)
        if content is None:
            dropped.start()
            response.stream = stream_type(response.stream, watched)
        else:  # a transport that gives whole answers, as those of tests do
            watched.feed(content)
            watched.finish()
    except Exception as error:  # noqa: BLE001 -- the caller's answer comes first
        faults.note("response", error)
    return response


class _SyncStream:
    """A body on its way to the caller."""

    def __init__(self, stream: Any, watched: Watched) -> None:
        self._stream = stream
        self._watched = watched

    def __iter__(self) -> Iterator[bytes]:
        watched = self._watched
        feed = watched.feed
        try:
            for chunk in self._stream:
                shown = feed(chunk)
                if shown:
                    yield shown
        except BaseException as error:
            watched.stopped(error)
            raise
        rest = watched.finish()
        if rest:
            yield rest

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._watched.close()

    def __del__(self) -> None:
        if not self._watched.is_closed:
            self._watched.leave()


class _AsyncStream:
    """A body on its way to the caller."""

    def __init__(self, stream: Any, watched: Watched) -> None:
        self._stream = stream
        self._watched = watched

    async def __aiter__(self) -> AsyncIterator[bytes]:
        watched = self._watched
        feed = watched.feed
        try:
            async for chunk in self._stream:
                shown = feed(chunk)
                if shown:
                    yield shown
        except BaseException as error:
            watched.stopped(error)
            raise
        rest = watched.finish()
        if rest:
            yield rest

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._watched.close()

    def __del__(self) -> None:
        if not self._watched.is_closed:
            self._watched.leave()


class _SyncTransport(Looking):
    """Sends what it is given, and looks on."""

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._inner.__exit__(*arguments)

    def handle_request(self, request: Any) -> Any:
        """Send a request."""
        inner, watched = self._prepare(request)
        if watched is None:
            return inner.handle_request(request)
        try:
            response = inner.handle_request(request)
        except BaseException as error:
            watched.stopped(error)
            raise
        return _shown(watched, response, self._stream_type)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _AsyncTransport(Looking):
    """Sends what it is given, and looks on."""

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *arguments: object) -> None:
        await self._inner.__aexit__(*arguments)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        inner, watched = self._prepare(request)
        if watched is None:
            return await inner.handle_async_request(request)
        try:
            response = await inner.handle_async_request(request)
        except BaseException as error:
            watched.stopped(error)
            raise
        return _shown(watched, response, self._stream_type)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@lru_cache(maxsize=8)
def sync_transport(module: Any) -> Any:
    """Return the class of transports that wrap those of ``httpx`` or ``httpx2``."""
    stream = type("LookingStream", (_SyncStream, module.SyncByteStream), {})
    return type(
        "LookingTransport", (_SyncTransport, module.BaseTransport), {"_stream_type": stream}
    )


@lru_cache(maxsize=8)
def async_transport(module: Any) -> Any:
    """Return the class of asynchronous transports that wrap those of ``httpx`` or ``httpx2``."""
    stream = type("LookingStream", (_AsyncStream, module.AsyncByteStream), {})
    members = {"_stream_type": stream}
    return type("LookingTransport", (_AsyncTransport, module.AsyncBaseTransport), members)
