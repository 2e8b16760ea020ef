"""boto3's ``bedrock-runtime``: the session that sends its requests, and the bodies it gives.

A request is seen after it was signed, so its body stays as it is. These answers hide nothing, so
their bytes pass unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tollbook.sdk.harness import dropped, faults
from tollbook.sdk.harness.gateway import goes_through, rerouted
from tollbook.sdk.harness.sending import MAX_BODY_BYTES, Sending, begin
from tollbook.sdk.missing import MissingTenantError
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from tollbook.sdk.harness.options import Options
    from tollbook.sdk.harness.targets import Target, Targets
    from tollbook.sdk.harness.watched import Watched


class LookingSession:
    """Stands in for ``botocore.httpsession.URLLib3Session``."""

    def __init__(self, inner: Any, targets: Targets, options: Options) -> None:
        self.inner = inner
        self.targets = targets
        self.options = options

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.inner, name)

    def send(self, request: Any) -> Any:
        """Send a prepared request."""
        watched = self._prepared(request)
        if watched is None:
            return self.inner.send(request)
        try:
            response = self.inner.send(request)
        except BaseException as error:
            watched.stopped(error)
            raise
        return _shown(watched, request, response)

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()

    def _prepared(self, request: Any) -> Watched | None:
        options = self.options
        try:
            url = urlsplit(request.url)
            host = url.hostname or ""
            target = self.targets.of(host)
            if target is None:
                return None
            if goes_through(self.targets, options, host, url.port):
                _reroute(request, target, options)
                return None
            return _watched(request, target, options)
        except MissingTenantError:
            raise
        except Exception as error:  # noqa: BLE001 -- the caller's request goes on as it is
            faults.note("prepare", error)
            return None


def _reroute(request: Any, target: Target, options: Options) -> None:
    headers = request.headers
    pairs = [(name.lower(), _text(value)) for name, value in headers.items()]
    body = request.body if isinstance(request.body, bytes) else None
    changed = rerouted(target, request.url, pairs, options, runtime(), body)
    for name in changed.drops:
        if name in headers:
            del headers[name]
    for name, value in changed.sets:
        headers[name] = value
    request.url = changed.url


def _watched(request: Any, target: Target, options: Options) -> Watched | None:
    url = urlsplit(request.url)
    headers = [
        (name.lower().encode("latin-1"), _text(value).encode("utf-8", "replace"))
        for name, value in request.headers.items()
    ]
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray) or len(body) > MAX_BODY_BYTES:
        body = None
    query = url.query.encode()
    sent = None if body is None else bytes(body)
    return begin(
        Sending(request.method, url.path, query, headers, sent), target, options, runtime()
    )


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _shown(watched: Watched, request: Any, response: Any) -> Any:
    try:
        head = {
            name.lower().encode("latin-1"): _text(value).encode("utf-8", "replace")
            for name, value in response.headers.items()
        }
        watched.response(response.status_code, head)
        if request.stream_output and response._content is None:  # noqa: SLF001 -- reading it would wait for all of it
            dropped.start()
            response.raw = LookingBody(response.raw, watched)
        else:
            watched.feed(response.content)
            watched.finish()
    except Exception as error:  # noqa: BLE001 -- the caller's answer comes first
        faults.note("response", error)
    return response


class LookingBody:
    """A body on its way to the caller; stands in for urllib3's response."""

    def __init__(self, inner: Any, watched: Watched) -> None:
        self._inner = inner
        self._watched = watched

    def __getattr__(self, name: str) -> Any:
        if name in {"_inner", "_watched"}:
            raise AttributeError(name)
        return getattr(self._inner, name)

    def stream(self, *arguments: Any, **named: Any) -> Iterator[bytes]:
        """Give the body in pieces."""
        watched = self._watched
        try:
            for chunk in self._inner.stream(*arguments, **named):
                watched.feed(chunk)
                yield chunk
        except BaseException as error:
            watched.stopped(error)
            raise
        watched.finish()

    def __iter__(self) -> Iterator[bytes]:
        return self.stream()

    def read(self, amt: int | None = None, *arguments: Any, **named: Any) -> bytes:
        """Give the next piece, or all of it."""
        watched = self._watched
        try:
            chunk: bytes = self._inner.read(amt, *arguments, **named)
        except BaseException as error:
            watched.stopped(error)
            raise
        watched.feed(chunk)
        if amt is None or (not chunk and amt > 0):
            watched.finish()
        return chunk

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def readlines(self) -> list[bytes]:
        """Give all lines."""
        return self.read().splitlines(keepends=True)

    def close(self) -> None:
        """Let go of the rest."""
        try:
            self._inner.close()
        finally:
            self._watched.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.close()

    def __del__(self) -> None:
        watched = self.__dict__.get("_watched")
        if watched is not None and not watched.is_closed:
            watched.leave()
