"""Ask a provider about its batches: small answers whole, results as a stream, all of it bounded."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx2

from tollbook import __version__, clock
from tollbook.capture.gateway.credentials.build import headers_of_key, readers_for
from tollbook.capture.gateway.credentials.readers import Found
from tollbook.dialects.registry import dialect_named
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.config.batch import Batch
    from tollbook.config.schema import Provider

_MAX_STATE_BYTES: Final = 64 * 1024 * 1024
_MAX_FETCH_S: Final = 3600.0
"""Longest that one source of results may take, however busily it trickles."""
_OK: Final = 200
_OF_ANOTHER_ACCOUNT: Final = frozenset({401, 403, 404})
_API_HEADERS: Final = {"anthropic": {"anthropic-version": "2023-06-01"}}


class FetchError(TollbookError):
    """A provider could not be asked, or did not answer as expected."""


class ProviderClient:
    """One configured provider; its keys are read anew for every question.

    Args:
        name: as configured.
        settings: of the provider.
        batch: limits.
        environ: where keys may be.
    """

    def __init__(
        self, name: str, settings: Provider, batch: Batch, environ: Mapping[str, str]
    ) -> None:
        self._name, self._settings, self._batch = name, settings, batch
        self._dialect = dialect_named(settings.dialect)
        self._readers = [reader for reader, _ in readers_for(settings, environ)]
        self._keys: dict[int, str] = {}
        verify: bool | ssl.SSLContext = True
        if settings.ca_file is not None:
            verify = ssl.create_default_context(cafile=settings.ca_file)
        self._client = httpx2.Client(
            verify=verify,
            timeout=httpx2.Timeout(batch.timeout_s, connect=settings.connect_timeout_s),
            follow_redirects=False,  # a key is for the address that was configured
            trust_env=False,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def state(self, path: str) -> bytes:
        """Return a small JSON answer.

        Raises:
            FetchError: no key, no answer, an error, or too much of it.
        """
        with self._get(path) as response:
            return b"".join(self._bounded(response, _MAX_STATE_BYTES))

    def results(self, path: str) -> Iterator[bytes]:
        """Yield results as they come.

        Raises:
            FetchError: as above; what was yielded before stands.
        """
        with self._get(path) as response:
            yield from self._bounded(response, self._batch.max_result_bytes)

    def _bounded(self, response: httpx2.Response, max_bytes: int) -> Iterator[bytes]:
        until_ns = clock.monotonic_ns() + int(_MAX_FETCH_S * clock.NS_PER_S)
        left = max_bytes
        try:
            for chunk in response.iter_bytes():
                left -= len(chunk)
                if left < 0:
                    raise FetchError(f"the answer is larger than {max_bytes} bytes")
                if clock.monotonic_ns() > until_ns:
                    raise FetchError(f"the answer took longer than {_MAX_FETCH_S:.0f} s")
                yield chunk
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"the answer broke off ({type(error).__name__})") from error

    @contextmanager
    def _get(self, path: str) -> Iterator[httpx2.Response]:
        """Send a request with each key in turn, until one is of the account that has the batch."""
        keys = self._read_keys()
        for at, key in enumerate(keys, 1):
            response = self._send(path, key)
            try:
                if response.status_code == _OK:
                    yield response
                    return
                if at == len(keys) or response.status_code not in _OF_ANOTHER_ACCOUNT:
                    raise FetchError(f"the provider answered {response.status_code} to GET {path}")
            finally:
                response.close()

    def _send(self, path: str, key: str) -> httpx2.Response:
        headers = {
            "accept-encoding": "gzip, identity",
            "user-agent": f"tollbook/{__version__}",
            **_API_HEADERS.get(self._settings.dialect, {}),
            **self._settings.headers,
        }
        for name, value in headers_of_key(self._settings, self._dialect, key):
            headers[name.decode()] = value.decode()
        url = self._settings.base_url.rstrip("/") + path
        try:
            return self._client.send(
                self._client.build_request("GET", url, headers=headers), stream=True
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"GET {path} failed ({type(error).__name__})") from error

    def _read_keys(self) -> list[str]:
        problem = "it has no key (api_key_env, api_key_file or api_key_command)"
        for at, reader in enumerate(self._readers):
            read = reader.read(is_refused=False)
            if isinstance(read, Found):
                self._keys[at] = read.value
            elif read is not None:
                self._keys.pop(at, None)
                problem = read.problem
        if not self._keys:
            raise FetchError(f"provider {self._name} cannot be asked: {problem}")
        return [self._keys[at] for at in sorted(self._keys)]
